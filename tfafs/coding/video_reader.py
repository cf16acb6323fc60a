"""Videos as iterators over uint8 RGB frames [H, W, 3], one frame in memory at a time.

`open_video` reads what PyAV (FFmpeg) reads, folders of PNG files and raw planar YUV.

Colour: RGB sources come through untouched. Y'CbCr is converted by `tfafs.coding.color`
with the matrix and range the stream names; where it names none, with BT.709 from 720
rows up and BT.601 below, limited range (gray without a stated range is full). More than
8 bits are rounded to 8; transfer functions are left alone (HDR is not tone-mapped);
alpha is dropped. Interlaced frames are not de-interlaced.

Geometry: the frame's own samples, never stretched to a display aspect ratio; a rotation
by a multiple of 90 degrees that a phone noted in the file is applied (av >= 14).

Time: frames come in presentation order, each once. For a variable frame rate
`frame_rate` is the average and the time stamps are dropped. A file that is cut off,
where its format allows that at all, gives the frames up to there.
"""

import abc
import fractions
import os
import pathlib
import re
from typing import Optional

import av
import numpy as np

from tfafs.coding import color
from tfafs.coding.frame_conversion import frame_to_rgb

SUFFIXES = (".mp4", ".mkv", ".webm", ".y4m", ".mov", ".avi", ".m4v", ".png")
"""Endings taken for videos in a folder; raw ".yuv" is taken where a size is given."""

_DEFAULT_FRAME_RATE = fractions.Fraction(25)
_NO_VIDEO_FORMATS = ("tty", "bin", "adf", "idf", "xbin")  # FFmpeg paints text files.
_RAW_FORMAT = re.compile(r"(gray|yuv(420|422|444)p)(10|12|14|16)?(le)?")


class VideoReader(abc.ABC):
  """An open video. Iterate over it for its frames; close it, or use it in `with`.

  Files can be iterated over again, once the last iteration has ended; pipes cannot.

  Attributes:
    name: What error messages call it.
    width: Pixels in a row.
    height: Rows.
    frame_rate: `Fraction`, frames per second.
    frame_count: Number of frames as stated by the container, or None if unknown.
  """

  def __init__(self, name, width, height, frame_rate, frame_count):
    self.name = name
    self.width = width
    self.height = height
    self.frame_rate = fractions.Fraction(frame_rate)
    self.frame_count = frame_count

  @abc.abstractmethod
  def __iter__(self):
    """Yields uint8 [height, width, 3]."""

  def close(self):  # noqa: B027
    """Closes the file, where one is kept open."""

  def __enter__(self):
    return self

  def __exit__(self, *exception):
    self.close()


def open_video(
  path,
  size=None,
  pixel_format: str = "yuv420p",
  matrix=None,
  range=None,
  frame_rate=None,
) -> VideoReader:
  """Opens a video for reading.

  Args:
    path: A video file (mp4, mkv, webm, y4m, ... whatever FFmpeg reads), a folder of PNG
      files (read in natural order: 2 before 10), a raw planar YUV file, or a binary
      file object with `read` (a pipe will do: y4m, mkv, or raw if `size` is given).
    size: (width, height) of raw YUV. It is never guessed from the file's name.
    pixel_format: Layout of raw YUV: gray, yuv420p, yuv422p or yuv444p, followed by
      10le, 12le, 14le or 16le for more than 8 bits.
    matrix: "bt601", "bt709" or "bt2020"; None takes the stream's own, or the default.
    range: "limited" or "full"; None takes the stream's own, or limited.
    frame_rate: Frames per second; None takes the stream's own, or 25 where there is
      none.

  Returns:
    A `VideoReader`.

  Raises:
    ValueError: nothing there, no video, no frame, a size that does not fit, PNG files
      of different sizes. The message is one line that names the file and the remedy.
  """
  for name, value, known in (
    ("matrix", matrix, color.MATRICES),
    ("range", range, color.RANGES),
  ):
    if value is not None and value not in known:
      raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
  if frame_rate is not None and not frame_rate > 0:
    raise ValueError(f"frame_rate must be positive, not {frame_rate}")
  if hasattr(path, "read"):
    name = str(getattr(path, "name", "input"))
    if size is not None:
      return _RawReader(path, name, size, pixel_format, matrix, range, frame_rate)
    return _ContainerReader(path, name, matrix, range, frame_rate)
  name = os.fspath(path)
  path = pathlib.Path(name)
  if not path.exists():
    raise ValueError(f"{name}: no such file or folder")
  if path.is_dir():
    if size is not None:
      raise ValueError(f"{name} is a folder: size belongs to raw YUV files")
    return _PngFolderReader(path, matrix, range, frame_rate)
  suffix = path.suffix.lower()
  if size is None and suffix == ".yuv":
    raise ValueError(
      f"{name}: raw YUV does not state its size: give it, for example size=(832, 480)"
    )
  if size is not None and suffix in SUFFIXES:
    raise ValueError(f"{name} states its own size: size belongs to raw YUV files")
  if path.is_file() and path.stat().st_size == 0:
    raise ValueError(f"{name} is empty: give a file with at least one frame")
  if size is not None:
    return _RawReader(path, name, size, pixel_format, matrix, range, frame_rate)
  return _ContainerReader(path, name, matrix, range, frame_rate)


