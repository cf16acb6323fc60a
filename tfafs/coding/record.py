"""TFRecord framing over any binary file object, pipes included.

A record is

    length   uint64   little-endian
    check    uint32   masked CRC-32C of the eight length bytes
    data     length bytes
    check    uint32   masked CRC-32C of data

so `tf.data.TFRecordDataset` reads these files, and any TFRecord library does.
tf.data itself is not used here because it needs a file with a name, and allocates
whatever a length field says.
"""

import struct
from typing import BinaryIO, Optional

import google_crc32c

OVERHEAD = 16  # bytes that framing adds to each record

HEAD = 12  # of these, those before the data

_LENGTH = struct.Struct("<Q")
_CHECK = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8
_CHUNK = 1 << 20  # no single allocation trusts a length further than this


class RecordError(ValueError):
  """The bytes are not a whole, sound record.

  Attributes:
    truncated: True if the file ended within the record, False if it is damaged.
  """

  def __init__(self, message: str, truncated: bool = False):
    super().__init__(message)
    self.truncated = truncated


def masked_crc32c(data: bytes) -> int:
  """CRC-32C of `data` (bytes), rotated and offset as TFRecord files store it."""
  crc = google_crc32c.value(data)
  return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def write_record(file: BinaryIO, data: bytes) -> int:
  """Writes one record.

  Args:
    file: binary file object with `write`; it need not be seekable.
    data: payload, bytes.

  Returns:
    Number of bytes written, `len(data) + OVERHEAD`.
  """
  length = _LENGTH.pack(len(data))
  record = b"".join(
    (
      length,
      _CHECK.pack(masked_crc32c(length)),
      data,
      _CHECK.pack(masked_crc32c(data)),
    )
  )
  view = memoryview(record)
  while view:  # an unbuffered pipe may take less than it is given
    view = view[file.write(view) :]
  return len(record)


def read_exactly(file: BinaryIO, size: int) -> bytes:
  """Reads `size` bytes, or as many as there are before the end of the file.

  Memory grows with the bytes that arrive, never with `size` itself.
  """
  data = file.read(min(size, _CHUNK))
  if len(data) == size or not data:
    return data
  pieces = [data]
  missing = size - len(data)
  while missing:
    data = file.read(min(missing, _CHUNK))
    if not data:
      break
    pieces.append(data)
    missing -= len(data)
  return b"".join(pieces)


def length_of(head: bytes, max_length: int) -> Optional[int]:
  """The length that the first 12 bytes of a record state.

  Args:
    head: 12 bytes.
    max_length: largest length that can be.

  Returns:
    The length, or None if its checksum is wrong or it is too large.
  """
  (length,) = _LENGTH.unpack(head[:8])
  if length > max_length or _CHECK.unpack(head[8:])[0] != masked_crc32c(head[:8]):
    return None
  return length


def read_record(file: BinaryIO, max_length: int) -> Optional[bytes]:
  """Reads one record and verifies both of its checksums.

  Args:
    file: binary file object with `read`; it need not be seekable.
    max_length: largest payload accepted, in bytes.

  Returns:
    The payload, or None at the end of the file.

  Raises:
    RecordError: the file ends within the record, a checksum is wrong, or the length
      exceeds `max_length` (said before anything of that size is allocated).
  """
  head = read_exactly(file, HEAD)
  if not head:
    return None
  if len(head) < HEAD:
    raise RecordError("the file ends within a record's length", truncated=True)
  if _CHECK.unpack(head[8:])[0] != masked_crc32c(head[:8]):
    raise RecordError("the checksum of a record's length is wrong")
  (length,) = _LENGTH.unpack(head[:8])
  if length > max_length:
    raise RecordError(
      f"a record claims {length} bytes where at most {max_length} can be"
    )
  data = read_exactly(file, length)
  check = read_exactly(file, _CHECK.size) if len(data) == length else b""
  if len(check) < _CHECK.size:
    raise RecordError("the file ends within a record", truncated=True)
  if _CHECK.unpack(check)[0] != masked_crc32c(data):
    raise RecordError("the checksum of a record is wrong")
  return data
