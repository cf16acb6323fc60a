"""Reading on behind damage: all sound frames, no others, and every loss reported."""

import io
import os
import struct
import zlib
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfafs.coding import packing, record, resilient
from tfafs.coding.bitstream import StreamWriter
from tfafs.coding.packing import FrameRecord, StreamError, StreamHeader
from tfafs.coding.resilient import ResilientStreamReader

HEADER = StreamHeader("tiny", bytes(range(32)), 20, 16, None, Fraction(25), 3)
FRAMES = tuple(
  FrameRecord(i, "P" if i % 3 else "I", (b"frame", bytes([i]) * (i % 4), b"z" * 9))
  for i in range(10)
)


def write(frames=FRAMES, header=HEADER, index=True):
  file = io.BytesIO()
  writer = StreamWriter(file, header, index)
  for frame in frames:
    writer.write(frame.kind, frame.strings)
  writer.close()
  return file.getvalue()


DATA = write()
KNOWN = write(header=HEADER._replace(frame_count=10))  # the header counts the frames


def split(data):
  """Whole records, as bytes."""
  file, records = io.BytesIO(data), []
  while file.tell() < len(data):
    start = file.tell()
    record.read_record(file, 1 << 20)
    records.append(data[start : file.tell()])
  return records


def read(data):
  """(frames, frames lost, faults); no frame is wrong or out of order."""
  reader = ResilientStreamReader(io.BytesIO(data))
  frames = list(reader)
  assert all(frame == FRAMES[frame.index] for frame in frames)
  indexes = [frame.index for frame in frames]
  assert indexes == sorted(set(indexes))
  lost = [i for frames in reader.lost for i in frames]
  assert lost == sorted(set(lost)) and not set(lost) & set(indexes)
  return indexes, lost, reader.faults


ALL = list(range(10))
HEAD, *RECORDS = split(DATA)  # ten frames, index, end


def test_sound_stream():
  assert read(DATA) == (ALL, [], [])
  assert read(KNOWN) == (ALL, [], [])
  assert read(write(index=False)) == (ALL, [], [])


@pytest.mark.parametrize("at", range(10))
@pytest.mark.parametrize("damage", ["payload", "length", "gone", "longer", "shorter"])
def test_one_record_costs_its_group_from_there(at, damage):
  records = RECORDS.copy()
  size = len(records[at])
  records[at] = {
    "payload": records[at][:20] + bytes([records[at][20] ^ 4]) + records[at][21:],
    "length": bytes([size ^ 1]) + records[at][1:],
    "gone": b"",
    "longer": records[at][:20] + b"?" + records[at][20:],
    "shorter": records[at][:20] + records[at][21:],
  }[damage]
  lost = list(range(at, min(at - at % 3 + 3, 10)))
  frames, gone, faults = read(HEAD + b"".join(records))
  assert gone == lost and sorted(frames + lost) == ALL
  assert len(faults) == 1 and f"frame {at}" in faults[0]


def test_noise_between_records_loses_nothing():
  for at in range(len(RECORDS)):
    for noise in (b"\0", os.urandom(1000), RECORDS[2], RECORDS[0], RECORDS[-1], HEAD):
      data = HEAD + b"".join([*RECORDS[:at], noise, *RECORDS[at:]])
      frames, lost, faults = read(data)
      assert (frames, lost) == (ALL, [])
      # A copy of the frame that follows is itself the frame that follows.
      assert len(faults) == 1


def test_groups_out_of_order_or_gone():
  groups = [RECORDS[i : i + 3] for i in (0, 3, 6)] + [RECORDS[9:]]

  def joined(*order):
    return HEAD + b"".join(r for i in order for r in groups[i])

  assert read(joined(0, 2, 1, 3))[:2] == ([0, 1, 2, 6, 7, 8, 9], [3, 4, 5])
  assert read(joined(0, 3))[:2] == ([0, 1, 2, 9], [3, 4, 5, 6, 7, 8])
  assert read(joined(1, 2, 3))[:2] == ([3, 4, 5, 6, 7, 8, 9], [0, 1, 2])
  assert read(joined(0, 1, 1, 2, 3))[:2] == (ALL, [])
  assert read(joined(3, 2, 1, 0))[:2] == ([9], ALL[:9])


def test_every_truncation():
  """Whole frames before the cut; those behind it are known from the header."""
  ends = [len(HEAD)]
  for frame in RECORDS[:10]:
    ends.append(ends[-1] + len(frame))
  for cut in range(len(DATA)):
    whole = sum(end <= cut for end in ends) - 1
    if whole < 0:
      with pytest.raises(StreamError):
        ResilientStreamReader(io.BytesIO(DATA[:cut]))
      continue
    frames, lost, faults = read(DATA[:cut])
    assert (frames, lost) == (ALL[:whole], []) and len(faults) == 1
    assert f"truncated behind {whole} whole frames" in faults[0]
    assert read(KNOWN[:cut])[:2] == (ALL[:whole], ALL[whole:])


