"""Writers of uint8 RGB frames: lossless FFV1 in Matroska, y4m, PNG files.

Nothing half-written is left: a file is written beside its place under a temporary name
and renamed when the writer closes; an exception inside `with` removes it.
"""

import abc
import contextlib
import fractions
import os
import pathlib
import re
import shutil
import uuid

import av
import numpy as np

from tfafs.coding import color
from tfafs.coding.output import OutputFile

_FORMATS = ".mkv (lossless FFV1), .y4m, a folder or a pattern like frame_%05d.png (PNG)"
_NUMBER = re.compile(r"%(0\d+)?d")


class VideoWriter(abc.ABC):
  """Takes frames one by one; use it in `with`, or call `close` or `discard`.

  Attributes:
    frame_count: Number of frames written so far.
  """

  def __init__(self, width, height, frame_rate):
    if min(width, height) < 1:
      raise ValueError(f"width and height must be positive, not {width}x{height}")
    self.width = int(width)
    self.height = int(height)
    self.frame_rate = fractions.Fraction(frame_rate).limit_denominator(1001000)
    if self.frame_rate <= 0:
      raise ValueError(f"frame_rate must be positive, not {frame_rate}")
    self.frame_count = 0
    self._open = True

  def write(self, frame: np.ndarray):
    """Appends a frame, uint8 [height, width, 3]."""
    frame = np.asarray(frame)
    expected = (self.height, self.width, 3)
    if frame.shape != expected or frame.dtype != np.uint8:
      raise ValueError(
        f"frame must be uint8 {list(expected)}, not {frame.dtype} {list(frame.shape)}"
      )
    self._write(np.ascontiguousarray(frame))
    self.frame_count += 1

  def close(self):
    """Finishes the file and puts it in its place; without a frame, ValueError."""
    if self._open:
      try:
        if not self.frame_count:
          raise ValueError("no frame was written: a video needs at least one")
        self._finish()
        self._open = False
      finally:
        self.discard()

  def discard(self):
    """Removes what was written so far; what lay in its place stays as it was."""
    if self._open:
      self._open = False
      self._remove()

  @abc.abstractmethod
  def _write(self, frame):
    """Appends a contiguous frame of the right shape."""

  @abc.abstractmethod
  def _finish(self):
    """Completes what was written and renames it."""

  @abc.abstractmethod
  def _remove(self):
    """Removes what was written."""

  def __enter__(self):
    return self

  def __exit__(self, kind, value, traceback):
    if kind is None:
      self.close()
    else:
      self.discard()


def open_writer(path, width: int, height: int, frame_rate=25) -> VideoWriter:
  """Opens a video for writing.

  - NAME.mkv: FFV1 in RGB, lossless; version 3, with checksums, from 16x16 up.
  - NAME.y4m, or a binary file object (a pipe): 8-bit 4:4:4, limited range, with the
    matrix readers assume, BT.709 from 720 rows up and BT.601 below. Not lossless: a
    channel comes back up to 2 of 255 levels off.
  - a folder, or a path with a printf field such as OUT/frame_%05d.png: 8-bit RGB PNG,
    lossless, numbered from 0. The folder is made if its parent exists; it must not hold
    files named so. The frame rate is not stored.

  Files that exist are replaced when the writer closes.

  Args:
    path: Where to write; the ending chooses the format.
    width: Pixels in a row.
    height: Rows.
    frame_rate: Frames per second, a number or `Fraction`.

  Returns:
    A `VideoWriter`.

  Raises:
    ValueError: an unknown ending, a missing or a full folder, an impossible size or
      rate.
  """
  if hasattr(path, "write"):
    return _Y4MWriter(path, None, width, height, frame_rate)
  name = os.fspath(path)
  path = pathlib.Path(name)
  suffix = path.suffix.lower()
  if path.is_dir() or name.endswith(os.sep) or not suffix:
    return _PngWriter(path, "%06d.png", width, height, frame_rate)
  if suffix == ".png":
    if len(_NUMBER.findall(path.name)) != 1 or path.name.count("%") != 1:
      raise ValueError(
        f"{name}: a sequence of PNG files needs one number in its name, for example "
        f"{path.stem}_%05d.png"
      )
    return _PngWriter(path.parent, path.name, width, height, frame_rate)
  if suffix not in (".mkv", ".y4m"):
    raise ValueError(f"{name}: cannot write {suffix}; there are {_FORMATS}")
  if suffix == ".mkv":
    return _Ffv1Writer(path, width, height, frame_rate)
  return _Y4MWriter(None, path, width, height, frame_rate)


