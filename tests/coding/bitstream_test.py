import io
import os
import pathlib
import struct
import threading
import zlib
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfafs.coding import frame_checksum, packing, record
from tfafs.coding.bitstream import StreamReader, StreamWriter
from tfafs.coding.packing import FrameRecord, StreamError, StreamHeader

HEADER = StreamHeader("tiny", bytes(range(32)), 20, 16, None, Fraction(30000, 1001), 3)
FRAMES = (
  FrameRecord(0, "I", (b"intra", b"")),
  FrameRecord(1, "P", (b"motion", b"hyper", b"residual")),
  FrameRecord(2, "P", (b"", b"", b"")),
  FrameRecord(3, "I", (b"again", b"hyper")),
)


def write(frames=FRAMES, header=HEADER, close=True, index=False):
  file = io.BytesIO()
  writer = StreamWriter(file, header, index)
  for frame in frames:
    writer.write(frame.kind, frame.strings, frame.checksum)
  if close:
    writer.close()
  assert writer.num_bytes == len(file.getvalue())
  return file.getvalue()


def written(header, frames=FRAMES):
  """The header as the writer completes it."""
  return header._replace(first_frame=zlib.crc32(packing.pack_frame(frames[0])))


def read(data, **kwargs):
  reader = StreamReader(io.BytesIO(data), **kwargs)
  return reader.header, tuple(reader)


def identity(header, frames=FRAMES):
  return packing.stream_id(packing.pack_header(written(header, frames)))


def bodies_of(data):
  """Bodies of the records behind the header, without seals and chains."""
  return [p[: -8 if p[:1] in b"IEx" else -4] for p in payloads(data)[1:]]


def payloads(data):
  file = io.BytesIO(data)
  out = []
  while (payload := record.read_record(file, 1 << 30)) is not None:
    out.append(payload)
  return out


def framed(payloads_):
  file = io.BytesIO()
  for payload in payloads_:
    record.write_record(file, payload)
  return file.getvalue()


def chained(header, bodies):
  """A stream of the given bodies with every checksum right."""
  if not header.first_frame:
    header = header._replace(first_frame=zlib.crc32(bodies[0]))
  header = packing.pack_header(header)
  identity = chain = zlib.crc32(header[:-4])
  out = [header]
  for body in bodies:
    chain = zlib.crc32(body, chain)
    seal = zlib.crc32(body, identity)
    seal = struct.pack("<I", seal) if body[:1] in (b"I", b"E", b"x") else b""
    out.append(body + seal + struct.pack("<I", chain))
  return framed(out)


def fails(data, message, frame):
  with pytest.raises(StreamError, match=message) as error:
    read(data)
  assert "\n" not in str(error.value)
  assert error.value.frame == frame


def test_round_trip_and_same_bytes_every_time():
  assert read(write()) == (written(HEADER), FRAMES)
  assert write() == write()


strings = st.lists(st.binary(max_size=40), min_size=1, max_size=5).map(tuple)


@settings(max_examples=50)
@given(st.lists(strings, min_size=1, max_size=6), st.integers(0, 4), st.booleans())
def test_any_frames_round_trip(all_strings, gop, known):
  frames = tuple(
    FrameRecord(i, "P" if (i % gop if gop else i) else "I", s)
    for i, s in enumerate(all_strings)
  )
  header = HEADER._replace(gop=gop, frame_count=len(frames) if known else None)
  assert read(write(frames, header)) == (written(header, frames), frames)


def test_overhead_is_what_the_documentation_says():
  data = write(FRAMES)
  head = len(payloads(data)[0]) + record.OVERHEAD
  assert head == 65 + len(HEADER.model) + 16
  content = sum(len(s) for frame in FRAMES for s in frame.strings)
  # Framing 16, chain 4, kind, index, number of strings, all lengths but the last; the
  # seals of two I frames.
  frames = sum(22 + len(f.strings) for f in FRAMES) + 2 * 4
  assert len(data) == head + content + 33 + frames
  assert len(write(index=True)) == len(data) + 25 + 2 * 16
  checked = tuple(f._replace(checksum=bytes(52)) for f in FRAMES)
  header = HEADER._replace(frame_checksums=True)
  assert len(write(checked, header)) == len(data) + 4 * 52


