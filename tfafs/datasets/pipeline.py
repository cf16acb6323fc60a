"""From `config.data` to a `tf.data.Dataset` of training batches."""

from typing import Optional

import numpy as np
import tensorflow as tf

from tfafs.datasets import clips, density_2d, synthetic, video

DATASETS = ("synthetic", "video")
"""Values of `config.data.dataset` of codecs. Points are `density_2d.NAMES`, clips for
densities of video `clips.NAMES`."""


def make_dataset(
  config,
  batch_size: int,
  num_frames: Optional[int] = None,
  crop_size: Optional[int] = None,
  start_index: int = 0,
  seed: int = 0,
) -> tf.data.Dataset:
  """Makes an endless dataset of clips, or of points for a density of the plane.

  Example i is a pure function of `seed`, i and the configuration: a run that resumes at
  step s passes `start_index = s * batch_size` and sees what it would have seen.

  Args:
    config: `config.data`: dataset ("synthetic" or "video"); for "video" also path,
      raw_size, frame_interval, temporal_reversal, pan, downscale, cache_dir,
      color_matrix.
    batch_size: Examples of a batch.
    num_frames: Frames of an example; None if examples are points.
    crop_size: Rows and columns of an example; None if examples are points, or clips of
      `config.image_size` for a density of video.
    start_index: Number of the first example.
    seed: Which sequence of examples.

  Returns:
    Dataset of float32 [batch_size, num_frames, crop_size, crop_size, 3] in [0, 1], or
    that of `clips.make_dataset`, or of points, float32 [batch_size, 2].

  Raises:
    ValueError: an unknown dataset, or videos that cannot give such examples.
  """
  for name, value, least in (
    ("batch_size", batch_size, 1),
    ("num_frames", num_frames, 1),
    ("crop_size", crop_size, 1),
    ("start_index", start_index, 0),
    ("seed", seed, 0),
  ):
    if value is not None and value < least:
      raise ValueError(f"{name} must be at least {least}, not {value}")
  if num_frames is None:
    if config.dataset not in density_2d.NAMES:
      raise ValueError(
        f"data.dataset must be one of {', '.join(density_2d.NAMES)}, not "
        f"{config.dataset!r}"
      )
    return density_2d.make_dataset(config.dataset, batch_size, start_index, seed)
  if crop_size is None:
    return clips.make_dataset(config, batch_size, num_frames, start_index, seed)
  shape = (num_frames, crop_size, crop_size, 3)
  if config.dataset == "synthetic":

    def example(index):
      clip = synthetic.synthetic_example(seed, index, *shape[:3])
      return tf.ensure_shape(clip, shape)

  elif config.dataset == "video":
    cut = video.open_examples(config, num_frames, crop_size, seed)

    def example(index):
      clip = tf.numpy_function(cut, [index], tf.uint8, stateful=False)
      return tf.cast(tf.ensure_shape(clip, shape), tf.float32) / 255.0

  else:
    raise ValueError(
      f"data.dataset must be one of {', '.join(DATASETS)}, not {config.dataset!r}"
    )
  numbers = tf.data.Dataset.range(start_index, np.iinfo(np.int64).max)
  examples = numbers.map(example, tf.data.AUTOTUNE, deterministic=True)
  return examples.batch(batch_size, drop_remainder=True).prefetch(2)
