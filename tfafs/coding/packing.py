"""What the records of a stream hold: header, frames and end, as bytes and back.

`docs/bitstream.md` describes the format byte by byte. `bitstream.py` strings the
records together; the index for seeking has a file of its own, `seek_index.py`.
"""

import re
import struct
import zlib
from fractions import Fraction
from typing import NamedTuple, Optional

MAGIC = b"TFAFS"
FORMAT_VERSION = 2
MIN_SIZE = 16  # pixels, each side
MAX_SIZE = 65535
MAX_PIXELS = 1 << 25  # per frame: 8K UHD (7680 x 4320) is just below
MAX_PARTS = 255
LIVE = 0xFFFFFFFF  # frame count of a header that was written before it was known
CHECKSUM_BYTES = 52  # of a decoded frame: frame_checksum.py
SEAL_BYTES = 4
QUALITY_STEPS = 16  # from one level of a codec of variable rate to the next
MAX_QUALITY = 254  # steps

# magic, version, flags, width, height, frame rate (two), gop, quality, fingerprint,
# first frame
_HEADER = struct.Struct("<5sBBHHIIIB32sI")
_UINT32 = struct.Struct("<I")
_END = struct.Struct("<cII")  # kind, frames, bytes of the index's record
_SEALED = b"IxE"  # kinds of records that a reader may come to without those before
_NO_QUALITY = MAX_QUALITY + 1
_EXACT_INDEX = 0x01  # flags
_FRAME_CHECKSUMS = 0x02
_MODEL_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,64}")


class StreamError(ValueError):
  """A stream that cannot be decoded, or not beyond some frame.

  Attributes:
    frame: index of the first frame that cannot be had, or None if the header or the
      model is at fault.
  """

  def __init__(self, message: str, frame: Optional[int] = None):
    super().__init__(message)
    self.frame = frame


class StreamHeader(NamedTuple):
  """What a decoder must know before the first frame.

  Attributes:
    model: name of the codec that wrote the stream, such as `stat_ssf_sp`.
    fingerprint: SHA-256, 32 bytes, of all that entropy decoding depends on.
    width: pixels, 16 to 65535.
    height: pixels, 16 to 65535; `width * height` is at most 2^25.
    frame_count: number of frames, or None ("live") if it was not known yet.
    frame_rate: frames per second, a positive fraction.
    gop: most frames from one intra frame to the next; 0: only the first is intra.
    quality: sixteenths of a level of a codec of variable rate, 0 to 254; None if the
      codec has one rate.
    first_frame: CRC-32 of the body of the first frame's record, which StreamWriter
      fills in. It tells streams apart that are otherwise alike.
    exact_index: the guarantee. True: what drives the range coder comes from exact
      integer arithmetic, so that every machine decodes the same symbols. False: only
      the machine and software that wrote the stream are sure to.
    frame_checksums: whether each frame's record holds a checksum of the decoded frame.
  """

  model: str
  fingerprint: bytes
  width: int
  height: int
  frame_count: Optional[int]
  frame_rate: Fraction
  gop: int
  quality: Optional[int] = None
  first_frame: int = 0
  exact_index: bool = False
  frame_checksums: bool = False


class FrameRecord(NamedTuple):
  """One coded frame.

  Attributes:
    index: its number, from 0.
    kind: "I" or "P".
    strings: the bit string of each part.
    checksum: `frame_checksum.checksum` of the decoded frame, or None in a stream
      without.
  """

  index: int
  kind: str
  strings: tuple[bytes, ...]
  checksum: Optional[bytes] = None


class EndRecord(NamedTuple):
  """What the end record says: number of frames, and bytes of the index's record."""

  frames: int
  index_bytes: int


def max_record_length(width: int, height: int) -> int:
  """Bytes that the record of a frame may have: 64 KiB and 64 bits per pixel."""
  return (1 << 16) + 8 * width * height