def test_layout_is_as_documented():
  header, first, *_, end = payloads(write())
  assert header == packing.pack_header(written(HEADER))
  chain = zlib.crc32(header[:-4] + b"I\0\2\5intra")  # of the first record: the seal too
  assert first == b"I\0\2\5intra" + 2 * struct.pack("<I", chain)
  body = b"E" + struct.pack("<II", 4, 0)
  chain = zlib.crc32(header[:-4] + b"".join(bodies_of(write())))
  seal = zlib.crc32(header[:-4] + body)
  assert end == body + struct.pack("<II", seal, chain)


def test_tf_data_reads_a_stream(tmp_path):
  path = tmp_path / "stream"
  path.write_bytes(write())
  read_ = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
  assert read_ == payloads(write())


def test_every_truncation_yields_the_whole_frames_before_it():
  data = write()
  ends = [0]
  for payload in payloads(data):
    ends.append(ends[-1] + len(payload) + record.OVERHEAD)
  for end in range(len(data)):
    whole = sum(e <= end for e in ends) - 2
    frames = []
    with pytest.raises(StreamError) as error:
      for frame in StreamReader(io.BytesIO(data[:end])):
        frames.append(frame)
    assert tuple(frames) == FRAMES[: max(whole, 0)]
    if whole < 0:
      assert error.value.frame is None
    else:
      assert f"truncated behind {whole} whole frames" in str(error.value)
      assert error.value.frame == whole


def test_every_bit_flip_is_found_and_no_wrong_frame_comes_out():
  data = write()
  for bit in range(8 * len(data)):
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    frames = []
    with pytest.raises(StreamError):
      for frame in StreamReader(io.BytesIO(bytes(damaged))):
        frames.append(frame)
    assert tuple(frames) == FRAMES[: len(frames)]


OUT_OF_PLACE = "does not continue this stream"


def test_sound_records_in_the_wrong_place():
  header, *frames, end = payloads(write())
  for i in range(3):
    swapped = [*frames[:i], frames[i + 1], frames[i], *frames[i + 2 :]]
    fails(framed([header, *swapped, end]), OUT_OF_PLACE, i)
  for i in range(4):
    dropped = frames[:i] + frames[i + 1 :]
    fails(framed([header, *dropped, end]), OUT_OF_PLACE, i)
    repeated = [*frames[: i + 1], frames[i], *frames[i + 1 :]]
    fails(framed([header, *repeated, end]), OUT_OF_PLACE, i + 1)


def test_records_of_another_stream():
  other_frames = (FrameRecord(0, "I", (b"other", b"")), *FRAMES[1:])
  header, *frames, end = payloads(write())
  a_while_alike = (*FRAMES[:3], FrameRecord(3, "I", (b"", b"")))
  _, *other, other_end = payloads(write(a_while_alike))
  # Up to frame 3 this is the other stream, so that only the end can tell.
  fails(framed([header, *frames[:3], other[3], end]), OUT_OF_PLACE, 4)
  fails(framed([header, *frames, other_end]), OUT_OF_PLACE, 4)
  for other_stream in (write(other_frames), write(header=HEADER._replace(gop=9))):
    other = payloads(other_stream)
    for i in range(4):
      mixed = [*frames[:i], other[i + 1], *frames[i + 1 :]]
      fails(framed([header, *mixed, end]), OUT_OF_PLACE, i)
    fails(framed([header, *frames, other[-1]]), OUT_OF_PLACE, 4)
    if other[0] != header:
      fails(framed([other[0], *frames, end]), OUT_OF_PLACE, 0)


def test_altered_record_with_its_own_checksum_right_is_not_yielded():
  header, *frames, end = payloads(write())
  frames[1] = frames[1].replace(b"motion", b"notion")
  fails(framed([header, *frames, end]), OUT_OF_PLACE, 1)


