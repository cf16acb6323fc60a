"""Input pipelines of tf.data, and procedural clips."""

from tfafs.datasets.pipeline import make_dataset
from tfafs.datasets.synthetic import synthetic_clip

__all__ = ["make_dataset", "synthetic_clip"]
