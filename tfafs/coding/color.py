"""Conversion between Y'CbCr planes and 8-bit RGB with a stated matrix and range.

With luma weights `Kr`, `Kb` of the matrix and `Kg = 1 - Kr - Kb` (ITU-R BT.601-7
section 2.5, BT.709-6 section 3, BT.2020-2 table 4, non-constant luminance):

    Y = Kr R + Kg G + Kb B      Cb = (B - Y) / (2 - 2 Kb)      Cr = (R - Y) / (2 - 2 Kr)

An n-bit sample stores `Y` as `(219 Y + 16) 2^(n-8)` and a chroma value `C` as
`(224 C + 128) 2^(n-8)` in limited range, as `(2^n - 1) Y` and `(2^n - 1) C + 2^(n-1)`
in full range. Results are rounded to the nearest integer and clipped, never truncated.

Subsampled chroma is taken to lie where MPEG-2, H.264 and H.265 put it by default: on
the left luma column of its block, vertically in the middle. It is upsampled linearly
with repeated borders, and downsampled by the filters `(1, 2, 1) / 4` across and `(1, 1)
/ 2` down. libswscale does not convert colours here: as PyAV calls it, it repeats chroma
samples and is up to 1.4 levels off for 4:2:0, and PyAV 12 and 18 take different
matrices for the same arguments (measured against float64).
"""

from typing import NamedTuple

import numpy as np

MATRICES = {
  "bt601": (0.299, 0.114),
  "bt709": (0.2126, 0.0722),
  "bt2020": (0.2627, 0.0593),
}
"""Luma weights (Kr, Kb) by name."""

RANGES = ("limited", "full")

_STRIP_PIXELS = 1 << 15  # Frames are converted in strips that fit into the cache.


class SampleScale(NamedTuple):
  """How integers code Y in [0, 1], chroma in [-1/2, 1/2]: `offset + gain * value`."""

  luma_offset: float
  luma_gain: float
  chroma_offset: float
  chroma_gain: float


def default_matrix(height: int) -> str:
  """Matrix of a video that names none: BT.709 from 720 rows up, BT.601 below.

  This is what players do. Raw files, y4m and many mp4 files name no matrix.
  """
  return "bt709" if height >= 720 else "bt601"


def sample_scale(range: str, bit_depth: int = 8) -> SampleScale:
  """Offsets and gains of integer samples.

  Args:
    range: "limited" (luma 16 to 235 in 8 bits) or "full".
    bit_depth: Bits of a sample, 8 to 16.
  """
  _check("range", range, RANGES)
  if not 8 <= bit_depth <= 16:
    raise ValueError(f"bit_depth must be 8 to 16, not {bit_depth}")
  unit, middle = 2 ** (bit_depth - 8), 2 ** (bit_depth - 1)
  if range == "limited":
    return SampleScale(16 * unit, 219 * unit, middle, 224 * unit)
  return SampleScale(0, 2**bit_depth - 1, middle, 2**bit_depth - 1)