def test_bytes_behind_the_end():
  fails(write() + b"\0", "something follows the end", 4)
  fails(write() + write(), "something follows the end", 4)


@pytest.mark.parametrize(
  ("bodies", "message", "frame"),
  [
    ([b"E" + bytes(8)], "has no frames", 0),
    ([b"I\0\1x", b"E\2\0\0\0" + bytes(4)], "does not count", 1),
    ([b"I\0\1x", b"E\1\0\0\0" + bytes(5)], "end has 10 bytes, not 9", 1),
    ([b"I\0\1x", b"E"], "end has 1 bytes, not 9", 1),
    ([b"I\0\1x", b"E\1\0\0\0\1\0\0\0"], "state the size of the index", 1),
    ([b"I\0\1x", b"x" + bytes(16), b"P\1\1x"], "index .* where they are", 1),
    ([b"I\0\1x", b"x" + bytes(15)], "index of 16 bytes", 1),
    ([b"I\0\1x", b"x"], "index of 1 bytes", 1),
    ([b"I\1\1x"], "says it is frame 1", 0),
    ([b"P\0\1x"], "no I frame before it", 0),
    ([b"I\0\1x", b"P\1\1x", b"P\2\1x", b"P\3\1x"], "the GOP is 3", 3),
    ([b"B\0\1x"], "does not know records of kind b'B'", 0),
    ([b"I\0\0"], "no strings", 0),
    ([b"I\0"], "no strings", 0),
    ([b"I"], "cut short", 0),
    ([b"I\0\3\5\5xx"], "longer than itself", 0),
    ([b"I\0\2\xff\xff\xff\xff\x0fxx"], "longer than itself", 0),
    ([b"I\0\2\xff\xff\xff\xff\x7fxx"], "varint", 0),
  ],
)
def test_malformed_records_with_every_checksum_right(bodies, message, frame):
  fails(chained(HEADER, bodies), message, frame)


def test_index_in_the_wrong_place():
  entry = struct.pack("<IQI", 0, 81 + 4, identity(HEADER))
  first, *rest, _ = bodies_of(write())
  plain = [first, b"x" + entry]
  assert len(write()) < len(chained(HEADER, [*plain, *rest]))
  fails(chained(HEADER, [*plain, *rest]), "not the last record before the end", 1)
  fails(chained(HEADER, [*plain, b"x" + entry]), "not the last record", 1)
  fails(chained(HEADER, [b"x" + entry]), "index does not list", 0)


def test_records_too_short_for_a_chain():
  for payload in (b"", b"I", b"IIII"):
    data = framed([packing.pack_header(HEADER), payload])
    fails(data, f"record of {len(payload)} bytes", 0)


def test_records_of_lower_case_kinds_are_skipped():
  header = HEADER._replace(first_frame=zlib.crc32(b"I\0\1x"))
  bodies = [b"zulu", b"I\0\1x", b"y", b"E\1\0\0\0" + bytes(4)]
  data = chained(header, bodies)
  assert read(data)[1] == (FrameRecord(0, "I", (b"x",)),)


def test_frame_count_in_the_header_is_held_to():
  header = HEADER._replace(frame_count=4)
  assert read(write(header=header)) == (written(header), FRAMES)
  bodies = bodies_of(write())
  for count, frame in ((5, 4), (3, 3)):
    wrong = HEADER._replace(frame_count=count)
    fails(chained(wrong, bodies), "the header promised", frame)


def test_huge_record_with_right_length_checksum():
  head = struct.pack("<Q", 1 << 50)
  head += struct.pack("<I", record.masked_crc32c(head))
  fails(head, "not a tfafs stream.*claims", None)
  fails(framed(payloads(write())[:2]) + head, "frame 1: .*claims 1125899906842624", 1)


def test_no_stream():
  fails(b"", "file is empty", None)
  fails(os.urandom(500), "not a tfafs stream", None)
  fails(framed([b"some other TFRecord file"]), "not a tfafs stream", None)


