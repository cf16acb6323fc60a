"""What is said of a stream, against what was written."""

import io
import json
from fractions import Fraction

import pytest

from tfafs.coding import inspection
from tfafs.coding.bitstream import StreamWriter
from tfafs.coding.packing import StreamError, StreamHeader

HEADER = StreamHeader(
  "a_model", bytes(range(32)), 40, 20, None, Fraction(30000, 1001), 3
)
FRAMES = [
  ("I", [b"abcd", b""]),
  ("P", [b"x" * 300, b"", b"yz", b"w"]),
  ("P", [b"", b"", b"", b""]),
  ("I", [b"q" * 7, b"r"]),
]


@pytest.fixture
def written():
  """The stream, and where each record ends."""
  file = io.BytesIO()
  writer, ends = StreamWriter(file, HEADER), []
  for kind, strings in FRAMES:
    writer.write(kind, strings)
    ends.append(len(file.getvalue()))
  writer.close()
  return file.getvalue(), ends


def test_reports_what_was_written(written, tmp_path):
  data, ends = written
  (tmp_path / "s.tfafs").write_bytes(data)
  report = inspection.inspect_stream(tmp_path / "s.tfafs")
  assert report.fault is None
  assert report.num_bytes == len(data)
  assert report.header._replace(first_frame=0) == HEADER
  assert [frame.index for frame in report.frames] == [0, 1, 2, 3]
  for frame, (kind, strings) in zip(report.frames, FRAMES):
    assert (frame.kind, frame.part_bytes) == (kind, tuple(map(len, strings)))
  sizes = [frame.num_bytes for frame in report.frames]
  assert sizes[1:] == [b - a for a, b in zip(ends, ends[1:])]
  assert report.groups == [(0, 3, sum(sizes[:3])), (3, 1, sizes[3])]
  assert report.bits_per_pixel == 8 * len(data) / (4 * 40 * 20)
  assert report.seconds == pytest.approx(4 * 1001 / 30000)


def test_every_cut_is_reported_with_the_whole_frames_before_it(written):
  data, ends = written
  for cut in range(len(data)):
    try:
      report = inspection.inspect_stream(io.BytesIO(data[:cut]))
    except StreamError:  # A header cut short is none.
      assert cut < ends[0]
      continue
    assert len(report.frames) == sum(end <= cut for end in ends)
    assert "truncated" in report.fault


def test_damage_is_reported_as_far_as_the_stream_is_sound(written):
  data, ends = written
  damaged = bytearray(data)
  damaged[ends[0] + 40] ^= 1
  report = inspection.inspect_stream(io.BytesIO(damaged))
  assert len(report.frames) == 1
  assert report.fault.startswith("frame 1: the stream is damaged")


def test_json_holds_it_all(written):
  data, _ = written
  report = inspection.inspect_stream(io.BytesIO(data))
  loaded = json.loads(json.dumps(report.to_json(), allow_nan=False))
  assert loaded["sound"] and loaded["bytes"] == len(data)
  assert loaded["header"]["frame_rate"] == "30000/1001"
  assert loaded["header"]["fingerprint"] == HEADER.fingerprint.hex()
  assert loaded["frames"][1]["parts"] == [300, 0, 2, 1]
  empty = inspection.StreamReport(HEADER, [], 0, "cut")
  assert json.loads(json.dumps(empty.to_json(), allow_nan=False))["fault"] == "cut"


def test_text(written):
  data, _ = written
  text = inspection.format_report(inspection.inspect_stream(io.BytesIO(data)), "clip")
  assert text.startswith("clip: a_model, 40x20, 29.97 frames/s, GOP 3\n")
  assert "frames   4 (live), 0.13 s" in text
  assert "where it was written: scale indexes from floating point" in text
  assert "no checksums of decoded frames" in text and "index    none" in text
  assert "groups   2, of 1 to 3 frames" in text
  assert "checks   sound to its end" in text
  assert "300 + 0 + 2 + 1" in text


def test_guarantee_index_and_checksums():
  file = io.BytesIO()
  header = HEADER._replace(exact_index=True, frame_checksums=True)
  writer, ends = StreamWriter(file, header, index=True), []
  for number, (kind, strings) in enumerate(FRAMES):
    writer.write(kind, strings, bytes([number]) * 52)
    ends.append(len(file.getvalue()))
  writer.close()
  report = inspection.inspect_stream(io.BytesIO(file.getvalue()))
  assert report.fault is None
  sizes = [frame.num_bytes for frame in report.frames]
  assert sizes[1:] == [b - a for a, b in zip(ends, ends[1:])]
  assert [frame.crc for frame in report.frames] == [n * 0x01010101 for n in range(4)]
  loaded = json.loads(json.dumps(report.to_json()))
  assert loaded["header"]["exact_index"] and loaded["header"]["frame_checksums"]
  assert loaded["index"] == {
    "bytes": 57,
    "entries": [
      {"frame": 0, "offset": ends[0] - sizes[0]},
      {"frame": 3, "offset": ends[2]},
    ],
  }
  assert loaded["frames"][3]["crc"] == "03030303"
  text = inspection.format_report(report, "clip")
  assert "on every machine" in text and "52 bytes for each decoded frame" in text
  assert "index    2 entries, 57 bytes" in text and "  03030303  7 + 1" in text
