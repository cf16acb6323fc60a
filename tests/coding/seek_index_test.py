"""Jumping through the index: what is read, what is verified, what a wrong one does."""

import io
import zlib
from fractions import Fraction

import pytest

from tfafs.coding import packing, record, seek_index
from tfafs.coding.bitstream import StreamReader, StreamWriter
from tfafs.coding.packing import EndRecord, FrameRecord, StreamError, StreamHeader
from tfafs.coding.seek_index import IndexEntry, SeekIndex

HEADER = StreamHeader("tiny", bytes(range(32)), 20, 16, 40, Fraction(25), 4)
FRAMES = tuple(
  FrameRecord(i, "P" if i % 4 else "I", (bytes([i]) * 300,)) for i in range(40)
)


class CountingFile(io.BytesIO):
  """A file that counts the bytes read from it."""

  count = 0

  def read(self, size=-1):
    data = super().read(size)
    self.count += len(data)
    return data


def write(frames=FRAMES, header=HEADER, index=True):
  file = io.BytesIO()
  writer = StreamWriter(file, header, index)
  for frame in frames:
    writer.write(frame.kind, frame.strings)
  writer.close()
  return file.getvalue()


DATA = write()


@pytest.mark.parametrize("frame", range(40))
def test_jumps_to_the_intra_frame_and_reads_no_more(frame):
  file = CountingFile(b"before" + DATA)
  file.seek(6)
  reader = StreamReader(file)
  assert reader.seek(frame) == (frame >= 4)
  iterator = iter(reader)
  assert next(iterator) == FRAMES[frame - frame % 4]
  # Header, end, index, the record once to verify it and once to take it.
  assert file.count < 81 + 33 + 25 + 10 * 16 + 2 * 350 + 16
  assert tuple(iterator) == FRAMES[frame - frame % 4 + 1 :]  # to a verified end


def test_reading_all_of_a_stream_verifies_its_index():
  reader = StreamReader(io.BytesIO(DATA))
  assert tuple(reader) == FRAMES
  assert [entry.frame for entry in reader.index] == list(range(0, 40, 4))
  assert reader.index_bytes == 25 + 10 * 16
  reader = StreamReader(io.BytesIO(write(index=False)))
  assert tuple(reader) == FRAMES and reader.index is None and not reader.index_bytes


class Pipe:
  """What cannot seek."""

  def __init__(self, data):
    self.read = io.BytesIO(data).read


@pytest.mark.parametrize(
  "file",
  [Pipe(DATA), io.BytesIO(write(index=False)), io.BytesIO(DATA[:-1])],
  ids=["pipe", "no index", "cut"],
)
def test_without_an_index_nothing_is_skipped(file):
  reader = StreamReader(file)
  assert not reader.seek(20)
  assert next(iter(reader)) == FRAMES[0]


def test_behind_a_jump_damage_is_found_as_before():
  at = DATA.index(bytes([22]) * 300)
  damaged = DATA[:at] + b"?" + DATA[at + 1 :]
  reader = StreamReader(io.BytesIO(damaged))
  assert reader.seek(21)
  frames = iter(reader)
  assert [next(frames).index, next(frames).index] == [20, 21]
  with pytest.raises(StreamError, match="frame 22: the stream is damaged"):
    next(frames)


def with_index(entries, data=DATA, end=None):
  """The stream with another index, all checksums right."""
  file, payloads = io.BytesIO(data), []
  while (payload := record.read_record(file, 1 << 20)) is not None:
    payloads.append(payload)
  identity = packing.stream_id(payloads[0])
  chain = int.from_bytes(payloads[-3][-4:], "little")
  file = io.BytesIO()
  for payload in payloads[:-2]:
    record.write_record(file, payload)
  body = seek_index.pack(entries)
  size = record.write_record(file, packing.pack_payload(body, chain, identity))
  chain = zlib.crc32(body, chain)
  body = packing.pack_end(end or EndRecord(40, size))
  record.write_record(file, packing.pack_payload(body, chain, identity))
  return file.getvalue()


READER = StreamReader(io.BytesIO(DATA))
list(READER)
ENTRIES = READER.index


def test_the_forger_of_these_tests_can_make_the_right_index():
  assert with_index(ENTRIES) == DATA


@pytest.mark.parametrize(
  "entries",
  [
    [ENTRIES[0], *(e._replace(frame=e.frame + 4) for e in ENTRIES[1:9])],
    [ENTRIES[0], *(e._replace(frame=e.frame + 1) for e in ENTRIES[1:])],
    [ENTRIES[0], *(e._replace(offset=e.offset + 1) for e in ENTRIES[1:])],
    [ENTRIES[0], *(e._replace(offset=e.offset + 338) for e in ENTRIES[1:])],
    [ENTRIES[0], *(e._replace(chain=e.chain ^ 1) for e in ENTRIES[1:])],
    [ENTRIES[0], IndexEntry(20, 1 << 60, 0)],
    [ENTRIES[0], IndexEntry(20, 2, 0)],
    [e._replace(frame=e.frame + 1) for e in ENTRIES],
    [*ENTRIES[:5], ENTRIES[4]],
    ENTRIES[::-1],
    [ENTRIES[0], ENTRIES[5]],
    [ENTRIES[0]],
  ],
)
def test_a_wrong_index_gives_right_frames_and_is_reported(entries):
  data = with_index(entries)
  for frame in range(40):
    reader = StreamReader(io.BytesIO(data))
    reader.seek(frame)
    first = next(iter(reader))
    assert first == FRAMES[first.index] and first.index <= frame
  with pytest.raises(StreamError, match=r"frame \d+: .*(index|I frame|end record)"):
    list(StreamReader(io.BytesIO(data)))


@pytest.mark.parametrize("end", [(40, 0), (40, 1), (39, 185), (40, 186), (40, 1 << 30)])
def test_an_end_that_does_not_fit_the_index(end):
  data = with_index(ENTRIES, end=EndRecord(*end))
  assert not StreamReader(io.BytesIO(data)).seek(20)
  with pytest.raises(StreamError, match="end record"):
    list(StreamReader(io.BytesIO(data)))


def test_index_of_another_stream():
  other = write((FRAMES[0]._replace(strings=(b"other",)), *FRAMES[1:]))
  foreign = DATA[: -185 - 33] + other[-185 - 33 :]
  assert not StreamReader(io.BytesIO(foreign)).seek(20)


def test_index_stays_small():
  index, kept = SeekIndex(), []
  for number in range(20_000):
    index.add(3 * number, 100 * number, number)
    kept.append(len(index.entries))
  assert max(kept) == seek_index.MAX_ENTRIES
  # Every eighth, the smallest power of two that leaves no more than 4096.
  assert index.entries == [IndexEntry(3 * n, 100 * n, n) for n in range(0, 20_000, 8)]
  body = seek_index.pack(index.entries)
  assert len(body) + 8 < packing.max_record_length(16, 16)
  assert seek_index.unpack(body) == index.entries


def test_what_is_no_index():
  good = seek_index.pack(ENTRIES)
  for body in (b"", b"x", b"xname", good[:-1], good + b"?", b"y" + good[1:]):
    with pytest.raises(ValueError, match="index"):
      seek_index.unpack(body)
