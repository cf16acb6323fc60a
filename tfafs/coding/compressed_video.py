"""Compressed video files: write and read them frame by frame, or whole.

`CompressedVideoReader` lives in `compressed_reader.py`.
"""

import contextlib
import itertools
import os
import time
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Callable, NamedTuple, Optional, Union

import numpy as np

from tfafs.coding import frame_checksum
from tfafs.coding.bitstream import StreamWriter
from tfafs.coding.codec import Codec, EncodedFrame, Encoder
from tfafs.coding.compressed_reader import CompressedVideoReader, PathOrFile, is_path
from tfafs.coding.frame_checksum import DriftSummary
from tfafs.coding.output import OutputFile, naming_errors
from tfafs.coding.packing import StreamError, StreamHeader
from tfafs.coding.video_reader import open_video
from tfafs.coding.video_writer import open_writer


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
  """What `decompress_video` did.

  Attributes:
    frames: number of frames written, those that stand in for lost ones included.
    width, height: of a frame, in pixels.
    seconds: wall time.
    drift: DriftSummary, or None if the stream has no checksums of frames.
    lost: list of `range`, the frames that could not be had. Empty unless resilient.
    faults: list of str, what was wrong with the stream. Empty unless resilient.
  """

  frames: int
  width: int
  height: int
  seconds: float
  drift: Optional[DriftSummary] = None
  lost: Sequence[range] = ()
  faults: Sequence[str] = ()


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
    frame_checksums: bool = False,
    index: bool = False,
    quality: Optional[float] = None,
  ):
    """Opens the output; the header is written with the first frame.

    Args:
      codec: Codec.
      output: path, or binary file object with `write` and `flush`.
      width: of the frames, in pixels.
      height: of the frames, in pixels.
      frame_rate: frames per second.
      gop: every `gop`-th frame is intra; 0: only the first is.
      frame_checksums: whether to store 52 bytes per frame by which a decoder knows
        whether its frame is bit-exact, or how far it drifted (`frame_checksum.py`).
      index: whether to end the stream with an index for seeking, 16 bytes per intra
        frame.
      quality: of a codec of variable rate, see `Codec.quality_steps`.

    Raises:
      ValueError: an argument is out of range, or `output` cannot be a file.
      OSError: the output cannot be written.
    """
    self._encoder = Encoder(codec, gop, quality)
    header = StreamHeader(
      model=codec.model,
      fingerprint=codec.fingerprint,
      width=width,
      height=height,
      frame_count=None,
      frame_rate=Fraction(frame_rate).limit_denominator(1 << 20),
      gop=gop,
      quality=self._encoder.quality_steps,
      exact_index=codec.exact_index,
      frame_checksums=frame_checksums,
    )
    self._output = OutputFile(output) if is_path(output) else None
    self._live = None if self._output else output
    try:
      self._stream = StreamWriter(self._live or self._output.file, header, index)
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
    checksum = None
    if header.frame_checksums:
      checksum = frame_checksum.checksum(encoded.reconstruction)
    with naming_errors(self._output):
      self._stream.write(encoded.kind, encoded.strings, checksum)
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


def compress_video(
  codec: Codec,
  video: Union[str, os.PathLike, Iterable[np.ndarray]],
  output: PathOrFile,
  gop: int = 12,
  max_frames: Optional[int] = None,
  on_frame: Optional[Callable[[int, np.ndarray, EncodedFrame], None]] = None,
  frame_checksums: bool = False,
  index: bool = False,
  quality: Optional[float] = None,
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
    frame_checksums: whether to store a checksum of each decoded frame.
    index: whether to end the stream with an index for seeking.
    quality: of a codec of variable rate, see `Codec.quality_steps`.

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
    if is_path(video):
      video = stack.enter_context(open_video(video))
    size = (video.width, video.height)
    writer = stack.enter_context(
      CompressedVideoWriter(
        *(codec, output, *size, video.frame_rate, gop),
        *(frame_checksums, index, quality),
      )
    )
    for number, frame in enumerate(itertools.islice(video, max_frames)):
      encoded = writer.write(frame)
      psnrs.append(psnr(frame, encoded.reconstruction))
      bits += float(np.sum(encoded.bits, dtype=np.float64))
      if on_frame:
        on_frame(number, frame, encoded)
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

  Where a resilient reader misses frames, the frame before them is repeated as often (in
  front of the first that it has: that one), so that all others keep their time. Frames
  missing behind the last one are left out.

  Args:
    codec: the Codec that wrote the stream.
    source: path of the stream, binary file object, or CompressedVideoReader.
    output: path, as `open_writer` takes (.mkv, .y4m, or PNG), which appears whole or
      not at all; or a binary file object, which is given y4m.
    on_frame: called as `on_frame(number, frame)` after each frame that was decoded,
      with how many were written before it.

  Returns:
    DecompressionSummary.

  Raises:
    StreamError: the stream is damaged, cut, or of another codec; from a resilient
      reader only if there is not a single frame.
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
      last = None
      for frame in reader:
        number = reader.index - reader.start
        for _ in range(writer.frame_count, number):
          writer.write(frame if last is None else last)
        writer.write(frame)
        last = frame
        if on_frame:
          on_frame(number, frame)
      if last is None:
        raise StreamError(f"no frame can be had: {'; '.join(reader.faults)}")
  return DecompressionSummary(
    writer.frame_count,
    *size,
    time.monotonic() - start,
    reader.drift,
    reader.lost,
    reader.faults,
  )
