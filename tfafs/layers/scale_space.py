"""Scale-space volume: a reference frame with ever more blurred copies of itself.

`warping.scale_space_warp` reads from it (paper 001, section 2.7).
"""

import math

import tensorflow as tf


def _gaussian_taps(sigma: float) -> list:
  """Returns the `2 ceil(3 sigma) + 1` taps of a normalised Gaussian."""
  radius = math.ceil(3 * sigma)
  taps = [math.exp(-0.5 * (i / sigma) ** 2) for i in range(-radius, radius + 1)]
  return [tap / sum(taps) for tap in taps]


def gaussian_blur(image, sigma: float):
  """Blurs `image`, [batch, height, width, channels].

  At a border the part of the kernel that lies inside is normalised to 1.
  """
  taps = _gaussian_taps(sigma)

  def blur(x):
    for shape in ([-1, 1, 1, 1], [1, -1, 1, 1]):
      kernel = tf.tile(tf.reshape(taps, shape), [1, 1, x.shape[-1], 1])
      x = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")
    return x

  return blur(image) / blur(tf.ones_like(image[:1, :, :, :1]))


def upsample(image, height, width):
  """Doubles `image` bilinearly (half-pixel centres), then crops to `height` x `width`.

  Args:
    image: [batch, h, w, channels] with `2 h >= height` and `2 w >= width`.
    height: Rows of the result.
    width: Columns of the result.

  Returns:
    [batch, height, width, channels].
  """
  doubled = tf.image.resize(image, 2 * tf.shape(image)[1:3], "bilinear")
  return doubled[:, :height, :width]


def gaussian_pyramid(image, num_levels: int = 5, base_scale: float = 1.0):
  """Scale-space volume by successive blurring and downsampling (paper 001, Algorithm 1).

  Level 0 is the image, level 1 the blurred image; each further level halves the last
  one, blurs it, and is brought back to full size by repeated doubling. The variance of
  level i is nominally `base_scale**2 * (0, 1, 5, 21, 85, 341)[i]` square pixels.

  Args:
    image: float [batch, height, width, channels], any height and width from 1.
    num_levels: Number of blurred planes.
    base_scale: Standard deviation of the blur in pixels, the same at every level.

  Returns:
    float [batch, height, width, num_levels + 1, channels].
  """
  levels = [gaussian_blur(image, base_scale)]
  for _ in range(num_levels - 1):
    half = tf.nn.avg_pool2d(levels[-1], 2, 2, "SAME")
    levels.append(gaussian_blur(half, base_scale))
  # All deeper planes climb together: one doubling per level instead of one per plane.
  planes = levels.pop()
  while levels:
    level = levels.pop()
    shape = tf.shape(level)
    planes = tf.concat([level, upsample(planes, shape[1], shape[2])], -1)
  volume = tf.concat([image, planes], -1)
  shape = tf.shape(volume)
  channels = image.shape[-1]
  return tf.reshape(volume, [shape[0], shape[1], shape[2], num_levels + 1, channels])


def gaussian_blurs(image, num_levels: int = 5, base_scale: float = 1.0):
  """Scale-space volume by a Gaussian of its own for each plane (paper 001, section 6.4).

  As Agustsson et al. (2020) build it: the standard deviation of plane i is `base_scale *
  (0, 1, 2, 4, 8, 16)[i]` pixels. Its largest kernel has 97 taps along each axis.

  Args:
    image: float [batch, height, width, channels], any height and width from 1.
    num_levels: Number of blurred planes.
    base_scale: Standard deviation of the first blur in pixels.

  Returns:
    float [batch, height, width, num_levels + 1, channels].
  """
  scales = [base_scale * 2.0**i for i in range(num_levels)]
  return tf.stack([image, *(gaussian_blur(image, scale) for scale in scales)], 3)


VOLUMES = {"pyramid": gaussian_pyramid, "blur": gaussian_blurs}


def volume_of(kind: str):
  """The function of `VOLUMES` that a kind names.

  Raises:
    ValueError: There is no such kind.
  """
  if kind not in VOLUMES:
    raise ValueError(
      f"scale_space.volume is {kind!r}: give one of {', '.join(map(repr, VOLUMES))}."
    )
  return VOLUMES[kind]