def natural_key(name: str) -> list:
  """Sort key that puts "frame2" before "frame10"."""
  parts = re.split(r"(\d+)", str(name))
  return [(int(p), p) if i % 2 else (0, p) for i, p in enumerate(parts)]


class _ContainerReader(VideoReader):
  """Whatever FFmpeg can open. The first frame is decoded at once: it tells the size."""

  def __init__(self, source, name, matrix, range, frame_rate):
    self._source, self._colors = source, (matrix, range)
    self._container = None
    self.name = name
    try:
      self._open()
      stated = self._stream.average_rate or self._stream.guessed_rate
      rate = frame_rate or stated or _DEFAULT_FRAME_RATE
      height, width = self._first.shape[:2]
    except BaseException:
      self.close()
      raise
    super().__init__(name, width, height, rate, self._stream.frames or None)

  def _open(self):
    source = self._source
    try:
      self._container = av.open(
        source if hasattr(source, "read") else os.fspath(source), mode="r"
      )
    except (av.error.FFmpegError, UnicodeDecodeError) as error:
      raise ValueError(
        f"{self.name} is no video that FFmpeg reads ({_reason(error)}): give a "
        "whole mp4, mkv, webm or y4m file, a folder of PNG files, or raw YUV with its "
        "size"
      ) from error
    if self._container.format.name in _NO_VIDEO_FORMATS:
      raise ValueError(f"{self.name} is a text file: give a video")
    if not self._container.streams.video:
      raise ValueError(f"{self.name} has no video stream: give a file with pictures")
    self._stream = self._container.streams.video[0]
    self._stream.thread_type = "AUTO"
    self._frames = self._decode()
    self._first = next(self._frames, None)
    if self._first is None:
      raise ValueError(f"{self.name} holds no frame that decodes: is it cut off?")

  def _decode(self):
    count = 0
    try:
      for frame in self._container.decode(self._stream):
        yield frame_to_rgb(frame, *self._colors)
        count += 1
    except av.error.FFmpegError as error:
      raise ValueError(
        f"{self.name}: frame {count} does not decode ({_reason(error)}): the file is "
        "damaged or cut off"
      ) from error

  def __iter__(self):
    if self._frames is None:
      if hasattr(self._source, "read"):
        raise ValueError(f"{self.name} was read already: a file object is read once")
      self.close()
      self._open()
    first, frames = self._first, self._frames
    self._first = self._frames = None
    index = 0
    while first is not None:
      if first.shape[:2] != (self.height, self.width):
        raise ValueError(
          f"{self.name}: frame {index} has {first.shape[1]}x{first.shape[0]} pixels, "
          f"the first {self.width}x{self.height}: cut the file where its size changes"
        )
      yield first
      first = next(frames, None)
      index += 1

  def close(self):
    if self._container is not None:
      self._container.close()
      self._container = None


