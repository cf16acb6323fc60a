"""What the records of a stream hold: the header and the frames, as bytes and back.

`docs/bitstream.md` describes the format byte by byte. `bitstream.py` strings the
records together.
"""

import re
import struct
from fractions import Fraction
from typing import NamedTuple, Optional

MAGIC = b"TFAFS"
FORMAT_VERSION = 1
MIN_SIZE = 16  # pixels, each side
MAX_SIZE = 65535
MAX_PIXELS = 1 << 25  # per frame: 8K UHD (7680 x 4320) is just below
MAX_PARTS = 255
LIVE = 0xFFFFFFFF  # frame count of a header that was written before it was known

# magic, version, flags, width, height, frame rate (two), gop, quality, fingerprint,
# first frame
_HEADER = struct.Struct("<5sBBHHIIIB32sI")
_UINT32 = struct.Struct("<I")
_NO_QUALITY = 255
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
    quality: index of the rate of a variable-rate codec, 0 to 254, or None.
    first_frame: CRC-32 of the body of the first frame's record, which StreamWriter
      fills in. It tells streams apart that are otherwise alike.
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


class FrameRecord(NamedTuple):
  """One coded frame: its index, kind ("I" or "P"), and the bit string of each part."""

  index: int
  kind: str
  strings: tuple[bytes, ...]


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
      header.quality is None or 0 <= header.quality < _NO_QUALITY,
      "quality",
      f"0 to {_NO_QUALITY - 1}, or None",
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
    0,
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
  if flags:
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


def pack_frame(frame: FrameRecord) -> bytes:
  """Body of a frame's record: kind, index, number of parts, lengths, strings.

  The length of the last string is what remains, and is not written.

  Raises:
    ValueError: unknown kind, or no strings, or more than 255.
  """
  if frame.kind not in ("I", "P"):
    raise ValueError(f'kind is {frame.kind!r}; a frame is "I" or "P"')
  if not 1 <= len(frame.strings) <= MAX_PARTS:
    raise ValueError(f"a frame has 1 to {MAX_PARTS} strings, not {len(frame.strings)}")
  return b"".join(
    (
      frame.kind.encode("ascii"),
      pack_varint(frame.index),
      bytes([len(frame.strings)]),
      *(pack_varint(len(string)) for string in frame.strings[:-1]),
      *frame.strings,
    )
  )


def unpack_frame(body: bytes) -> FrameRecord:
  """Inverse of `pack_frame`; raises ValueError if `body` is not of that form."""
  index, offset = unpack_varint(body, 1)
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
  return FrameRecord(index, chr(body[0]), tuple(strings))
