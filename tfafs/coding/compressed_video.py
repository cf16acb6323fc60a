"""Compressed video files: write and read them frame by frame, or whole.

`CompressedVideoReader` looks like the readers of `open_video`: it has a width, height,
frame rate, and yields frames; so whatever takes a video file takes a stream.
"""

import contextlib
import itertools
import os
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, BinaryIO, Callable, NamedTuple, Optional, Union

import numpy as np

from tfafs.coding.bitstream import StreamReader, StreamWriter
from tfafs.coding.codec import Codec, Decoder, EncodedFrame, Encoder
from tfafs.coding.output import OutputFile, naming_errors
from tfafs.coding.packing import StreamHeader
from tfafs.coding.video_reader import open_video
from tfafs.coding.video_writer import open_writer

_MAX_WAITING = 64  # records of frames that seeking may not need to decode

PathOrFile = Union[str, os.PathLike, BinaryIO]


def _is_path(value: Any) -> bool:
  return isinstance(value, (str, os.PathLike))


class CompressionSummary(NamedTuple):
  """What `compress_video` did.

  Attributes:
    frames: number of frames.
    width, height: of a frame, in pixels.
    num_bytes: size of the stream, header and framing included.
    estimated_bits: bits of all strings as the model estimates them.
    psnr: mean over frames of the PSNR of the reconstruction, 8-bit RGB, in dB.
    seconds: wall time of reading, encoding and writing.
  """

  frames: int
  width: int
  height: int
  num_bytes: int
  estimated_bits: float
  psnr: float
  seconds: float

  @property
  def bits_per_pixel(self) -> float:
    """Bits of the stream, header and framing included, per pixel."""
    return 8 * self.num_bytes / (self.frames * self.width * self.height)


class DecompressionSummary(NamedTuple):
  """What `decompress_video` did: frames, their size in pixels, wall time."""

  frames: int
  width: int
  height: int
  seconds: float


def psnr(frame: np.ndarray, reconstruction: np.ndarray) -> float:
  """Peak signal-to-noise ratio of two uint8 arrays of one shape, in dB."""
  difference = np.subtract(frame, reconstruction, dtype=np.int16).ravel()
  error = np.mean(np.square(difference, dtype=np.int32), dtype=np.float64)
  return float(10 * np.log10(255.0**2 / error)) if error else float("inf")


class CompressedVideoWriter:
  """Compresses frames into a stream, one at a time. A context manager.

      with CompressedVideoWriter(codec, "clip.tfafs", 640, 480, 25) as writer:
        for frame in frames:
          writer.write(frame)

  A path appears when the block ends, whole, and not at all if the block raises. To a
  binary file object or pipe the stream is written as it is made; its header then says
  "live", because the number of frames is not known yet.
  """

  def __init__(
    self,
    codec: Codec,
    output: PathOrFile,
    width: int,
    height: int,
    frame_rate: Union[Fraction, float],
    gop: int = 12,
  ):
    """Opens the output; the header is written with the first frame.

    Args:
      codec: Codec.
      output: path, or binary file object with `write` and `flush`.
      width: of the frames, in pixels.
      height: of the frames, in pixels.
      frame_rate: frames per second.
      gop: every `gop`-th frame is intra; 0: only the first is.

    Raises:
      ValueError: an argument is out of range, or `output` cannot be a file.
      OSError: the output cannot be written.
    """
    self._encoder = Encoder(codec, gop)
    header = StreamHeader(
      model=codec.model,
      fingerprint=codec.fingerprint,
      width=width,
      height=height,
      frame_count=None,
      frame_rate=Fraction(frame_rate).limit_denominator(1 << 20),
      gop=gop,
    )
    self._output = OutputFile(output) if _is_path(output) else None
    self._live = None if self._output else output
    try:
      self._stream = StreamWriter(self._live or self._output.file, header)
    except BaseException:
      self._discard()
      raise

  @property
  def header(self) -> StreamHeader:
    """The header written."""
    return self._stream.header

  @property
  def num_bytes(self) -> int:
    """Bytes written so far."""
    return self._stream.num_bytes

  @property
  def frames(self) -> int:
    """Frames written so far."""
    return self._stream.frames

  def write(self, frame: np.ndarray) -> EncodedFrame:
    """Compresses one frame.

    Args:
      frame: uint8 [height, width, 3], RGB.

    Returns:
      EncodedFrame: kind, strings, bits, reconstruction.

    Raises:
      ValueError: the frame has another size or type.
      OSError: the output cannot be written.
    """
    header = self.header
    if tuple(np.shape(frame)) != (header.height, header.width, 3):
      raise ValueError(
        f"frame {self.frames} has shape {list(np.shape(frame))}; the stream is "
        f"[{header.height}, {header.width}, 3]"
      )
    encoded = self._encoder.encode(frame)
    with naming_errors(self._output):
      self._stream.write(encoded.kind, encoded.strings)
      if self._live is not None:
        self._live.flush()
    return encoded

  def close(self) -> None:
    """Ends the stream and gives the file its name."""
    try:
      with naming_errors(self._output):
        self._stream.close()
        if self._output:
          if self._output.replaces:
            self._stream.rewrite_header()
          self._output.commit()
    except BaseException:
      self._discard()
      raise

  def __enter__(self) -> "CompressedVideoWriter":
    return self

  def __exit__(self, exception_type, *_) -> None:
    if exception_type is None:
      self.close()
    else:
      self._discard()

  def _discard(self) -> None:
    if self._output:
      self._output.discard()


