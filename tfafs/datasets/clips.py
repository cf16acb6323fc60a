"""Clips for densities of video: sources by name, for training and for evaluation."""

import math

import numpy as np
import tensorflow as tf

from tfafs.datasets import moving_digits, sequences, tfds_sequences

NAMES = ("moving_digits", "moving_mnist", "video", "arrays", *tfds_sequences.SPLITS)
"""Values of `config.data.dataset`: printed digits (no files needed), MNIST's digits, video
files, .npy files, and what TensorFlow Datasets has prepared."""


EVALUATION_SEED = 2**30
"""Seed of the clips that figures are made of, whatever the run's; those of training are
less, so that no run is scored on the draws that it was trained on."""

_FEW = 5
"""Of fewer sequences `config.fraction` is the first part of each, not some of them."""


def open_source(config, num_frames: int, split: str, seed: int = 0):
  """Opens the clips of a split.

  Args:
    config: `config.data`, see `configs/video.py`.
    num_frames: Frames of a clip.
    split: "train" or "test".
    seed: Which sequence of clips.

  Returns:
    Function from the number of a clip to uint8 [num_frames, size, size, channels], with
    `evaluation`, the same for clips that figures are made of, and `num_clips`, how many
    of these there are, None if without end.

  Raises:
    ValueError: an unknown dataset, or data that cannot give such clips.
  """
  name = config.dataset
  if name not in NAMES:
    raise ValueError(
      f"data.dataset must be one of {', '.join(NAMES)}, not {name!r}; data.path says "
      "where it lies"
    )
  sequences.check(config.channels, config.frame_interval, config.fit)
  if name in ("moving_digits", "moving_mnist"):
    if name == "moving_mnist" and not config.path:
      raise ValueError(
        "data.path is empty: give the folder with MNIST's files of images, or "
        "data.dataset=moving_digits for printed digits"
      )
    path = config.path if name == "moving_mnist" else ""
    digits = moving_digits.open_digits(path, split)
    digits = digits[_part(len(digits), config, split)]
    # Training and test draw different paths, too.
    seed = 2 * seed + moving_digits.SPLITS.index(split)
    return moving_digits.MovingDigits(
      digits, num_frames, config.image_size, config.channels, seed=seed
    )
  if name == "video":
    found = sequences.from_videos(config, split)
  elif name == "arrays":
    found = sequences.from_arrays(config, split)
  else:
    found = tfds_sequences.from_tfds(config, split)
  videos, names = found
  part = _part(len(videos), config, split)
  if split == "train" and len(videos) < _FEW:  # Of few, a part of each.
    videos = [v[: math.ceil(config.get("fraction", 1.0) * len(v))] for v in videos]
    part = range(len(videos))
  return sequences.SequenceClips(
    [videos[i] for i in part],
    [names[i] for i in part],
    num_frames,
    config.image_size,
    config.channels,
    config.frame_interval,
    config.fit,
    seed,
    # A few recordings are all that there is; of data sets one clip each is the protocol.
    scored=config.scored_frames if name == "video" else 0,
  )


def _part(count, config, split):
  """Numbers of the digits or sequences that training may see (`config.fraction`)."""
  fraction = config.get("fraction", 1.0)  # Runs from before there was one have all.
  if not 0 < fraction <= 1:
    raise ValueError(f"data.fraction must be more than 0 and at most 1, not {fraction}")
  if split == "test" or fraction == 1:
    return range(count)
  order = np.random.Generator(np.random.Philox(count)).permutation(count)
  return np.sort(order[: int(np.ceil(fraction * count))])


def make_dataset(
  config, batch_size: int, num_frames: int, start_index: int = 0, seed: int = 0
) -> tf.data.Dataset:
  """Makes an endless dataset of training clips.

  Args:
    config: As for `open_source`.
    batch_size: Clips of a batch.
    num_frames: Frames of a clip.
    start_index: Number of the first; clip i is a function of i, `seed` and `config`.
    seed: Which sequence of clips.

  Returns:
    Dataset of float32 [batch_size, num_frames, size, size, channels] in [0, 1].

  Raises:
    ValueError: as `open_source`, or a seed that is not of training.
  """
  if seed >= EVALUATION_SEED:
    raise ValueError(
      f"seed is {seed}, which is of evaluation from {EVALUATION_SEED} up"
    )
  open_source(config, num_frames, "test", seed)  # Refused now, not after training.
  source = open_source(config, num_frames, "train", seed)
  numbers = tf.data.Dataset.range(start_index, np.iinfo(np.int64).max)
  return (
    _clips(numbers, source, config, num_frames)
    .batch(batch_size, drop_remainder=True)
    .prefetch(2)
  )


def evaluation_dataset(
  config, num_frames: int, count: int, split: str = "test", seed: int = 0
) -> tf.data.Dataset:
  """The clips that figures are made of, the same every time.

  One of each sequence; of video files as many as there are that score no frame twice.

  Args:
    config: As for `open_source`.
    num_frames: Frames of a clip.
    count: At most so many, spread evenly over those of the split.
    split: "train" or "test".
    seed: Where in its sequence each clip starts.

  Returns:
    Dataset of float32 [num_frames, size, size, channels] in [0, 1], its cardinality known.
  """
  source = open_source(config, num_frames, split, seed)
  if source.num_clips is None or source.num_clips <= count:
    numbers = np.arange(source.num_clips or count)
  else:
    numbers = np.linspace(0, source.num_clips - 1, count).round().astype(np.int64)
  numbers = tf.data.Dataset.from_tensor_slices(numbers.astype(np.int64))
  return _clips(numbers, source.evaluation, config, num_frames)


def _clips(numbers, function, config, num_frames):
  shape = (num_frames, config.image_size, config.image_size, config.channels)

  def clip(number):
    frames = tf.numpy_function(function, [number], tf.uint8, stateful=False)
    return tf.cast(tf.ensure_shape(frames, shape), tf.float32) / 255.0

  return numbers.map(clip, tf.data.AUTOTUNE, deterministic=True)