def yuv_to_rgb(
  planes, matrix: str = "bt709", range: str = "limited", bit_depth: int = 8
) -> np.ndarray:
  """Converts planar Y'CbCr to RGB.

  Args:
    planes: (y, u, v) or (y,) for gray: unsigned integers, y [H, W]; u and v alike,
      [ceil(H / a), ceil(W / b)] with a, b in {1, 2, 4} (4:4:4, 4:2:2, 4:2:0, ...).
    matrix: "bt601", "bt709" or "bt2020".
    range: "limited" or "full".
    bit_depth: Bits of a sample, 8 to 16.

  Returns:
    uint8 [H, W, 3], rounded and clipped.

  Raises:
    ValueError: unknown matrix or range, or planes whose shapes do not fit.
  """
  red_weight, blue_weight = _weights(matrix)
  scale = sample_scale(range, bit_depth)
  luma = planes[0]
  height, width = luma.shape
  rgb = np.empty((height, width, 3), np.uint8)
  gain = np.float32(255 / scale.luma_gain)
  offset = np.float32(0.5 - scale.luma_offset * 255 / scale.luma_gain)
  chroma = None
  if len(planes) == 3:
    chroma = _chroma_to_rgb(planes, red_weight, blue_weight, scale)
  rows = max(1, _STRIP_PIXELS // width)
  for top in np.arange(0, height, rows):
    strip = slice(top, min(top + rows, height))
    base = luma[strip] * gain + offset
    for channel in (0, 1, 2):
      value = base
      if chroma is not None:
        plane, factors = chroma
        value = base + _upsample_rows(plane[channel], factors, strip, width)
      # 0.5 is in the offset, so that this truncation rounds.
      rgb[strip, :, channel] = np.clip(value, 0, 255)
  return rgb


def _chroma_to_rgb(planes, red_weight, blue_weight, scale):
  """What chroma adds to R, G and B, at chroma resolution, and the subsampling."""
  luma, u, v = planes
  if u.shape != v.shape:
    raise ValueError(f"chroma planes must be alike, not {u.shape} and {v.shape}")
  factors = tuple(
    next((f for f in (1, 2, 4) if -(-full // f) == part), None)
    for full, part in zip(luma.shape, u.shape)
  )
  if None in factors:
    raise ValueError(
      f"chroma of {u.shape} does not fit luma of {luma.shape}: each side must be that "
      "of the luma divided by 1, 2 or 4, rounded up"
    )
  green_weight = 1 - red_weight - blue_weight
  to_blue = 255 / scale.chroma_gain * (2 - 2 * blue_weight)
  to_red = 255 / scale.chroma_gain * (2 - 2 * red_weight)
  u = u.astype(np.float32) - np.float32(scale.chroma_offset)
  v = v.astype(np.float32) - np.float32(scale.chroma_offset)
  red, blue = v * np.float32(to_red), u * np.float32(to_blue)
  green = red * np.float32(-red_weight / green_weight)
  green += blue * np.float32(-blue_weight / green_weight)
  return (red, green, blue), factors


def _upsample_rows(plane, factors, strip, width):
  """Luma rows `strip` of a chroma plane, upsampled to `width` columns."""
  vertical, horizontal = factors
  if vertical > 1:
    # Luma row i lies at (i + 1/2) / vertical - 1/2 among the chroma rows.
    position = (np.arange(strip.start, strip.stop) + 0.5) / vertical - 0.5
    position = np.clip(position, 0, plane.shape[0] - 1)
    above = position.astype(np.int64)
    below = np.minimum(above + 1, plane.shape[0] - 1)
    weight = (position - above).astype(np.float32)[:, None]
    upper = plane[above]
    plane = plane[below]
    plane -= upper
    plane *= weight
    plane += upper
  else:
    plane = plane[strip]
  if horizontal == 1:
    return plane
  # Luma column j lies at j / horizontal among the chroma columns.
  columns = plane.shape[1]
  result = np.empty((plane.shape[0], columns * horizontal), np.float32)
  result[:, ::horizontal] = plane
  for phase in range(1, horizontal):
    weight = np.float32(phase / horizontal)
    inner = plane[:, :-1] * (1 - weight)
    inner += plane[:, 1:] * weight
    result[:, phase:-horizontal:horizontal] = inner
    result[:, -horizontal + phase] = plane[:, -1]
  return result[:, :width]


def rgb_to_yuv(
  rgb: np.ndarray,
  matrix: str = "bt709",
  range: str = "limited",
  subsampling: str = "444",
) -> tuple:
  """Converts RGB to planar 8-bit Y'CbCr.

  Args:
    rgb: uint8 [H, W, 3].
    matrix: "bt601", "bt709" or "bt2020".
    range: "limited" or "full".
    subsampling: "444", "422" or "420".

  Returns:
    (y, u, v), uint8, rounded and clipped: y [H, W]; u and v [H, W], [H, ceil(W / 2)] or
    [ceil(H / 2), ceil(W / 2)].

  Raises:
    ValueError: unknown matrix, range or subsampling, or no RGB frame.
  """
  red_weight, blue_weight = _weights(matrix)
  scale = sample_scale(range)
  _check("subsampling", subsampling, ("444", "422", "420"))
  if rgb.ndim != 3 or rgb.shape[-1] != 3 or rgb.dtype != np.uint8:
    raise ValueError(f"rgb must be uint8 [H, W, 3], not {rgb.dtype} {list(rgb.shape)}")
  red, green, blue = np.moveaxis(rgb.astype(np.float32) / 255, -1, 0)
  luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
  chroma = (
    (blue - luma) / (2 - 2 * blue_weight),
    (red - luma) / (2 - 2 * red_weight),
  )
  planes = [scale.luma_offset + scale.luma_gain * luma]
  for plane in chroma:
    if subsampling != "444":
      plane = _halve_columns(plane)
    if subsampling == "420":
      plane = _halve_rows(plane)
    planes.append(scale.chroma_offset + scale.chroma_gain * plane)
  return tuple(np.clip(plane + 0.5, 0, 255).astype(np.uint8) for plane in planes)


def _halve_columns(plane):
  """Filter (1, 2, 1) / 4 at the even columns, with repeated borders."""
  left = np.concatenate([plane[:, :1], plane[:, 1:-1:2]], 1)[
    :, : (plane.shape[1] + 1) // 2
  ]
  middle = plane[:, ::2]
  right = plane[:, 1::2]
  if plane.shape[1] % 2:
    right = np.concatenate([right, plane[:, -1:]], 1)
  return 0.25 * left + 0.5 * middle + 0.25 * right


def _halve_rows(plane):
  """Mean of two rows; the last of an odd number stands alone."""
  lower = plane[1::2]
  if plane.shape[0] % 2:
    lower = np.concatenate([lower, plane[-1:]], 0)
  return 0.5 * (plane[::2] + lower)


def _weights(matrix: str):
  _check("matrix", matrix, MATRICES)
  return MATRICES[matrix]


def _check(name: str, value, known):
  if value not in known:
    raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