class CompressedVideoReader:
  """Decompresses the frames of a stream, one at a time. A context manager.

  Iteration yields uint8 [height, width, 3] and raises StreamError where the stream is
  damaged or cut, after all frames before that point. Of frames before `start` only
  those since the last intra frame are decoded; nothing behind `end` is read.

  Attributes:
    header: StreamHeader.
    width, height, frame_rate: of the video, as in the header.
    frame_count: number of frames that iteration yields, None if it is not known.
  """

  def __init__(
    self,
    codec: Codec,
    source: PathOrFile,
    start: int = 0,
    end: Optional[int] = None,
  ):
    """Opens the stream and reads its header.

    Args:
      codec: the Codec that wrote it.
      source: path, or binary file object with `read`.
      start: first frame to yield.
      end: frame to stop before; None: go on to the end of the stream.

    Raises:
      StreamError: it is no stream, or one of another codec.
      ValueError: the stream cannot have the frames asked for.
      OSError: it cannot be read.
    """
    if start < 0 or (end is not None and end <= start):
      raise ValueError(f"start={start}, end={end}: give 0 <= start < end")
    self._start, self._end = start, end
    self._file = open(source, "rb") if _is_path(source) else source  # noqa: SIM115
    self._owned = _is_path(source)
    try:
      self._stream = StreamReader(self._file)
      self.header = self._stream.header
      codec.check_header(self.header)
      self.width, self.height = self.header.width, self.header.height
      self.frame_rate = self.header.frame_rate
      self.frame_count = self._count_frames()
      self._decoder = Decoder(codec, self.width, self.height)
    except BaseException:
      self.close()
      raise

  def __iter__(self) -> Iterator[np.ndarray]:
    waiting = []  # Records since the last intra frame, until one of them is wanted.
    for record in self._stream:
      if record.kind == "I":
        waiting.clear()
      waiting.append(record)
      if record.index < self._start:
        # Where no intra frame is near, decoding at once keeps memory bounded.
        if len(waiting) >= _MAX_WAITING:
          for skipped in waiting:
            self._decoder.decode(skipped)
          waiting.clear()
      else:
        *before, last = waiting
        for skipped in before:
          self._decoder.decode(skipped)
        yield self._decoder.decode(last)
        waiting.clear()
      if self._end is not None and record.index + 1 >= self._end:
        return
    if self._stream.frames <= self._start:
      raise self._no_such_frame(self._start, self._stream.frames)
    if self._end is not None:
      raise self._no_such_frame(self._end - 1, self._stream.frames)

  def _count_frames(self) -> Optional[int]:
    count = self.header.frame_count
    if count is None:
      return None if self._end is None else self._end - self._start
    last = self._start if self._end is None else self._end - 1
    if last >= count:
      raise self._no_such_frame(last, count)
    return (count if self._end is None else self._end) - self._start

  @staticmethod
  def _no_such_frame(index, count):
    return ValueError(f"there is no frame {index}: the stream has {count}, from 0")

  def close(self) -> None:
    """Closes the file if it was opened here."""
    if self._owned:
      self._file.close()

  def __enter__(self) -> "CompressedVideoReader":
    return self

  def __exit__(self, *_) -> None:
    self.close()


