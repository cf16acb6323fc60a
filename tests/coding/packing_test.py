import struct
import zlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfafs.coding import packing
from tfafs.coding.packing import FrameRecord, StreamError, StreamHeader

HEADER = StreamHeader(
  "stat_ssf_sp", bytes(range(32)), 641, 361, 7, Fraction(25), 12, None, 0x01020304
)

headers = st.builds(
  StreamHeader,
  model=st.from_regex(r"[A-Za-z0-9_.+-]{1,64}", fullmatch=True),
  fingerprint=st.binary(min_size=32, max_size=32),
  width=st.integers(16, 5000),
  height=st.integers(16, 5000),
  frame_count=st.none() | st.integers(1, packing.LIVE - 1),
  frame_rate=st.builds(Fraction, st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1)),
  gop=st.integers(0, 2**32 - 1),
  quality=st.none() | st.integers(0, 254),
  first_frame=st.integers(0, 2**32 - 1),
  exact_index=st.booleans(),
  frame_checksums=st.booleans(),
)


@given(headers)
def test_header_round_trip(header):
  assert packing.unpack_header(packing.pack_header(header)) == header


def test_header_bytes_are_as_documented():
  assert packing.pack_header(HEADER) == (
    b"TFAFS"
    + bytes([2, 0])
    + struct.pack("<HH", 641, 361)
    + struct.pack("<III", 25, 1, 12)
    + bytes([255])
    + bytes(range(32))
    + struct.pack("<I", 0x01020304)
    + bytes([11])
    + b"stat_ssf_sp"
    + struct.pack("<I", 7)
  )


@pytest.mark.parametrize(
  ("field", "value"),
  [
    ("model", ""),
    ("model", "x" * 65),
    ("model", "a/b"),
    ("model", "ü"),
    ("fingerprint", b"short"),
    ("width", 15),
    ("width", 65536),
    ("height", 0),
    ("frame_count", 0),
    ("frame_count", packing.LIVE),
    ("frame_rate", Fraction(0)),
    ("frame_rate", Fraction(-25)),
    ("frame_rate", Fraction(1, 1 << 32)),
    ("frame_rate", Fraction(1 << 32)),
    ("gop", -1),
    ("gop", 1 << 32),
    ("quality", 255),
    ("quality", -1),
    ("first_frame", 1 << 32),
  ],
)
def test_impossible_header_names_the_field(field, value):
  with pytest.raises(ValueError, match=f"^{field} is "):
    packing.pack_header(HEADER._replace(**{field: value}))


def test_too_many_pixels():
  packing.pack_header(HEADER._replace(width=7680, height=4320))
  with pytest.raises(ValueError, match="65535x65535 is 4294836225 pixels"):
    packing.pack_header(HEADER._replace(width=65535, height=65535))


def _replaced(data, offset, new):
  return data[:offset] + new + data[offset + len(new) :]


DATA = packing.pack_header(HEADER)


@pytest.mark.parametrize(
  ("data", "message"),
  [
    (b"", "not a tfafs stream"),
    (b"TFAFX" + DATA[5:], "not a tfafs stream"),
    (_replaced(DATA, 5, b"\1"), "format version 1; this tfafs reads version 2"),
    (_replaced(DATA, 6, b"\x81"), "flags 0x81"),
    (DATA[:30], "only 30 bytes"),
    (DATA + b"\0", "differ in length"),
    (DATA[:-1], "differ in length"),
    (_replaced(DATA, 7, b"\0\0"), "width is 0"),
    (_replaced(DATA, 7, b"\xff" * 4), "pixels; a stream's frames"),
    (_replaced(DATA, 11, b"\0\0\0\0"), "frame_rate is Fraction"),
    (_replaced(DATA, 15, b"\0\0\0\0"), "frame rate 25/0"),
    (_replaced(DATA, 61, b"\n"), "model is"),
    (_replaced(DATA, len(DATA) - 4, b"\0\0\0\0"), "frame_count is 0"),
  ],
)
def test_wrong_header(data, message):
  with pytest.raises(StreamError, match=message) as error:
    packing.unpack_header(data)
  assert error.value.frame is None


