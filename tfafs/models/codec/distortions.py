"""What a codec is trained to keep small beside its rate: `config.training.distortion`."""

import tensorflow as tf

from tfafs.layers import ms_ssim

DISTORTIONS = ("mse", "ms_ssim")


def check(name: str) -> str:
  """The name, if it is one of `DISTORTIONS`; else ValueError."""
  if name not in DISTORTIONS:
    raise ValueError(
      f"config.training.distortion is {name!r}; it must be one of "
      f"{', '.join(DISTORTIONS)}."
    )
  return name


def squared_error(clips, originals):
  """Mean squared error of each frame.

  Args:
    clips: float32 [batch, time, height, width, 3], about in [0, 1].
    originals: The same.

  Returns:
    float32 [batch, time].
  """
  return tf.reduce_mean(tf.math.squared_difference(clips, originals), [2, 3, 4])


def similarity(clips, originals):
  """MS-SSIM of each frame, as `squared_error`; height and width are static.

  Crops in which its five scales do not fit have fewer (`ms_ssim.num_scales`).
  """
  frames, references = (
    tf.reshape(x, [-1, *clips.shape[2:]]) for x in (clips, originals)
  )
  return tf.reshape(ms_ssim.ms_ssim(frames, references), tf.shape(clips)[:2])