def compress_video(
  codec: Codec,
  video: Union[str, os.PathLike, Iterable[np.ndarray]],
  output: PathOrFile,
  gop: int = 12,
  max_frames: Optional[int] = None,
  on_frame: Optional[Callable[[int, np.ndarray, EncodedFrame], None]] = None,
) -> CompressionSummary:
  """Compresses a video into a stream, one frame in memory at a time.

  Args:
    codec: Codec.
    video: path of a video, or a reader as `open_video` makes: `width`, `height`,
      `frame_rate`, and iteration over uint8 [height, width, 3].
    output: path (appears whole or not at all), or binary file object.
    gop: every `gop`-th frame is intra; 0: only the first is.
    max_frames: stop after as many; None: take all.
    on_frame: called as `on_frame(index, frame, encoded)` after each frame.

  Returns:
    CompressionSummary.

  Raises:
    ValueError: the video has no frames, is no video, or an argument is out of range.
    OSError: a file cannot be read or written.
  """
  if max_frames is not None and max_frames < 1:
    raise ValueError(f"max_frames is {max_frames}: give at least 1")
  start = time.monotonic()
  psnrs, bits = [], 0.0
  with contextlib.ExitStack() as stack:
    if _is_path(video):
      video = stack.enter_context(open_video(video))
    size = (video.width, video.height)
    writer = stack.enter_context(
      CompressedVideoWriter(codec, output, *size, video.frame_rate, gop)
    )
    for index, frame in enumerate(itertools.islice(video, max_frames)):
      encoded = writer.write(frame)
      psnrs.append(psnr(frame, encoded.reconstruction))
      bits += float(np.sum(encoded.bits, dtype=np.float64))
      if on_frame:
        on_frame(index, frame, encoded)
    if not psnrs:
      raise ValueError("the video has no frames: there is nothing to compress")
  return CompressionSummary(
    frames=len(psnrs),
    width=size[0],
    height=size[1],
    num_bytes=writer.num_bytes,
    estimated_bits=bits,
    psnr=float(np.mean(psnrs)),
    seconds=time.monotonic() - start,
  )


def decompress_video(
  codec: Codec,
  source: Union[PathOrFile, CompressedVideoReader],
  output: PathOrFile,
  on_frame: Optional[Callable[[int, np.ndarray], None]] = None,
) -> DecompressionSummary:
  """Decompresses a stream into a video file, one frame in memory at a time.

  Args:
    codec: the Codec that wrote the stream.
    source: path of the stream, binary file object, or CompressedVideoReader.
    output: path, as `open_writer` takes (.mkv, .y4m, or PNG), which appears whole or
      not at all; or a binary file object, which is given y4m.
    on_frame: called as `on_frame(index, frame)` after each frame.

  Returns:
    DecompressionSummary.

  Raises:
    StreamError: the stream is damaged, cut, or of another codec.
    ValueError: `output` has a format that cannot be written.
    OSError: a file cannot be read or written.
  """
  start = time.monotonic()
  if isinstance(source, CompressedVideoReader):
    context = contextlib.nullcontext(source)
  else:
    context = CompressedVideoReader(codec, source)
  with context as reader:
    size = (reader.width, reader.height)
    with open_writer(output, *size, reader.frame_rate) as writer:
      for index, frame in enumerate(reader):
        writer.write(frame)
        if on_frame:
          on_frame(index, frame)
  return DecompressionSummary(index + 1, *size, time.monotonic() - start)
