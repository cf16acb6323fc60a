"""Colour conversion against the formulas in float64, sample by sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfafs.coding import color

WEIGHTS = {
  "bt601": (0.299, 0.114),
  "bt709": (0.2126, 0.0722),
  "bt2020": (0.2627, 0.0593),
}


def chroma_at(plane, row, column, vertical, horizontal):
  """Linear interpolation at a luma sample; left-sited, vertically centred."""
  y = min(max((row + 0.5) / vertical - 0.5, 0), plane.shape[0] - 1)
  x = min(column / horizontal, plane.shape[1] - 1)
  top, left = int(y), int(x)
  bottom, right = min(top + 1, plane.shape[0] - 1), min(left + 1, plane.shape[1] - 1)
  upper = plane[top, left] * (1 - x + left) + plane[top, right] * (x - left)
  lower = plane[bottom, left] * (1 - x + left) + plane[bottom, right] * (x - left)
  return upper * (1 - y + top) + lower * (y - top)


def reference_rgb(planes, matrix, range_, bits, subsampling):
  """RGB as real numbers, 0 to 255, before rounding and clipping."""
  kr, kb = WEIGHTS[matrix]
  luma, u, v = (plane.astype(np.float64) for plane in planes)
  unit = 2.0 ** (bits - 8)
  result = np.empty((*luma.shape, 3))
  for row, column in np.ndindex(luma.shape):
    y = luma[row, column]
    cb, cr = (chroma_at(c, row, column, *subsampling) for c in (u, v))
    if range_ == "limited":
      y, cb, cr = (
        (y - 16 * unit) / 219,
        (cb - 128 * unit) / 224,
        (cr - 128 * unit) / 224,
      )
      y, cb, cr = y / unit, cb / unit, cr / unit
    else:
      top = 2**bits - 1
      y, cb, cr = y / top, (cb - 128 * unit) / top, (cr - 128 * unit) / top
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    result[row, column] = 255 * red, 255 * green, 255 * blue
  return result


def random_planes(random, height, width, subsampling, bits):
  chroma = [-(-height // subsampling[0]), -(-width // subsampling[1])]
  dtype = np.uint8 if bits == 8 else np.uint16
  shapes = ([height, width], chroma, chroma)
  return [random.integers(0, 2**bits, shape).astype(dtype) for shape in shapes]


@settings(max_examples=80, deadline=None)
@given(
  seed=st.integers(0, 2**32 - 1),
  height=st.integers(1, 13),
  width=st.integers(2, 13),
  subsampling=st.tuples(st.sampled_from([1, 2, 4]), st.sampled_from([1, 2, 4])),
  matrix=st.sampled_from(sorted(WEIGHTS)),
  range_=st.sampled_from(["limited", "full"]),
  bits=st.sampled_from([8, 9, 10, 12, 16]),
)
def test_yuv_to_rgb_rounds_the_exact_value(
  seed, height, width, subsampling, matrix, range_, bits
):
  # Sides that two factors would give are upsampled by the smaller.
  sides = [
    next(f for f in (1, 2, 4) if -(-n // f) == -(-n // factor))
    for n, factor in zip((height, width), subsampling)
  ]
  planes = random_planes(np.random.default_rng(seed), height, width, sides, bits)
  rgb = color.yuv_to_rgb(planes, matrix, range_, bits)
  exact = np.clip(reference_rgb(planes, matrix, range_, bits, sides), 0, 255)
  assert rgb.dtype == np.uint8
  assert rgb.shape == (height, width, 3)
  assert np.abs(rgb - exact).max() <= 0.5 + 1e-3


def test_large_frames_are_converted_like_small_ones():
  # More pixels than one strip holds, so that rows meet across strips.
  random = np.random.default_rng(0)
  planes = random_planes(random, 150, 401, (2, 2), 8)
  rgb = color.yuv_to_rgb(planes, "bt709", "limited")
  exact = np.clip(reference_rgb(planes, "bt709", "limited", 8, (2, 2)), 0, 255)
  assert np.abs(rgb - exact).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(
  ("matrix", "rgb", "yuv"),
  [
    # Colour bars of 100 %, as tabulated for BT.601 and BT.709.
    ("bt601", (255, 255, 255), (235, 128, 128)),
    ("bt601", (255, 0, 0), (81, 90, 240)),
    ("bt601", (0, 255, 0), (145, 54, 34)),
    ("bt601", (0, 0, 255), (41, 240, 110)),
    ("bt709", (255, 0, 0), (63, 102, 240)),
    ("bt709", (0, 255, 0), (173, 42, 26)),
    ("bt709", (0, 0, 255), (32, 240, 118)),
    ("bt709", (0, 0, 0), (16, 128, 128)),
  ],
)
def test_colour_bars(matrix, rgb, yuv):
  frame = np.full((2, 2, 3), rgb, np.uint8)
  planes = color.rgb_to_yuv(frame, matrix)
  assert [plane[0, 0] for plane in planes] == list(yuv)
  back = color.yuv_to_rgb(planes, matrix)
  assert np.abs(back.astype(int) - frame).max() <= 1


@settings(max_examples=60, deadline=None)
@given(
  seed=st.integers(0, 2**32 - 1),
  height=st.integers(1, 9),
  width=st.integers(1, 9),
  matrix=st.sampled_from(sorted(WEIGHTS)),
  range_=st.sampled_from(["limited", "full"]),
  subsampling=st.sampled_from(["444", "422", "420"]),
)
def test_rgb_to_yuv_rounds_the_exact_value(
  seed, height, width, matrix, range_, subsampling
):
  rgb = (
    np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
  )
  kr, kb = WEIGHTS[matrix]
  red, green, blue = np.moveaxis(rgb / 255.0, -1, 0)
  luma = kr * red + (1 - kr - kb) * green + kb * blue
  across, down = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}[subsampling]
  scales = ((16, 219), (128, 224)) if range_ == "limited" else ((0, 255), (128, 255))
  planes = color.rgb_to_yuv(rgb, matrix, range_, subsampling)
  assert np.abs(planes[0] - (scales[0][0] + scales[0][1] * luma)).max() <= 0.5 + 1e-3
  for plane, chroma in zip(
    planes[1:], ((blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr))
  ):
    assert plane.shape == (-(-height // down), -(-width // across))
    for row, column in np.ndindex(plane.shape):
      value = 0
      for i in range(down):
        line = chroma[min(row * down + i, height - 1)]
        middle = column * across
        if across == 2:
          left, right = max(middle - 1, 0), min(middle + 1, width - 1)
          value += (line[left] + 2 * line[middle] + line[right]) / (4 * down)
        else:
          value += line[middle] / down
      exact = np.clip(scales[1][0] + scales[1][1] * value, 0, 255)
      assert abs(plane[row, column] - exact) <= 0.5 + 1e-3


@pytest.mark.parametrize("range_", ["limited", "full"])
def test_round_trip_444_is_within_two_levels(range_):
  levels = np.arange(0, 256, 5, dtype=np.uint8)
  rgb = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(len(levels), -1, 3)
  for matrix in WEIGHTS:
    back = color.yuv_to_rgb(color.rgb_to_yuv(rgb, matrix, range_), matrix, range_)
    assert np.abs(back.astype(int) - rgb).max() <= 2


def test_gray():
  luma = np.arange(256, dtype=np.uint8).reshape(16, 16)
  full = color.yuv_to_rgb([luma], range="full")
  np.testing.assert_array_equal(full, np.repeat(luma[..., None], 3, -1))
  limited = color.yuv_to_rgb([luma], range="limited")
  exact = np.clip((luma.astype(float) - 16) * 255 / 219, 0, 255)
  assert np.abs(limited - exact[..., None]).max() <= 0.5 + 1e-3


def test_default_matrix():
  assert color.default_matrix(719) == "bt601"
  assert color.default_matrix(720) == "bt709"


def test_planes_are_left_alone():
  planes = random_planes(np.random.default_rng(1), 8, 8, (2, 2), 8)
  copies = [plane.copy() for plane in planes]
  for plane in planes:
    plane.setflags(write=False)
  color.yuv_to_rgb(planes)
  for plane, copy in zip(planes, copies):
    np.testing.assert_array_equal(plane, copy)


def test_errors_name_the_argument():
  gray = [np.zeros((4, 4), np.uint8)]
  rgb = np.zeros((4, 4, 3), np.uint8)
  with pytest.raises(ValueError, match=r"matrix must be one of bt601, bt709, bt2020"):
    color.yuv_to_rgb(gray, "bt470")
  with pytest.raises(ValueError, match="range must be one of limited, full"):
    color.yuv_to_rgb(gray, "bt709", "tv")
  with pytest.raises(ValueError, match="bit_depth must be 8 to 16, not 7"):
    color.yuv_to_rgb(gray, "bt709", "full", 7)
  with pytest.raises(ValueError, match="does not fit luma"):
    color.yuv_to_rgb([gray[0], gray[0][:3], gray[0][:3]])
  with pytest.raises(ValueError, match="must be alike"):
    color.yuv_to_rgb([gray[0], gray[0], gray[0][:2]])
  with pytest.raises(ValueError, match="subsampling must be one of 444, 422, 420"):
    color.rgb_to_yuv(rgb, subsampling="411")
  with pytest.raises(ValueError, match=r"rgb must be uint8 \[H, W, 3\], not float32"):
    color.rgb_to_yuv(rgb.astype(np.float32))