class _Ffv1Writer(VideoWriter):
  def __init__(self, path, width, height, frame_rate):
    super().__init__(width, height, frame_rate)
    self._output = OutputFile(path)
    try:
      self._container = av.open(self._output.file, "w", format="matroska")
      stream = self._container.add_stream("ffv1", rate=self.frame_rate)
      stream.width, stream.height = self.width, self.height
      stream.pix_fmt = "bgr0"
      # Version 3 cuts frames into slices; older FFmpeg fails on those it cannot cut.
      if min(self.width, self.height) >= 16:
        stream.options = {"level": "3", "slicecrc": "1"}
      else:
        stream.options = {"level": "1"}
      self._stream = stream
    except BaseException:
      self._output.discard()
      raise

  def _write(self, frame):
    picture = av.VideoFrame(self.width, self.height, "bgr0")
    plane = picture.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    rows = rows[: self.height, : 4 * self.width].reshape(self.height, self.width, 4)
    rows[..., :3] = frame[..., ::-1]
    rows[..., 3] = 0
    picture.pts = self.frame_count
    picture.time_base = 1 / self.frame_rate
    self._container.mux(self._stream.encode(picture))

  def _finish(self):
    self._container.mux(self._stream.encode(None))
    self._container.close()
    self._output.commit()

  def _remove(self):
    with contextlib.suppress(OSError, ValueError):
      self._container.close()
    self._output.discard()


class _Y4MWriter(VideoWriter):
  def __init__(self, file, path, width, height, frame_rate):
    super().__init__(width, height, frame_rate)
    self._output = None if path is None else OutputFile(path)
    self._file = file or self._output.file
    self._matrix = color.default_matrix(self.height)
    rate = self.frame_rate
    self._file.write(
      f"YUV4MPEG2 W{self.width} H{self.height} F{rate.numerator}:{rate.denominator} "
      "Ip A1:1 C444 XCOLORRANGE=LIMITED\n".encode()
    )

  def _write(self, frame):
    planes = color.rgb_to_yuv(frame, self._matrix, "limited", "444")
    self._file.write(b"FRAME\n" + b"".join(plane.tobytes() for plane in planes))
    if self._output is None:
      self._file.flush()

  def _finish(self):
    if self._output is not None:
      self._output.commit()

  def _remove(self):
    if self._output is not None:
      self._output.discard()


class _PngWriter(VideoWriter):
  """Numbered PNG files, written to a folder beside and moved in on close."""

  def __init__(self, folder, pattern, width, height, frame_rate):
    super().__init__(width, height, frame_rate)
    if folder.exists() and not folder.is_dir():
      raise ValueError(f"{folder} is a file: give a folder for PNG files")
    numbered = re.compile(_NUMBER.sub(r"\\d+", re.escape(pattern)))
    if folder.is_dir() and any(numbered.fullmatch(f.name) for f in folder.iterdir()):
      raise ValueError(
        f"{folder} holds files named like {pattern}: remove them or choose another "
        "folder"
      )
    if not folder.absolute().parent.is_dir():
      raise ValueError(
        f"{folder}: the folder {folder.absolute().parent} does not exist: make it first"
      )
    self._folder, self._pattern = folder, pattern
    self._part = (
      folder.absolute().parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.part"
    )
    self._part.mkdir()

  def _write(self, frame):
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = self.width, self.height, "rgb24"
    encoder.time_base = 1 / self.frame_rate
    encoder.thread_count = 1
    picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
    packets = encoder.encode(picture) + encoder.encode(None)
    data = b"".join(bytes(packet) for packet in packets)
    (self._part / (self._pattern % self.frame_count)).write_bytes(data)

  def _finish(self):
    if not self._folder.is_dir():
      os.replace(self._part, self._folder)
      return
    for file in sorted(self._part.iterdir()):
      os.replace(file, self._folder / file.name)
    self._part.rmdir()

  def _remove(self):
    shutil.rmtree(self._part, ignore_errors=True)
