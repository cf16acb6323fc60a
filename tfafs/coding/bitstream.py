"""The stream of a compressed video: a header, one record per frame, an end record.

Records are framed as TFRecords (`record.py`); what they hold is in `packing.py` and,
byte by byte, in `docs/bitstream.md`. Each record after the header ends with the
*chain*, the running CRC-32 of all that came before it and of itself. A record's own
checksum finds damaged bits, the chain finds sound records in the wrong place: swapped,
dropped, repeated or taken from another stream. The header holds a checksum of the
first frame, so that the chains of two streams that are otherwise alike differ from
the start. CRC-32C (framing) and CRC-32 (chain)
are different polynomials, so that what one misses the other sees.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Optional

from tfafs.coding import packing, record
from tfafs.coding.packing import FrameRecord, StreamError, StreamHeader

_UINT32 = struct.Struct("<I")
_END = ord("E")
_MAX_HEADER_LENGTH = 1024


class StreamWriter:
  """Writes a stream, frame by frame, to a binary file object or a pipe.

  Usage: `write` once per frame, then `close`. A writer that is not closed leaves a
  stream without an end record, which readers report as truncated.

  The header is written together with the first frame, whose checksum it holds.

  Attributes:
    header: the StreamHeader as it is, or will be, written.
    frames: number of frames written so far.
    num_bytes: number of bytes written so far.
  """

  def __init__(self, file: BinaryIO, header: StreamHeader):
    """Checks the header; nothing is written yet.

    Args:
      file: binary file object with `write`.
      header: StreamHeader; `frame_count=None` if the count is not known yet.

    Raises:
      ValueError: a field of the header is out of its range.
    """
    self.header = header
    self.frames = 0
    self._file = file
    self._since_intra = 0
    self._closed = False
    packing.pack_header(header)
    self._chain = 0
    self._max_length = packing.max_record_length(header.width, header.height)
    self.num_bytes = 0

  def write(self, kind: str, strings: Sequence[bytes]) -> int:
    """Writes one frame.

    Args:
      kind: "I" or "P".
      strings: the bit string of each of the frame's parts, in the codec's order.

    Returns:
      Number of bytes of the frame's record, framing included.

    Raises:
      ValueError: the stream is closed, or the frame may not stand here: a P frame
        first, or `header.gop` frames or more behind the last I frame; or it is
        larger than `max_record_length`.
    """
    if self._closed:
      raise ValueError("the stream is closed: no frame can be added")
    if self.frames == packing.LIVE - 1:
      raise ValueError(f"a stream has at most {packing.LIVE - 1} frames: start another")
    body = packing.pack_frame(FrameRecord(self.frames, kind, tuple(strings)))
    since = 0 if kind == "I" else self._since_intra + 1
    problem = _misplaced(self.header, self.frames, since)
    if problem:
      raise ValueError(f"frame {self.frames} {problem}")
    if len(body) + 4 > self._max_length:
      raise ValueError(
        f"frame {self.frames} has {len(body)} bytes: more than "
        f"{self._max_length - 4} (64 KiB and 64 bits per pixel)"
      )
    if not self.frames:
      self.header = self.header._replace(first_frame=zlib.crc32(body))
      payload = packing.pack_header(self.header)
      self._chain = zlib.crc32(payload[:-4])
      self.num_bytes += record.write_record(self._file, payload)
    self._since_intra = since
    self.frames += 1
    return self._write(body)

  def close(self) -> None:
    """Writes the end record. The file itself stays open. A second call does nothing.

    Raises:
      ValueError: the header promised another number of frames, or none was written.
    """
    if self._closed:
      return
    if self.header.frame_count not in (None, self.frames) or not self.frames:
      raise ValueError(
        f"{self.frames} frames were written; the header says "
        f"{self.header.frame_count or 'at least one'}"
      )
    self._write(bytes([_END]) + _UINT32.pack(self.frames))
    self._closed = True

  def rewrite_header(self, offset: int = 0) -> None:
    """Puts the frame count into the live header of a closed stream.

    Args:
      offset: position in the file, which must be seekable, where the stream starts.

    Raises:
      ValueError: the stream is not closed yet.
    """
    if not self._closed:
      raise ValueError("the frame count is known when the stream is closed: close it")
    self.header = self.header._replace(frame_count=self.frames)
    self._file.seek(offset)
    record.write_record(self._file, packing.pack_header(self.header))
    self._file.seek(offset + self.num_bytes)

  def _write(self, body: bytes) -> int:
    self._chain = zlib.crc32(body, self._chain)
    written = record.write_record(self._file, body + _UINT32.pack(self._chain))
    self.num_bytes += written
    return written


def _misplaced(header: StreamHeader, index: int, since_intra: int) -> Optional[str]:
  """Why a frame `since_intra` frames behind an I frame may not stand at `index`."""
  if not since_intra:
    return None
  if since_intra > index:
    return "is a P frame with no I frame before it"
  if header.gop and since_intra >= header.gop:
    return (
      f"is a P frame {since_intra} frames behind an I frame; the GOP is {header.gop}"
    )
  return None


class StreamReader:
  """Reads a stream, frame by frame, from a binary file object or a pipe.

  Iteration yields a FrameRecord per frame, each verified before it is yielded, and
  raises StreamError where the stream ends too early or is not sound. It stops only
  behind a sound end record that is followed by nothing.

  Attributes:
    header: StreamHeader.
    frames: number of frames read so far.
  """

  def __init__(self, file: BinaryIO, max_pixels: int = packing.MAX_PIXELS):
    """Reads the header.

    Args:
      file: binary file object with `read`.
      max_pixels: largest `width * height` to accept; guards the decoder's memory.

    Raises:
      StreamError: the file is no stream, or its header is damaged or unusable.
    """
    try:
      payload = record.read_record(file, _MAX_HEADER_LENGTH)
    except record.RecordError as error:
      raise StreamError(f"this is not a tfafs stream: {error}") from None
    if payload is None:
      raise StreamError("this is not a tfafs stream: the file is empty")
    self.header = packing.unpack_header(payload)
    pixels = self.header.width * self.header.height
    if pixels > max_pixels:
      raise StreamError(
        f"frames of {self.header.width}x{self.header.height} have {pixels} pixels: "
        f"more than max_pixels={max_pixels}"
      )
    self.frames = 0
    self._file = file
    self._since_intra = 0
    self._chain = zlib.crc32(payload[:-4])
    self._max_length = packing.max_record_length(self.header.width, self.header.height)

  def __iter__(self) -> Iterator[FrameRecord]:
    while True:
      body = self._read_body()
      if body[0] == _END:
        self._check_end(body)
        return
      if not body[:1].islower():  # records of lower-case kinds may be skipped
        yield self._frame(body)

  def _error(self, message: str) -> StreamError:
    return StreamError(f"frame {self.frames}: {message}", frame=self.frames)

  def _read_body(self) -> bytes:
    """Body of the next record, its checksums verified."""
    try:
      payload = record.read_record(self._file, self._max_length)
    except record.RecordError as error:
      if error.truncated:
        raise self._truncated(str(error)) from None
      raise self._error(f"the stream is damaged: {error}") from None
    if payload is None:
      raise self._truncated("it has no end record")
    if len(payload) < 5:
      raise self._error(f"the stream is damaged: a record of {len(payload)} bytes")
    body = payload[:-4]
    chain = zlib.crc32(body, self._chain)
    if chain != _UINT32.unpack(payload[-4:])[0]:
      raise self._error(
        "the record does not continue this stream: it is altered, out of order, or "
        "from another stream"
      )
    self._chain = chain
    return body

  def _truncated(self, reason: str) -> StreamError:
    return StreamError(
      f"the stream is truncated behind {self.frames} whole frames: {reason}",
      frame=self.frames,
    )

  def _frame(self, body: bytes) -> FrameRecord:
    if body[:1] not in (b"I", b"P"):
      raise self._error(f"this tfafs does not know records of kind {body[:1]!r}")
    try:
      frame = packing.unpack_frame(body)
    except ValueError as error:
      raise self._error(f"the record is malformed: {error}") from None
    if not self.frames and zlib.crc32(body) != self.header.first_frame:
      raise self._error("it is not the frame that the header announces")
    if frame.index != self.frames:
      raise self._error(f"the record says it is frame {frame.index}")
    since = 0 if frame.kind == "I" else self._since_intra + 1
    problem = _misplaced(self.header, self.frames, since)
    if problem:
      raise self._error(f"it {problem}")
    if self.frames == self.header.frame_count:
      raise self._error("the header promised no more frames")
    self._since_intra = since
    self.frames += 1
    return frame

  def _check_end(self, body: bytes) -> None:
    if len(body) != 5 or _UINT32.unpack(body[1:])[0] != self.frames:
      raise self._error("the end record does not count the frames before it")
    if not self.frames:
      raise self._error("the stream has no frames")
    if self.header.frame_count not in (None, self.frames):
      raise self._error(f"the header promised {self.header.frame_count} frames")
    if self._file.read(1):
      raise self._error("something follows the end of the stream")
