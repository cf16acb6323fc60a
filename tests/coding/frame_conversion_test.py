"""Frames of many pixel formats, packed by hand, against the planes they hold."""

import io

import av
import numpy as np
import PIL.Image
import pytest

from tfafs.coding import color, frame_conversion

HEIGHT, WIDTH = 14, 22


def make_frame(name, *planes):
  """A frame whose planes hold `planes`, arrays of bytes [rows, bytes]."""
  frame = av.VideoFrame(WIDTH, HEIGHT, name)
  for plane, data in zip(frame.planes, planes):
    data = np.ascontiguousarray(data)
    data = data.view(np.uint8).reshape(data.shape[0], -1)
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    rows[: data.shape[0], : data.shape[1]] = data
  return frame


@pytest.fixture
def random():
  return np.random.default_rng(5)


def samples(random, height, width, bits=8):
  dtype = np.uint8 if bits == 8 else np.uint16
  return random.integers(0, 2**bits, (height, width)).astype(dtype)


@pytest.mark.parametrize(
  "name",
  ["rgb24", "bgr24", "rgba", "bgra", "argb", "abgr", "bgr0", "0rgb", "gbrp", "gbrap"],
)
def test_8_bit_rgb_is_untouched(random, name):
  channels = dict(zip("rgba0", random.integers(0, 256, (5, HEIGHT, WIDTH), np.uint8)))
  if name.startswith("gbr"):
    frame = make_frame(name, *(channels[c] for c in name[:-1]))
  else:
    order = name.rstrip("24")
    frame = make_frame(name, np.stack([channels[c] for c in order], -1))
  expected = np.stack([channels[c] for c in "rgb"], -1)
  np.testing.assert_array_equal(frame_conversion.frame_to_rgb(frame), expected)


@pytest.mark.parametrize(
  ("name", "bits"),
  [
    ("gbrp10le", 10),
    ("gbrp12le", 12),
    ("gbrp16le", 16),
    ("rgb48le", 16),
    ("rgb48be", 16),
  ],
)
def test_deep_rgb_is_rounded(random, name, bits):
  rgb = random.integers(0, 2**bits, (HEIGHT, WIDTH, 3)).astype(np.uint16)
  if name.startswith("gbr"):
    frame = make_frame(name, rgb[..., 1], rgb[..., 2], rgb[..., 0])
  else:
    frame = make_frame(name, rgb.astype(">u2" if name.endswith("be") else "<u2"))
  exact = rgb * (255 / (2**bits - 1))
  error = np.abs(frame_conversion.frame_to_rgb(frame) - exact)
  assert error.max() <= 0.5 + 1e-3


