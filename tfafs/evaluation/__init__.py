"""Rate and quality of codecs on real files: metrics, baselines, curves, reports."""

from tfafs.evaluation.classical import ClassicalCodec
from tfafs.evaluation.rd_curves import ClipResult, FrameResult, evaluate_clip

__all__ = ["ClassicalCodec", "ClipResult", "FrameResult", "evaluate_clip"]
