"""The index of a stream: where its intra frames lie, so that a reader may jump.

It is the last record before the end record, of kind `x`, and optional. Each entry names
an I frame, the offset of its record, and the chain in front of it, so that the jump
verifies what a reader who came all the way would. An index only says where to look:
what is found there is checked, and an index that is wrong is as good as none.
"""

import io
import struct
import zlib
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple, Optional

from tfafs.coding import packing, record

KIND = b"x"
MAX_ENTRIES = 4096  # fits into the smallest bound of a record

_ENTRY = struct.Struct("<IQI")  # frame, offset, chain
_END_BYTES = 33  # of the end record, framing, seal and chain included


class IndexEntry(NamedTuple):
  """An I frame: its index, where its record starts, and the chain in front of it.

  Offsets count from the first byte of the header record.
  """

  frame: int
  offset: int
  chain: int


class SeekIndex:
  """Collects the I frames of a stream, in bounded memory.

  Of more than 4096 I frames it keeps every second one, of those more than 4096 again
  every second, and so on: what it holds depends on the stream alone.

  Attributes:
    entries: list of IndexEntry.
  """

  def __init__(self):
    self.entries: list[IndexEntry] = []
    self._seen = 0
    self._stride = 1

  def add(self, frame: int, offset: int, chain: int) -> None:
    """Notes the next I frame."""
    if self._seen % self._stride == 0:
      if len(self.entries) == MAX_ENTRIES:
        del self.entries[1::2]
        self._stride *= 2
      if self._seen % self._stride == 0:
        self.entries.append(IndexEntry(frame, offset, chain))
    self._seen += 1


def pack(entries: Sequence[IndexEntry]) -> bytes:
  """Body of the record of these entries."""
  return KIND + b"".join(_ENTRY.pack(*entry) for entry in entries)


def unpack(body: bytes) -> list[IndexEntry]:
  """Inverse of `pack`; raises ValueError if `body` is no index."""
  entries, rest = divmod(len(body) - len(KIND), _ENTRY.size)
  if body[:1] != KIND or rest or not 1 <= entries <= MAX_ENTRIES:
    raise ValueError(f"an index of {len(body)} bytes")
  found = [
    IndexEntry(*_ENTRY.unpack_from(body, len(KIND) + i * _ENTRY.size))
    for i in range(entries)
  ]
  for one, next_ in zip(found, found[1:]):
    if next_.frame <= one.frame or next_.offset <= one.offset:
      raise ValueError("an index whose entries do not ascend")
  return found


def find(
  file: BinaryIO, start: int, header: packing.StreamHeader, identity: int
) -> Optional[list[IndexEntry]]:
  """Reads the index from the end of a seekable file, and nothing else.

  Args:
    file: binary file object; its position changes.
    start: position of the stream's first byte in it.
    header: the stream's header.
    identity: the stream id.

  Returns:
    Entries, or None if the stream has no index, or none that is sound: reading all of
    the stream will tell what is wrong.

  Raises:
    OSError: the file cannot be read or is not seekable.
  """
  size = file.seek(0, io.SEEK_END) - start
  if size < _END_BYTES:
    return None
  limit = packing.max_record_length(header.width, header.height)
  try:
    file.seek(start + size - _END_BYTES)
    payload = record.read_record(file, _END_BYTES) or b""
    end_body, end_chain = packing.unpack_payload(payload, identity)
    end = packing.unpack_end(end_body)
    offset = size - _END_BYTES - end.index_bytes
    if not 0 < end.index_bytes <= limit + record.OVERHEAD or offset <= 0:
      return None
    if header.frame_count not in (None, end.frames):
      return None
    file.seek(start + offset)
    payload = record.read_record(file, end.index_bytes - record.OVERHEAD) or b""
    if len(payload) + record.OVERHEAD != end.index_bytes:
      return None
    body, chain = packing.unpack_payload(payload, identity)
    if zlib.crc32(end_body, chain) != end_chain:
      return None
    entries = unpack(body)
  except ValueError:  # RecordError is one
    return None
  sound = entries[0].frame == 0 and entries[-1].frame < end.frames
  return entries if sound and entries[-1].offset < offset else None
