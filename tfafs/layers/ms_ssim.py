"""Multi-scale structural similarity of images in [0, 1], as a loss.

Wang, Simoncelli and Bovik (2003): an 11x11 Gaussian window of standard deviation 1.5
without padding, k1 = .01, k2 = .03. On images where five scales fit it has the value of
`tf.image.ssim_multiscale`; what that has not is gradients that stay finite and windows
that are applied one axis at a time.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW = 11
_SIGMA = 1.5
_C1, _C2 = 0.01**2, 0.03**2
# Where structures oppose each other a mean is negative and has no root; at 0 the slope of
# the root is infinite.
_FLOOR = 1e-4


class _Similarity(NamedTuple):
  """Means over an image, float32 [batch, channels]."""

  ssim: tf.Tensor
  contrast_structure: tf.Tensor


def num_scales(height: int, width: int) -> int:
  """How many scales an image has: five, or as many as the window fits into.

  Each scale halves the sides, rounding up. Five need 161 pixels, four 81, three 41, two
  21, one 11.

  Raises:
    ValueError: the image is smaller than the window.
  """
  side = min(height, width)
  if side < WINDOW:
    raise ValueError(
      f"MS-SSIM needs at least {WINDOW}x{WINDOW} pixels; got {width}x{height}."
    )
  return sum(-(-side // 2**scale) >= WINDOW for scale in range(len(WEIGHTS)))


def ms_ssim(images, references):
  """Multi-scale structural similarity.

  Args:
    images: float32 [batch, height, width, channels], about in [0, 1]; height and width
      are static.
    references: The same.

  Returns:
    float32 [batch], at most 1: mean over channels. Images in which five scales do not
    fit are compared at fewer (`num_scales`), with the weights of these scaled to sum to
    1: such values compare with each other only.

  Raises:
    ValueError: the images are smaller than the window, or their size is not static.
  """
  if None in images.shape[1:3]:
    raise ValueError("MS-SSIM needs images whose height and width are static.")
  scales = num_scales(images.shape[1], images.shape[2])
  weights = np.array(WEIGHTS[:scales], np.float32) / sum(WEIGHTS[:scales])
  result = 1.0
  for scale, weight in enumerate(weights):
    if scale:
      images, references = _halve(images), _halve(references)
    similarity = _compare(images, references)
    last = scale == scales - 1
    factor = similarity.ssim if last else similarity.contrast_structure
    result *= tf.maximum(factor, _FLOOR) ** weight
  return tf.reduce_mean(result, -1)


def _compare(x, y) -> _Similarity:
  mean_x, mean_y = _blur(x), _blur(y)
  variances = _blur(x * x + y * y) - mean_x**2 - mean_y**2
  covariance = _blur(x * y) - mean_x * mean_y
  contrast_structure = (2.0 * covariance + _C2) / (variances + _C2)
  luminance = (2.0 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
  return _Similarity(
    tf.reduce_mean(luminance * contrast_structure, [1, 2]),
    tf.reduce_mean(contrast_structure, [1, 2]),
  )


def _blur(image):
  """Weighted mean under the window, where it fits."""
  offset = np.arange(WINDOW) - WINDOW // 2
  window = np.exp(-0.5 * (offset / _SIGMA) ** 2)
  channels = image.shape[-1]
  window = np.tile((window / window.sum())[:, None], [1, channels]).astype(np.float32)
  for shape in ((WINDOW, 1, channels, 1), (1, WINDOW, channels, 1)):
    kernel = tf.constant(window.reshape(shape))
    image = tf.nn.depthwise_conv2d(image, kernel, [1, 1, 1, 1], "VALID")
  return image


def _halve(image):
  """Means of 2x2 pixels; an odd last row or column is repeated."""
  odd = [[0, 0], [0, image.shape[1] % 2], [0, image.shape[2] % 2], [0, 0]]
  return tf.nn.avg_pool2d(tf.pad(image, odd, "SYMMETRIC"), 2, 2, "VALID")