def _check_header(header: StreamHeader) -> None:
  """Raises ValueError, naming the field, if `header` cannot be a stream's."""
  rate = header.frame_rate
  checks = (
    (_MODEL_NAME.fullmatch(header.model), "model", "1 to 64 of A-Z a-z 0-9 _ . + -"),
    (len(header.fingerprint) == 32, "fingerprint", "32 bytes"),
    (MIN_SIZE <= header.width <= MAX_SIZE, "width", f"{MIN_SIZE} to {MAX_SIZE}"),
    (MIN_SIZE <= header.height <= MAX_SIZE, "height", f"{MIN_SIZE} to {MAX_SIZE}"),
    (
      header.frame_count is None or 0 < header.frame_count < LIVE,
      "frame_count",
      f"1 to {LIVE - 1}, or None",
    ),
    (
      0 < rate.numerator < 1 << 32 and rate.denominator < 1 << 32,
      "frame_rate",
      "a positive fraction of 32-bit integers",
    ),
    (0 <= header.gop < 1 << 32, "gop", f"0 to {(1 << 32) - 1}"),
    (
      header.quality is None or 0 <= header.quality <= MAX_QUALITY,
      "quality",
      f"0 to {MAX_QUALITY}, or None",
    ),
    (0 <= header.first_frame < 1 << 32, "first_frame", f"0 to {(1 << 32) - 1}"),
  )
  for good, name, range_ in checks:
    if not good:
      value = getattr(header, name)
      raise ValueError(f"{name} is {value!r}; a stream's header takes {range_}")
  if header.width * header.height > MAX_PIXELS:
    raise ValueError(
      f"{header.width}x{header.height} is {header.width * header.height} pixels; "
      f"a stream's frames have at most {MAX_PIXELS}"
    )


def pack_header(header: StreamHeader) -> bytes:
  """Payload of the header record.

  Args:
    header: what to write.

  Returns:
    Bytes; the last four hold the frame count and do not enter the chain.

  Raises:
    ValueError: a field is out of its range.
  """
  _check_header(header)
  fixed = _HEADER.pack(
    MAGIC,
    FORMAT_VERSION,
    _EXACT_INDEX * header.exact_index | _FRAME_CHECKSUMS * header.frame_checksums,
    header.width,
    header.height,
    header.frame_rate.numerator,
    header.frame_rate.denominator,
    header.gop,
    _NO_QUALITY if header.quality is None else header.quality,
    header.fingerprint,
    header.first_frame,
  )
  name = header.model.encode("ascii")
  count = LIVE if header.frame_count is None else header.frame_count
  return fixed + bytes([len(name)]) + name + _UINT32.pack(count)


def unpack_header(data: bytes) -> StreamHeader:
  """Inverse of `pack_header`.

  Raises:
    StreamError: `data` is no header, is of a newer format, or states what cannot be.
  """
  if not data.startswith(MAGIC):
    raise StreamError("this is a TFRecord file, but not a tfafs stream")
  if len(data) > len(MAGIC) and data[len(MAGIC)] != FORMAT_VERSION:
    raise StreamError(
      f"the stream has format version {data[len(MAGIC)]}; this tfafs reads version "
      f"{FORMAT_VERSION}: get the tfafs that wrote it"
    )
  if len(data) < _HEADER.size + 1 + 1 + 4:
    raise StreamError(f"the stream's header has only {len(data)} bytes")
  fields = _HEADER.unpack_from(data)
  flags, width, height, numerator, denominator, gop, quality = fields[2:9]
  if flags & ~(_EXACT_INDEX | _FRAME_CHECKSUMS):
    raise StreamError(
      f"the stream's header sets flags {flags:#04x}, which this tfafs does not know"
    )
  name = data[_HEADER.size + 1 : -4]
  if len(name) != data[_HEADER.size]:
    raise StreamError("the stream's header and its model name differ in length")
  if not denominator:
    raise StreamError(f"the stream's header states frame rate {numerator}/0")
  (count,) = _UINT32.unpack(data[-4:])
  header = StreamHeader(
    model=name.decode("latin-1"),
    fingerprint=fields[9],
    width=width,
    height=height,
    frame_count=None if count == LIVE else count,
    frame_rate=Fraction(numerator, denominator),
    gop=gop,
    quality=None if quality == _NO_QUALITY else quality,
    first_frame=fields[10],
    exact_index=bool(flags & _EXACT_INDEX),
    frame_checksums=bool(flags & _FRAME_CHECKSUMS),
  )
  try:
    _check_header(header)
  except ValueError as error:
    raise StreamError(f"the stream's header is wrong: {error}") from None
  return header


def pack_varint(value: int) -> bytes:
  """Unsigned LEB128: seven bits per byte, lowest first, high bit = more follow."""
  out = bytearray()
  while value > 0x7F:
    out.append(value & 0x7F | 0x80)
    value >>= 7
  out.append(value)
  return bytes(out)


def unpack_varint(data: bytes, offset: int) -> tuple[int, int]:
  """Reads a varint of up to five bytes below 2^32, in its shortest form.

  Args:
    data: bytes.
    offset: where the varint starts.

  Returns:
    (value, offset behind it).

  Raises:
    ValueError: it is cut short, too long, or not in its shortest form.
  """
  value = 0
  for shift in range(0, 35, 7):
    if offset >= len(data):
      raise ValueError("a number is cut short")
    byte = data[offset]
    offset += 1
    value |= (byte & 0x7F) << shift
    if byte < 0x80:
      if value >= 1 << 32 or (byte == 0 and shift):
        break
      return value, offset
  raise ValueError("a number is not a 32-bit varint")