class _PngFolderReader(VideoReader):
  """The PNG files of a folder in natural order, all of one size."""

  def __init__(self, path, matrix, range, frame_rate):
    self._colors = matrix, range
    self._files = sorted(
      (p for p in path.iterdir() if p.suffix.lower() == ".png"),
      key=lambda p: natural_key(p.name),
    )
    if not self._files:
      raise ValueError(f"{path} holds no PNG file: give a folder of frames")
    height, width = self._read(self._files[0]).shape[:2]
    rate = frame_rate or _DEFAULT_FRAME_RATE
    super().__init__(str(path), width, height, rate, len(self._files))

  def _read(self, file):
    try:
      decoder = av.CodecContext.create("png", "r")
      decoder.thread_count = 1
      frames = decoder.decode(av.Packet(file.read_bytes())) + decoder.decode(None)
    except (av.error.FFmpegError, ValueError) as error:
      raise ValueError(f"{file} is no PNG file ({_reason(error)})") from error
    if not frames:
      raise ValueError(f"{file} is no PNG file, or an empty one")
    return frame_to_rgb(frames[0], *self._colors)

  def __iter__(self):
    for file in self._files:
      frame = self._read(file)
      if frame.shape[:2] != (self.height, self.width):
        raise ValueError(
          f"{file} has {frame.shape[1]}x{frame.shape[0]} pixels, the first file "
          f"{self.width}x{self.height}: all files of a folder must have one size"
        )
      yield frame


class _RawReader(VideoReader):
  """Raw planar samples, frame after frame, no header."""

  def __init__(self, source, name, size, pixel_format, matrix, range, frame_rate):
    match = _RAW_FORMAT.fullmatch(pixel_format)
    if match is None or bool(match[3]) != bool(match[4]):
      raise ValueError(
        "pixel_format must be gray, yuv420p, yuv422p or yuv444p, with 10le, 12le, "
        f"14le or 16le for more bits, not {pixel_format!r}"
      )
    width, height = (int(n) for n in size)
    if min(width, height) < 1:
      raise ValueError(f"size must be (width, height), both positive, not {size}")
    self._source = source
    self._bit_depth = int(match[3] or 8)
    self._matrix = matrix or color.default_matrix(height)
    self._range = range or "limited"
    chroma = {
      "420": ((height + 1) // 2, (width + 1) // 2),
      "422": (height, (width + 1) // 2),
      "444": (height, width),
    }
    self._shapes = [(height, width)]
    if match[2]:
      self._shapes += [chroma[match[2]]] * 2
    self._dtype = np.dtype("<u2" if self._bit_depth > 8 else "u1")
    samples = sum(h * w for h, w in self._shapes)
    self._frame_bytes = samples * self._dtype.itemsize
    self._label = f"{width}x{height} {pixel_format}"
    count = None
    if not hasattr(source, "read") and source.is_file():
      length = source.stat().st_size
      count, rest = divmod(length, self._frame_bytes)
      if rest:
        raise ValueError(
          f"{name} has {length} bytes, no multiple of the {self._frame_bytes} bytes of "
          f"a {self._label} frame: check size and pixel_format"
        )
    self._opened = False
    super().__init__(name, width, height, frame_rate or _DEFAULT_FRAME_RATE, count)

  def __iter__(self):
    if not hasattr(self._source, "read"):
      with open(self._source, "rb") as file:
        yield from self._read(file)
    elif self._opened:
      raise ValueError(f"{self.name} was read already: a file object is read once")
    else:
      self._opened = True
      yield from self._read(self._source)

  def _read(self, file):
    index = 0
    while True:
      data = file.read(self._frame_bytes)
      while data and len(data) < self._frame_bytes:  # A pipe may give less at a time.
        more = file.read(self._frame_bytes - len(data))
        if not more:
          raise ValueError(
            f"{self.name} ends inside frame {index}: {len(data)} of the "
            f"{self._frame_bytes} bytes of a {self._label} frame"
          )
        data += more
      if not data:
        return
      yield self._convert(np.frombuffer(data, self._dtype))
      index += 1

  def _convert(self, samples):
    planes = []
    for height, width in self._shapes:
      planes.append(samples[: height * width].reshape(height, width))
      samples = samples[height * width :]
    return color.yuv_to_rgb(planes, self._matrix, self._range, self._bit_depth)


def _reason(error):
  """The last words of an FFmpeg error, on one line."""
  return str(getattr(error, "strerror", None) or error).splitlines()[0]


def parse_size(text: Optional[str], name: str = "raw_size"):
  """Reads "832x480" as (832, 480), and "" or None as None.

  Raises:
    ValueError: it is of another form. The message calls it `name`.
  """
  if not text:
    return None
  parts = text.lower().split("x")
  if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
    raise ValueError(f"{name} must look like 832x480 (width x height), not {text!r}")
  return int(parts[0]), int(parts[1])