@given(st.binary(max_size=120), st.booleans())
def test_any_bytes_are_a_header_or_a_stream_error(data, with_magic):
  data = DATA[:7] + data if with_magic else data
  try:
    header = packing.unpack_header(data)
  except StreamError:
    return
  assert packing.unpack_header(packing.pack_header(header)) == header


@given(st.integers(0, 2**32 - 1))
def test_varint_round_trip(value):
  data = packing.pack_varint(value)
  assert packing.unpack_varint(b"?" + data + b"?", 1) == (value, 1 + len(data))
  assert len(data) == max(1, -(-value.bit_length() // 7))


@pytest.mark.parametrize(
  "data", [b"", b"\x80", b"\x80\x00", b"\x80\x80\x80\x80\x10", b"\xff" * 6]
)
def test_varints_that_are_none(data):
  with pytest.raises(ValueError, match="a number is"):
    packing.unpack_varint(data, 0)


frames = st.builds(
  FrameRecord,
  index=st.integers(0, 2**32 - 2),
  kind=st.sampled_from("IP"),
  strings=st.lists(st.binary(max_size=200), min_size=1, max_size=9).map(tuple),
  checksum=st.none() | st.binary(min_size=52, max_size=52),
)


@given(frames)
def test_frame_round_trip(frame):
  body = packing.pack_frame(frame)
  assert packing.unpack_frame(body, frame.checksum is not None) == frame


def test_frame_bytes_are_as_documented():
  frame = FrameRecord(300, "P", (b"abc", b"", b"x" * 200, b"last"))
  assert packing.pack_frame(frame) == (
    b"P" + b"\xac\x02" + b"\x04" + b"\x03\x00\xc8\x01" + b"abc" + b"x" * 200 + b"last"
  )


@pytest.mark.parametrize(
  "frame",
  [
    FrameRecord(0, "B", (b"",)),
    FrameRecord(0, "I", ()),
    FrameRecord(0, "I", (b"",) * 256),
    FrameRecord(0, "I", (b"",), b"short"),
  ],
)
def test_frames_that_cannot_be_written(frame):
  with pytest.raises(
    ValueError, match=r"kind is|strings, not|checksum has 52 bytes, not 5"
  ):
    packing.pack_frame(frame)


@given(st.binary(min_size=1, max_size=120), st.booleans())
def test_any_bytes_are_a_frame_or_a_value_error(body, has_checksum):
  try:
    frame = packing.unpack_frame(body, has_checksum)
  except ValueError:
    return
  assert sum(map(len, frame.strings)) < len(body)
  if frame.kind in "IP":
    assert packing.pack_frame(frame) == body


@given(st.integers(1, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=16))
def test_end_round_trip(frames, index_bytes, noise):
  end = packing.EndRecord(frames, index_bytes)
  body = packing.pack_end(end)
  assert len(body) == 9
  assert packing.unpack_end(body) == end
  if len(noise) != 9 or noise[:1] != b"E":
    with pytest.raises(ValueError, match="end"):
      packing.unpack_end(noise)


@given(
  st.binary(min_size=1, max_size=50), st.sampled_from([b"I", b"P", b"E", b"x", b"q"])
)
def test_payload_round_trip(rest, kind):
  body, header = kind + rest, b"a header" + bytes(4)
  identity = packing.stream_id(header)
  assert identity == zlib.crc32(b"a header")
  payload = packing.pack_payload(body, 5, identity)
  assert packing.unpack_payload(payload, identity) == (body, zlib.crc32(body, 5))
  sealed = kind in b"IEx"
  assert len(payload) == len(body) + 4 + 4 * sealed
  altered = kind + bytes([payload[1] ^ 1]) + payload[2:]
  for wrong, name in ((altered, identity), (payload, identity ^ 1)):
    if sealed:
      with pytest.raises(ValueError, match="its seal is wrong"):
        packing.unpack_payload(wrong, name)
    else:
      packing.unpack_payload(wrong, name)


@pytest.mark.parametrize("payload", [b"", b"P", b"Pabc", b"Iabcdefg", b"E" + bytes(6)])
def test_payloads_too_short(payload):
  with pytest.raises(ValueError, match=f"a record of {len(payload)} bytes"):
    packing.unpack_payload(payload, 0)
