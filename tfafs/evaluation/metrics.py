"""Distortion and rate of coded frames, in the conventions of docs/evaluation.md."""

from typing import Optional

import numpy as np
import tensorflow as tf

from tfafs.coding import compressed_video

MAX_PSNR = 100.0  # dB; what identical frames are given, so that a mean stays finite
MS_SSIM_MIN_SIDE = 161  # an 11 x 11 window still fits after four halvings


def _check_pair(reference: np.ndarray, decoded: np.ndarray) -> None:
  for name, frame in (("reference", reference), ("decoded", decoded)):
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
      raise ValueError(
        f"{name}: expected a uint8 [height, width, 3] RGB frame, got {frame.dtype} "
        f"{list(frame.shape)}; round and cast to uint8 first"
      )
  if reference.shape != decoded.shape:
    raise ValueError(
      f"decoded: its shape {list(decoded.shape)} differs from the reference's "
      f"{list(reference.shape)}; compare frames of the same size"
    )


def psnr(reference: np.ndarray, decoded: np.ndarray) -> float:
  """Peak signal-to-noise ratio of one 8-bit RGB frame, in dB.

  10 log10(255^2 / MSE), the mean squared error taken over all pixels and the three
  channels together. The PSNR of a clip is the mean of this over its frames (paper 001,
  section 6.2), not the PSNR of the mean error.

  Args:
    reference: uint8 [height, width, 3], the original frame.
    decoded: uint8 [height, width, 3], the frame decoded from the file.

  Returns:
    dB, at most MAX_PSNR (identical frames).

  Raises:
    ValueError: a frame is not 8-bit RGB, or the sizes differ.
  """
  _check_pair(reference, decoded)
  return min(MAX_PSNR, compressed_video.psnr(reference, decoded))


def ms_ssim_unavailable(height: int, width: int) -> Optional[str]:
  """Why MS-SSIM is undefined at this size; None where it is defined."""
  if min(height, width) >= MS_SSIM_MIN_SIDE:
    return None
  return (
    f"MS-SSIM needs at least {MS_SSIM_MIN_SIDE} pixels on each side (five scales, "
    f"11 x 11 window); these frames are {width}x{height}"
  )


@tf.function(reduce_retracing=True)
def _ms_ssim(reference, decoded):
  return tf.image.ssim_multiscale(reference, decoded, max_val=255.0)


def ms_ssim(reference: np.ndarray, decoded: np.ndarray) -> Optional[float]:
  """Multi-scale structural similarity of one 8-bit RGB frame.

  Wang, Simoncelli and Bovik (2003) with their five weights, an 11 x 11 Gaussian window
  of standard deviation 1.5 without padding, k1 = .01, k2 = .03; each RGB channel alone,
  then the mean of the three: `tf.image.ssim_multiscale` at its defaults.

  Args:
    reference: uint8 [height, width, 3], the original frame.
    decoded: uint8 [height, width, 3], the frame decoded from the file.

  Returns:
    A number up to 1, or None where a side is shorter than MS_SSIM_MIN_SIDE pixels: a
    smaller window or fewer scales would be another metric under the same name.

  Raises:
    ValueError: a frame is not 8-bit RGB, or the sizes differ.
  """
  _check_pair(reference, decoded)
  if ms_ssim_unavailable(*reference.shape[:2]):
    return None
  # The static shape is needed by tf.image, hence one trace for each frame size.
  reference, decoded = (
    tf.constant(frame, tf.float32) for frame in (reference, decoded)
  )
  return float(_ms_ssim(reference, decoded))


def bits_per_pixel(num_bytes: int, height: int, width: int, num_frames: int) -> float:
  """8 * bytes / (height * width * frames); the bytes are those of the whole file."""
  if min(height, width, num_frames) < 1:
    raise ValueError(
      f"height, width and num_frames must be positive, got {height}, {width} and "
      f"{num_frames}"
    )
  return 8 * num_bytes / (height * width * num_frames)