def stream_id(header_payload: bytes) -> int:
  """CRC-32 of all of a header's payload but the frame count: it names the stream."""
  return zlib.crc32(header_payload[:-4])


def pack_payload(body: bytes, chain: int, identity: int) -> bytes:
  """Payload of a record behind the header: body, seal, chain.

  Args:
    body: begins with the record's kind.
    chain: CRC-32 of header and bodies of all records before this one.
    identity: the stream id.

  Returns:
    Bytes; the last four are the chain behind this record. Records of kind I, x and E
    have a seal before it, CRC-32 of header and this body: it tells those who come to
    the record without the chain that it belongs to the stream and is what was written.
  """
  seal = _UINT32.pack(zlib.crc32(body, identity)) if body[0] in _SEALED else b""
  return body + seal + _UINT32.pack(zlib.crc32(body, chain))


def unpack_payload(payload: bytes, identity: int) -> tuple[bytes, int]:
  """Body, and the chain behind the record.

  Args:
    payload: as `pack_payload` makes it.
    identity: the stream id.

  Raises:
    ValueError: the payload is too short, or the seal is not that of this stream.
  """
  seal = SEAL_BYTES if payload[:1] and payload[0] in _SEALED else 0
  body = payload[: -4 - seal]
  if not body:
    raise ValueError(f"the stream is damaged: a record of {len(payload)} bytes")
  if seal and payload[-8:-4] != _UINT32.pack(zlib.crc32(body, identity)):
    raise ValueError("the record does not continue this stream: its seal is wrong")
  return body, _UINT32.unpack(payload[-4:])[0]


def pack_frame(frame: FrameRecord) -> bytes:
  """Body of a frame's record.

  Kind, index, checksum if there is one, number of parts, lengths, strings. The length
  of the last string is what remains, and is not written.

  Raises:
    ValueError: unknown kind, or no strings, or more than 255, or a checksum that has
      not 52 bytes.
  """
  if frame.kind not in ("I", "P"):
    raise ValueError(f'kind is {frame.kind!r}; a frame is "I" or "P"')
  if not 1 <= len(frame.strings) <= MAX_PARTS:
    raise ValueError(f"a frame has 1 to {MAX_PARTS} strings, not {len(frame.strings)}")
  if frame.checksum is not None and len(frame.checksum) != CHECKSUM_BYTES:
    raise ValueError(
      f"a frame's checksum has {CHECKSUM_BYTES} bytes, not {len(frame.checksum)}"
    )
  return b"".join(
    (
      frame.kind.encode("ascii"),
      pack_varint(frame.index),
      frame.checksum or b"",
      bytes([len(frame.strings)]),
      *(pack_varint(len(string)) for string in frame.strings[:-1]),
      *frame.strings,
    )
  )


def unpack_frame(body: bytes, has_checksum: bool = False) -> FrameRecord:
  """Inverse of `pack_frame`.

  Args:
    body: bytes.
    has_checksum: as the header says.

  Raises:
    ValueError: `body` is not of that form.
  """
  index, offset = unpack_varint(body, 1)
  checksum = None
  if has_checksum:
    checksum = body[offset : offset + CHECKSUM_BYTES]
    offset += CHECKSUM_BYTES
  if offset >= len(body) or not body[offset]:
    raise ValueError("it has no strings")
  count = body[offset]
  offset += 1
  lengths = []
  for _ in range(count - 1):
    length, offset = unpack_varint(body, offset)
    lengths.append(length)
  lengths.append(len(body) - offset - sum(lengths))
  if lengths[-1] < 0:
    raise ValueError("its strings are longer than itself")
  strings = []
  for length in lengths:
    strings.append(body[offset : offset + length])
    offset += length
  return FrameRecord(index, chr(body[0]), tuple(strings), checksum)


def pack_end(end: EndRecord) -> bytes:
  """Body of the end record."""
  return _END.pack(b"E", *end)


def unpack_end(body: bytes) -> EndRecord:
  """Inverse of `pack_end`; raises ValueError if `body` is not of that form."""
  if len(body) != _END.size or body[:1] != b"E":
    raise ValueError(f"the body of the end has {len(body)} bytes, not {_END.size}")
  return EndRecord(*_END.unpack(body)[1:])
