"""From a decoded frame of any pixel format to uint8 RGB.

RGB comes through untouched. Planar Y'CbCr is converted by `tfafs.coding.color`;
libswscale serves only to unpack other layouts. More than 8 bits are rounded to 8;
transfer functions are left alone (HDR is not tone-mapped); alpha is dropped.
"""

import av
import numpy as np

from tfafs.coding import color

# AVColorSpace and AVColorRange, ISO/IEC 23091-2.
_MATRIX_CODES = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020"}
_UNSPECIFIED_MATRIX = (0, 2, 3)  # 0 is RGB, 3 reserved.
_RANGE_CODES = {1: "limited", 2: "full"}


def frame_to_rgb(frame: av.VideoFrame, matrix=None, range=None) -> np.ndarray:
  """Converts a decoded frame to uint8 RGB [H, W, 3], turned as its rotation says.

  Args:
    frame: Of any pixel format of 8 to 16 bits.
    matrix: "bt601", "bt709", "bt2020", or None for the frame's own or the default.
    range: "limited", "full", or None for the frame's own or the default.

  Raises:
    ValueError: the frame is coded in a colour space that is not converted here.
  """
  name, components = frame.format.name, frame.format.components
  depth = components[0].bits
  if depth > 16 or name.startswith("xyz"):
    raise ValueError(
      f"pixel format {name} is not supported: convert the video to 8 bits"
    )
  if frame.format.is_rgb or frame.format.has_palette:
    rgb = _rgb_samples(frame, depth)
  else:
    depth = max(depth, 8)  # Bitmaps of 1 bit are unpacked to 8.
    is_gray = len(components) < 3
    rgb = color.yuv_to_rgb(
      _yuv_planes(frame, depth, is_gray),
      "bt709" if is_gray else matrix or _matrix_of(frame),
      range or _range_of(frame, is_gray),
      depth,
    )
  turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
  return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


def _rgb_samples(frame, depth):
  """Samples of an RGB frame: 8 bits as they are, more are rounded to 8."""
  if depth <= 8:
    return frame.to_ndarray(format="rgb24")
  if frame.format.name.startswith("gbr") and frame.format.name.endswith("le"):
    green, blue, red = (_plane(p, depth) for p in frame.planes[:3])
    rgb = np.stack([red, green, blue], -1)
  else:
    rgb, depth = frame.to_ndarray(format="rgb48le"), 16
  return (rgb * np.float32(255 / (2**depth - 1)) + np.float32(0.5)).astype(np.uint8)


def _yuv_planes(frame, depth, is_gray):
  """Planes (y,) or (y, u, v) of a frame, in its own bit depth and subsampling."""
  components = frame.format.components
  count = 1 if is_gray else 3
  planar = [c.plane for c in components[:count]] == [0, 1, 2][:count]
  if len(components) == 2 or components[0].bits < 8 or frame.format.is_big_endian:
    planar = False  # Gray with alpha, bitmaps, swapped bytes.
  semiplanar = [c.plane for c in components] == [0, 1, 1]
  if semiplanar and not frame.format.is_big_endian:
    return _semiplanar_planes(frame, depth)
  if not planar:
    # libswscale only unpacks here: same bits, same subsampling, no colour conversion.
    layout = "gray" if is_gray else _planar_layout(frame.format)
    frame = frame.reformat(format=layout + (f"{depth}le" if depth > 8 else ""))
  return [_plane(plane, depth) for plane in frame.planes[:count]]


def _semiplanar_planes(frame, depth):
  """Planes (y, u, v) of a frame that keeps u and v side by side (NV12, P010).

  Not left to libswscale, which gives P010 of odd chroma width wrong last samples.
  """
  luma, chroma = (_plane(plane, depth, padded=True) for plane in frame.planes)
  width, height = frame.format.components[1].width, frame.format.components[1].height
  shift = 16 - depth if frame.format.name.startswith("p") else 0  # P010 fills the top.
  pair = [chroma[:height, i : 2 * width : 2] >> shift for i in range(2)]
  if frame.format.name in ("nv21", "nv42"):
    pair.reverse()
  return [luma[: frame.height, : frame.width] >> shift, *pair]


def _planar_layout(video_format):
  """Name of the planar 8-bit format that is subsampled like `video_format`."""

  def chroma_size(name):
    component = av.VideoFormat(name, 64, 64).components[1]
    return component.width, component.height

  layouts = ("yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p")
  wanted = chroma_size(video_format.name)
  return next(name for name in layouts if chroma_size(name) == wanted)


def _plane(plane, depth, padded=False):
  """One plane as an array that shares the frame's memory; rows with their padding."""
  dtype = np.dtype("<u2" if depth > 8 else "u1")
  rows = np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)
  return rows if padded else rows[: plane.height, : plane.width]


def _matrix_of(frame):
  code = int(frame.colorspace)
  if code in _MATRIX_CODES:
    return _MATRIX_CODES[code]
  if code in _UNSPECIFIED_MATRIX:
    return color.default_matrix(frame.height)
  raise ValueError(
    f"the stream names colour matrix {code} of ISO/IEC 23091-2, which is not "
    f"supported: say matrix={' or '.join(color.MATRICES)}"
  )


def _range_of(frame, is_gray):
  if frame.format.name.startswith("yuvj"):
    return "full"
  return _RANGE_CODES.get(int(frame.color_range), "full" if is_gray else "limited")