def test_max_pixels():
  assert read(write(), max_pixels=320)[0] == written(HEADER)
  with pytest.raises(StreamError, match=r"20x16 have 320 pixels.*max_pixels=319"):
    read(write(), max_pixels=319)


def test_writer_refuses_what_a_reader_would():
  writer = StreamWriter(io.BytesIO(), HEADER)
  with pytest.raises(ValueError, match="no I frame before it"):
    writer.write("P", [b"x"])
  with pytest.raises(ValueError, match="kind is 'B'"):
    writer.write("B", [b"x"])
  with pytest.raises(ValueError, match="0 frames were written"):
    writer.close()
  with pytest.raises(ValueError, match="more than"):
    writer.write("I", [bytes(1 << 17)])
  with pytest.raises(ValueError, match=r"has a checksum; the header says .*=False"):
    writer.write("I", [b"x"], bytes(52))
  checked = StreamWriter(io.BytesIO(), HEADER._replace(frame_checksums=True))
  with pytest.raises(ValueError, match=r"has no checksum; the header says .*=True"):
    checked.write("I", [b"x"])
  writer.write("I", [b"x"])
  writer.write("P", [b"x"])
  writer.write("P", [b"x"])
  with pytest.raises(ValueError, match="the GOP is 3"):
    writer.write("P", [b"x"])
  writer.close()
  writer.close()
  with pytest.raises(ValueError, match="closed"):
    writer.write("I", [b"x"])


def test_writer_holds_to_the_frame_count_of_its_header():
  with pytest.raises(ValueError, match="4 frames were written; the header says 5"):
    write(header=HEADER._replace(frame_count=5))


def test_rewrite_header():
  file = io.BytesIO()
  file.write(b"before")
  writer = StreamWriter(file, HEADER)
  for frame in FRAMES:
    writer.write(frame.kind, frame.strings)
  with pytest.raises(ValueError, match="close it"):
    writer.rewrite_header(6)
  writer.close()
  writer.rewrite_header(6)
  file.write(b"behind")
  data = file.getvalue()
  assert data[:6] == b"before" and data[-6:] == b"behind"
  header = HEADER._replace(frame_count=4)
  assert read(data[6:-6]) == (written(header), FRAMES)
  assert data[6:-6] == write(header=header)


def test_live_through_a_pipe():
  reading, writing = os.pipe()
  seen, received = threading.Semaphore(0), []

  def consume():
    with open(reading, "rb", buffering=0) as file:
      for frame in StreamReader(file):
        received.append(frame)
        seen.release()

  thread = threading.Thread(target=consume)
  thread.start()
  with open(writing, "wb", buffering=0) as file:
    writer = StreamWriter(file, HEADER)
    for frame in FRAMES:
      writer.write(frame.kind, frame.strings)
      assert seen.acquire(timeout=10)  # it is read before the next one is written
    writer.close()
  thread.join(10)
  assert tuple(received) == FRAMES


def test_first_frame_that_the_header_does_not_announce():
  header = HEADER._replace(first_frame=1)
  fails(chained(header, [b"I\0\1x"]), "the header announces", 0)


def test_example_of_the_documentation():
  text = (pathlib.Path(__file__).parents[2] / "docs" / "bitstream.md").read_text()
  checksum, stream = (bytes.fromhex(part) for part in text.split("```")[1::2])
  header = StreamHeader(
    *("stat_ssf_sp", bytes(range(32)), 640, 272, 2, Fraction(30000, 1001), 12),
    exact_index=True,
  )
  frames = (
    FrameRecord(0, "I", (b"latent", b"hyper")),
    FrameRecord(1, "P", (b"m", b"", b"r" * 130, b"rh")),
  )
  header = written(header, frames)
  assert read(stream) == (header, frames)
  assert write(frames, header, index=True) == stream
  frame = (7 * np.arange(16 * 16 * 3) % 256).astype(np.uint8).reshape([16, 16, 3])
  assert frame_checksum.checksum(frame) == checksum