def test_another_stream_is_not_taken_for_this_one():
  other = write([FRAMES[0]._replace(strings=(b"other",)), *FRAMES[1:]])
  _, *others = split(other)
  for at in range(1, 10):
    frames, lost, _ = read(KNOWN[: len(HEAD)] + b"".join(others[at:]))
    assert (frames, lost) == ([], ALL)
    # Back to this stream at its next I frame.
    data = HEAD + b"".join([*RECORDS[:at], others[at], *RECORDS[at + 1 :]])
    frames, lost, _ = read(data)
    assert lost == list(range(at, min(at - at % 3 + 3, 10)))


def test_altered_record_with_its_own_checksum_right():
  for at in range(10):
    payload = bytearray(RECORDS[at][12:-4])
    payload[-12] ^= 1
    file = io.BytesIO()
    record.write_record(file, bytes(payload))
    records = [*RECORDS[:at], file.getvalue(), *RECORDS[at + 1 :]]
    assert read(HEAD + b"".join(records))[1] == list(
      range(at, min(at - at % 3 + 3, 10))
    )


def forged(*bodies, header=HEADER):
  """A stream of these bodies with all checksums right."""
  file = io.BytesIO()
  payload = packing.pack_header(header._replace(first_frame=zlib.crc32(bodies[0])))
  identity = packing.stream_id(payload)
  record.write_record(file, payload)
  chain = identity
  for body in bodies:
    record.write_record(file, packing.pack_payload(body, chain, identity))
    chain = zlib.crc32(body, chain)
  return file.getvalue()


def test_numbers_that_are_not_believed():
  end = b"E\5\0\0\0" + bytes(4)
  frames = [packing.pack_frame(frame) for frame in FRAMES[:4]]
  far = packing.pack_frame(FrameRecord(1 << 31, "I", (b"",)))
  reader = ResilientStreamReader(io.BytesIO(forged(*frames[:3], far, frames[3], end)))
  assert [frame.index for frame in reader] == [0, 1, 2, 3]
  assert reader.lost == [range(4, 5)]
  near = packing.pack_frame(FrameRecord(resilient.MAX_GAP, "I", (b"",)))
  reader = ResilientStreamReader(io.BytesIO(forged(*frames[:3], near)))
  assert len(list(reader)) == 4
  assert reader.lost == [range(3, resilient.MAX_GAP)]


@pytest.mark.parametrize("count", [3, 9, 11, 1 << 31])
def test_the_records_are_believed_before_the_headers_count(count):
  head = split(KNOWN)[0]
  file = io.BytesIO()
  record.write_record(file, head[12:-8] + struct.pack("<I", count))
  data = file.getvalue() + DATA[len(HEAD) :]
  frames, lost, faults = read(data)
  assert (frames, lost) == (ALL, [])
  assert faults == [f"the header promised {count} frames, not 10"]
  data = file.getvalue() + b"".join([*RECORDS[:4], *RECORDS[5:]])
  assert read(data)[:2] == ([0, 1, 2, 3, 6, 7, 8, 9], [4, 5])
  reader = ResilientStreamReader(io.BytesIO(file.getvalue() + b"".join(RECORDS[:9])))
  assert list(reader) == list(FRAMES[:9])
  assert reader.lost == ([range(9, count)] if count > 9 else [])


def test_faults_that_are_remembered_are_bounded():
  header = HEADER._replace(gop=0)
  frames = [FrameRecord(i, "I", (b"x",)) for i in range(400)]
  head, *records = split(write(frames, header, index=False))
  reader = ResilientStreamReader(io.BytesIO(head + b"?".join(records)))
  assert list(reader) == frames
  assert len(reader.faults) == resilient.MAX_FAULTS and not reader.lost


DAMAGES = st.lists(
  st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 40), st.binary(max_size=40)),
  min_size=1,
  max_size=4,
)


@settings(max_examples=200, deadline=None)
@given(DAMAGES, st.permutations(range(len(RECORDS))), st.booleans())
def test_any_damage(damages, order, shuffle):
  data = KNOWN
  if shuffle:
    head, *records = split(KNOWN)
    data = head + b"".join(records[i] for i in order)
  for at, removed, inserted in damages:
    at = max(at, len(HEAD))
    data = data[:at] + inserted + data[at + removed :]
  frames, lost, faults = read(data)
  assert sorted(frames + lost) == ALL  # nothing goes missing without a word
  assert faults or data == KNOWN
