"""The stream of a compressed video: a header, one record per frame, an end record.

Records are framed as TFRecords (`record.py`); what they hold is in `packing.py` and,
byte by byte, in `docs/bitstream.md`. Each record after the header ends with the
*chain*, the running CRC-32 of all that came before it and of itself. A record's own
checksum finds damaged bits, the chain finds sound records in the wrong place: swapped,
dropped, repeated or taken from another stream. The header holds a checksum of the
first frame, so that the chains of two streams that are otherwise alike differ from
the start. CRC-32C (framing) and CRC-32 (chain) are different polynomials, so that what
one misses the other sees.

Records that a reader may come to without those before them (I frames, index, end) carry
a *seal* as well, the CRC-32 of the header and themselves. An index in front of the end
(`seek_index.py`) says where I frames lie. `resilient.py` reads on behind damage.
"""

import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Optional

from tfafs.coding import byte_sources, packing, record, seek_index
from tfafs.coding.packing import EndRecord, FrameRecord, StreamError, StreamHeader

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

  def __init__(self, file: BinaryIO, header: StreamHeader, index: bool = False):
    """Checks the header; nothing is written yet.

    Args:
      file: binary file object with `write`.
      header: StreamHeader; `frame_count=None` if the count is not known yet.
      index: whether to write an index for seeking in front of the end record.

    Raises:
      ValueError: a field of the header is out of its range.
    """
    self.header = header
    self.frames = 0
    self._file = file
    self._since_intra = 0
    self._closed = False
    packing.pack_header(header)
    self._identity = 0
    self._index = seek_index.SeekIndex() if index else None
    self._chain = 0
    self._max_length = packing.max_record_length(header.width, header.height)
    self.num_bytes = 0

  def write(
    self, kind: str, strings: Sequence[bytes], checksum: Optional[bytes] = None
  ) -> int:
    """Writes one frame.

    Args:
      kind: "I" or "P".
      strings: the bit string of each of the frame's parts, in the codec's order.
      checksum: `frame_checksum.checksum` of the decoded frame, if the header says
        that frames have one; else None.

    Returns:
      Number of bytes of the frame's record, framing included.

    Raises:
      ValueError: the stream is closed, or the frame may not stand here: a P frame
        first, or `header.gop` frames or more behind the last I frame; or it is
        larger than `max_record_length`; or the checksum is missing or not wanted.
    """
    if self._closed:
      raise ValueError("the stream is closed: no frame can be added")
    if self.frames == packing.LIVE - 1:
      raise ValueError(f"a stream has at most {packing.LIVE - 1} frames: start another")
    if (checksum is not None) != self.header.frame_checksums:
      raise ValueError(
        f"frame {self.frames} has {'no' if checksum is None else 'a'} checksum; the "
        f"header says frame_checksums={self.header.frame_checksums}"
      )
    frame = FrameRecord(self.frames, kind, tuple(strings), checksum)
    body = packing.pack_frame(frame)
    since = 0 if kind == "I" else self._since_intra + 1
    problem = _misplaced(self.header, self.frames, since)
    if problem:
      raise ValueError(f"frame {self.frames} {problem}")
    if len(body) + 8 > self._max_length:
      raise ValueError(
        f"frame {self.frames} has {len(body)} bytes: more than "
        f"{self._max_length - 8} (64 KiB and 64 bits per pixel)"
      )
    if not self.frames:
      self.header = self.header._replace(first_frame=zlib.crc32(body))
      payload = packing.pack_header(self.header)
      self._identity = packing.stream_id(payload)
      self._chain = self._identity
      self.num_bytes += record.write_record(self._file, payload)
    if kind == "I" and self._index:
      self._index.add(self.frames, self.num_bytes, self._chain)
    self._since_intra = since
    self.frames += 1
    return self._write(body)

  def close(self) -> None:
    """Writes index and end record. The file stays open. A second call does nothing.

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
    size = self._write(seek_index.pack(self._index.entries)) if self._index else 0
    self._write(packing.pack_end(EndRecord(self.frames, size)))
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
    payload = packing.pack_payload(body, self._chain, self._identity)
    self._chain = zlib.crc32(body, self._chain)
    written = record.write_record(self._file, payload)
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
    frames: number of frames read so far, and of the next one.
    index: list of IndexEntry once a stream with an index was read to it, else None.
    index_bytes: size of the index's record, 0 as long as there is none.
  """

  def __init__(
    self,
    file: BinaryIO,
    max_pixels: int = packing.MAX_PIXELS,
    follow: Optional[float] = None,
  ):
    """Reads the header.

    Args:
      file: binary file object with `read`.
      max_pixels: largest `width * height` to accept; guards the decoder's memory.
      follow: if the file is still being written: seconds without a new byte after
        which it counts as cut. None: it ends where it ends.

    Raises:
      StreamError: the file is no stream, or its header is damaged or unusable.
    """
    self._growing = None if follow is None else byte_sources.GrowingFile(file, follow)
    self._file = self._growing or file
    seekable = not self._growing and getattr(file, "seekable", lambda: False)()
    self._start = file.tell() if seekable else None
    try:
      payload = record.read_record(self._file, _MAX_HEADER_LENGTH)
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
    self._promised = self.header.frame_count
    self.index = None
    self.index_bytes = 0
    self._ended = False
    self._since_intra = 0
    self._identity = packing.stream_id(payload)
    self._chain = self._identity
    self._offset = len(payload) + record.OVERHEAD  # of the next record
    self._seen = seek_index.SeekIndex()  # None once the way here was not all read
    self._max_length = packing.max_record_length(self.header.width, self.header.height)

  def __iter__(self) -> Iterator[FrameRecord]:
    while not self._ended:
      frame = self._accept(self._read_payload())
      if frame is not None:
        yield frame

  def seek(self, frame: int) -> bool:
    """Jumps, by the index, to the last I frame not behind `frame` that it lists.

    To be called before iteration. The frame that is found must be an I frame of this
    stream and of the number sought, and continue the chain that the index states.

    Args:
      frame: number of a frame.

    Returns:
      Whether it jumped. If not (no index, no sound one, a pipe, or nothing to gain),
      the reader stands where it stood.
    """
    if self._start is None:
      return False
    here = self._start + self._offset
    found = seek_index.find(self._file, self._start, self.header, self._identity)
    entries = [entry for entry in found or () if entry.frame <= frame]
    entry = entries[-1] if entries else None
    if entry and entry.offset > self._offset and self._leads_to_intra(entry):
      self.frames, self._offset, self._chain = entry
      self._seen = None
      here = self._start + entry.offset
    self._file.seek(here)
    return self._seen is None

  def _leads_to_intra(self, entry: seek_index.IndexEntry) -> bool:
    self._file.seek(self._start + entry.offset)
    try:
      payload = record.read_record(self._file, self._max_length) or b""
      body, chain = packing.unpack_payload(payload, self._identity)
      frame = packing.unpack_frame(body, self.header.frame_checksums)
    except ValueError:
      return False
    return (frame.kind, frame.index, chain) == (
      *("I", entry.frame),
      zlib.crc32(body, entry.chain),
    )

  def _error(self, message: str) -> StreamError:
    return StreamError(f"frame {self.frames}: {message}", frame=self.frames)

  def _read_payload(self) -> bytes:
    """Payload of the next record, its own checksums verified."""
    try:
      payload = record.read_record(self._file, self._max_length)
    except record.RecordError as error:
      if error.truncated:
        raise self._truncated(str(error)) from None
      raise self._error(f"the stream is damaged: {error}") from None
    if payload is None:
      raise self._truncated("it has no end record")
    return payload

  def _truncated(self, reason: str) -> StreamError:
    return StreamError(
      f"the stream is truncated behind {self.frames} whole frames: {reason}",
      frame=self.frames,
    )

  def _accept(self, payload: bytes) -> Optional[FrameRecord]:
    """Takes the next record; on StreamError all is as it was before.

    Returns:
      FrameRecord, or None if the record is that of no frame.
    """
    body, chain = self._open(payload)
    if chain != zlib.crc32(body, self._chain):
      raise self._error(
        "the record does not continue this stream: it is altered, out of order, or "
        "from another stream"
      )
    if self.index_bytes and body[:1] != b"E":
      raise self._error("the index is not the last record before the end")
    frame = None
    if body[:1] == b"E":
      self._take_end(body)
    elif body[:1] == seek_index.KIND:
      self._take_index(body)
    elif not body[:1].islower():  # records of lower-case kinds may be skipped
      frame = self._take_frame(body, self.frames)
    self._pass(payload, chain)
    return frame

  def _open(self, payload: bytes) -> tuple[bytes, int]:
    """Body of a record, and the chain behind it; StreamError if its seal is wrong."""
    try:
      return packing.unpack_payload(payload, self._identity)
    except ValueError as error:
      raise self._error(str(error)) from None

  def _pass(self, payload: bytes, chain: int) -> None:
    self._chain = chain
    self._offset += len(payload) + record.OVERHEAD

  def _take_frame(self, body: bytes, index: int) -> FrameRecord:
    """The frame of a record, if it may stand here and is frame `index`."""
    if body[:1] not in (b"I", b"P"):
      raise self._error(f"this tfafs does not know records of kind {body[:1]!r}")
    try:
      frame = packing.unpack_frame(body, self.header.frame_checksums)
    except ValueError as error:
      raise self._error(f"the record is malformed: {error}") from None
    if not index and zlib.crc32(body) != self.header.first_frame:
      raise self._error("it is not the frame that the header announces")
    if frame.index != index:
      raise self._error(f"the record says it is frame {frame.index}")
    since = 0 if frame.kind == "I" else self._since_intra + 1
    problem = _misplaced(self.header, index, since)
    if problem:
      raise self._error(f"it {problem}")
    if self._promised is not None and index >= self._promised:
      raise self._error("the header promised no more frames")
    if not since and self._seen:
      self._seen.add(index, self._offset, self._chain)
    self._since_intra = since
    self.frames = index + 1
    return frame

  def _take_index(self, body: bytes) -> None:
    try:
      entries = seek_index.unpack(body)
    except ValueError as error:
      raise self._error(f"the index is malformed: {error}") from None
    if self._seen and entries != self._seen.entries:
      raise self._error("the index does not list the I frames where they are")
    self.index = entries
    self.index_bytes = len(body) + packing.SEAL_BYTES + 4 + record.OVERHEAD

  def _take_end(self, body: bytes) -> None:
    try:
      end = packing.unpack_end(body)
    except ValueError as error:
      raise self._error(f"the record is malformed: {error}") from None
    if end.frames != self.frames:
      raise self._error("the end record does not count the frames before it")
    if not self.frames:
      raise self._error("the stream has no frames")
    if self._promised not in (None, self.frames):
      raise self._error(f"the header promised {self.header.frame_count} frames")
    if end.index_bytes != self.index_bytes:
      raise self._error("the end record does not state the size of the index")
    self._ended = True
    if self._growing:
      self._growing.patient = False
    if self._file.read(1):
      raise self._error("something follows the end of the stream")