@pytest.mark.parametrize(
  ("name", "down", "across", "bits"),
  [
    ("yuv420p", 2, 2, 8),
    ("yuvj420p", 2, 2, 8),
    ("yuv422p", 1, 2, 8),
    ("yuv440p", 2, 1, 8),
    ("yuv411p", 1, 4, 8),
    ("yuv410p", 4, 4, 8),
    ("yuv444p", 1, 1, 8),
    ("yuva420p", 2, 2, 8),
    ("yuv420p10le", 2, 2, 10),
    ("yuv422p12le", 1, 2, 12),
    ("yuv444p16le", 1, 1, 16),
    ("yuv420p10be", 2, 2, 10),
  ],
)
def test_planar_yuv(random, name, down, across, bits):
  chroma = -(-HEIGHT // down), -(-WIDTH // across)
  planes = [
    samples(random, *shape, bits) for shape in ((HEIGHT, WIDTH), chroma, chroma)
  ]
  stored = planes
  if name.endswith("be"):
    stored = [plane.astype(">u2") for plane in planes]
  frame = make_frame(name, *stored)
  range_ = "full" if name.startswith("yuvj") else "limited"
  expected = color.yuv_to_rgb(planes, "bt601", range_, bits)
  np.testing.assert_array_equal(frame_conversion.frame_to_rgb(frame), expected)
  for matrix, range_ in (("bt709", "full"), ("bt2020", "limited")):
    expected = color.yuv_to_rgb(planes, matrix, range_, bits)
    np.testing.assert_array_equal(
      frame_conversion.frame_to_rgb(frame, matrix, range_), expected
    )


@pytest.mark.parametrize(
  "name", ["nv12", "nv21", "p010le", "p016le", "yuyv422", "uyvy422"]
)
def test_interleaved_yuv_is_unpacked(random, name):
  bits = {"p010le": 10, "p016le": 16}.get(name, 8)
  down = 2 if name.startswith(("nv", "p0")) else 1
  luma = samples(random, HEIGHT, WIDTH, bits)
  u, v = (samples(random, HEIGHT // down, WIDTH // 2, bits) for _ in range(2))
  if down == 2:
    pair = (v, u) if name == "nv21" else (u, v)
    shift = 16 - bits if bits > 8 else 0  # P010 keeps its bits at the top.
    frame = make_frame(name, luma << shift, np.stack(pair, -1) << shift)
  else:
    columns = [luma[:, ::2], u, luma[:, 1::2], v]
    if name == "uyvy422":
      columns = [u, luma[:, ::2], v, luma[:, 1::2]]
    frame = make_frame(name, np.stack(columns, -1))
  expected = color.yuv_to_rgb([luma, u, v], "bt601", "limited", bits)
  np.testing.assert_array_equal(frame_conversion.frame_to_rgb(frame), expected)


@pytest.mark.parametrize(
  ("name", "bits"), [("gray", 8), ("ya8", 8), ("gray10le", 10), ("gray16be", 16)]
)
def test_gray_is_full_range(random, name, bits):
  luma = samples(random, HEIGHT, WIDTH, bits)
  stored = luma
  if name == "ya8":
    stored = np.stack([luma, samples(random, HEIGHT, WIDTH)], -1)
  elif name.endswith("be"):
    stored = luma.astype(">u2")
  rgb = frame_conversion.frame_to_rgb(make_frame(name, stored))
  exact = luma[..., None] * (255 / (2**bits - 1))
  assert np.abs(rgb - exact).max() <= 0.5 + 1e-3
  assert rgb.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("mode", ["P", "1", "L", "LA", "RGBA", "I;16"])
def test_png_modes(random, mode):
  if mode == "I;16":
    image = PIL.Image.fromarray(samples(random, HEIGHT, WIDTH, 16))
    exact = np.asarray(image)[..., None] * (255 / 65535)
  else:
    rgba = random.integers(0, 256, (HEIGHT, WIDTH, 4)).astype(np.uint8)
    image = PIL.Image.fromarray(rgba, "RGBA")
    if mode != "RGBA":
      image = image.convert("RGB").convert(mode)
    exact = np.asarray(image.convert("RGBA"))[..., :3].astype(float)
  file = io.BytesIO()
  image.save(file, "png")
  decoder = av.CodecContext.create("png", "r")
  decoder.thread_count = 1
  packet = av.Packet(file.getvalue())
  frame = (decoder.decode(packet) + decoder.decode(None))[0]
  assert np.abs(frame_conversion.frame_to_rgb(frame) - exact).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(
  ("code", "matrix"), [(1, "bt709"), (5, "bt601"), (6, "bt601"), (9, "bt2020")]
)
def test_matrix_and_range_of_the_frame_are_used(random, code, matrix):
  planes = [samples(random, HEIGHT, WIDTH) for _ in range(3)]
  frame = make_frame("yuv444p", *planes)
  frame.colorspace = code
  for range_code, range_ in ((0, "limited"), (1, "limited"), (2, "full")):
    frame.color_range = range_code
    expected = color.yuv_to_rgb(planes, matrix, range_)
    np.testing.assert_array_equal(frame_conversion.frame_to_rgb(frame), expected)


def test_unspecified_matrix_depends_on_the_height(random):
  planes = [samples(random, 720, 4) for _ in range(3)]
  frame = av.VideoFrame(4, 720, "yuv444p")
  for plane, data in zip(frame.planes, planes):
    np.frombuffer(plane, np.uint8).reshape(720, -1)[:, :4] = data
  expected = color.yuv_to_rgb(planes, "bt709", "limited")
  np.testing.assert_array_equal(frame_conversion.frame_to_rgb(frame), expected)


def test_unknown_colour_spaces_are_errors(random):
  frame = make_frame("yuv444p", *(samples(random, HEIGHT, WIDTH) for _ in range(3)))
  frame.colorspace = 8  # YCgCo
  with pytest.raises(ValueError, match=r"colour matrix 8 .* say matrix="):
    frame_conversion.frame_to_rgb(frame)
  with pytest.raises(ValueError, match=r"xyz12le is not supported"):
    frame_conversion.frame_to_rgb(av.VideoFrame(WIDTH, HEIGHT, "xyz12le"))
