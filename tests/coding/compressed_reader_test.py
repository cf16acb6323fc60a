"""Decoding with losses, with checksums of frames, from files that grow."""

import io
import threading

import numpy as np
import pytest

from tfafs.coding import (
  CompressedVideoReader,
  CompressedVideoWriter,
  StreamError,
  decompress_video,
  open_video,
  record,
)


def compress(codec, frames, **kwargs):
  file = io.BytesIO()
  kwargs = {"gop": 3, **kwargs}
  with CompressedVideoWriter(codec, file, 21, 17, 25, **kwargs) as writer:
    for frame in frames:
      writer.write(frame)
  return file.getvalue()


def split(data):
  file, records = io.BytesIO(data), []
  while file.tell() < len(data):
    start = file.tell()
    record.read_record(file, 1 << 20)
    records.append(data[start : file.tell()])
  return records


def test_checksums_of_frames_say_bit_exact(codec, frames, tmp_path):
  data = compress(codec, frames, frame_checksums=True)
  assert len(data) == len(compress(codec, frames)) + 7 * 52
  reader = CompressedVideoReader(codec, io.BytesIO(data), strict=True)
  for index, frame in enumerate(reader):
    np.testing.assert_array_equal(frame, frames[index])
    assert reader.last_check == (index, True, 0, 0.0)
  assert reader.drift.frames == 7 and reader.drift.exact
  summary = decompress_video(codec, io.BytesIO(data), tmp_path / "a.mkv")
  assert str(summary.drift) == "bit-exact, 7 checksums"
  plain = compress(codec, frames)
  assert decompress_video(codec, io.BytesIO(plain), io.BytesIO()).drift is None
  with pytest.raises(ValueError, match="no checksums of frames"):
    CompressedVideoReader(codec, io.BytesIO(plain), strict=True)


def test_drift_is_reported_and_bounded(codec, frames, monkeypatch, tmp_path):
  data = compress(codec, frames, frame_checksums=True)
  decode, drifts = CompressedVideoReader, {2: 3, 4: -2, 5: 7}
  reader = decode(codec, io.BytesIO(data))
  exact = reader._decoder.decode

  def drifting(frame):
    out = exact(frame).copy()
    levels = drifts.get(frame.index, 0)
    y, x = np.argwhere((out[..., 1] > 10) & (out[..., 1] < 245))[0]
    out[y, x, 1] = int(out[y, x, 1]) + levels
    return out

  monkeypatch.setattr(reader._decoder, "decode", drifting)
  levels = [reader.last_check.levels for _ in reader]
  assert levels == [0, 0, 3, 0, 2, 7, 0]
  assert (reader.drift.frames, reader.drift.exact_frames) == (7, 4)
  assert (reader.drift.first.index, reader.drift.worst.index) == (2, 5)
  strict = decode(codec, io.BytesIO(data), strict=True)
  monkeypatch.setattr(strict._decoder, "decode", drifting)
  with pytest.raises(StreamError, match="frame 2 drifted by at most 3 levels") as error:
    decompress_video(codec, strict, tmp_path / "out.mkv")
  assert error.value.frame == 2 and not list(tmp_path.iterdir())


@pytest.mark.parametrize("index", [False, True])
def test_any_part_of_a_file_with_an_index(codec, frames, index):
  data = compress(codec, frames, index=index, frame_checksums=True)
  for start in range(7):
    for end in [*range(start + 1, 8), None]:
      reader = CompressedVideoReader(codec, io.BytesIO(data), start, end)
      np.testing.assert_array_equal(list(reader), frames[start:end])
      # Decoded, and checked, from the intra frame on.
      assert reader.drift.frames == (end or 7) - start + start % 3


def test_resilient_repeats_the_frame_before_a_gap(codec, frames, tmp_path):
  head, *records = split(compress(codec, frames))
  for at, lost, written in (
    (0, [0, 1, 2], [3, 3, 3, 3, 4, 5, 6]),
    (4, [4, 5], [0, 1, 2, 3, 3, 3, 6]),
    (6, [6], [0, 1, 2, 3, 4, 5]),
  ):
    data = head + b"".join([*records[:at], *records[at + 1 :]])
    with pytest.raises(StreamError):
      decompress_video(codec, io.BytesIO(data), tmp_path / "none.mkv")
    reader = CompressedVideoReader(codec, io.BytesIO(data), resilient=True)
    summary = decompress_video(codec, reader, tmp_path / "out.mkv")
    assert [i for r in summary.lost for i in r] == lost
    assert summary.frames == len(written) and len(summary.faults) == 1
    with open_video(tmp_path / "out.mkv") as video:
      np.testing.assert_array_equal(list(video), frames[written])
    # The same, a part of it: losses outside are no concern of it.
    reader = CompressedVideoReader(codec, io.BytesIO(data), 2, 5, resilient=True)
    seen = dict((reader.index, frame) for frame in reader)
    assert sorted(seen) == [i for i in (2, 3, 4) if i not in lost]
    assert [i for r in reader.lost for i in r] == [i for i in (2, 3, 4) if i in lost]
    for i, frame in seen.items():
      np.testing.assert_array_equal(frame, frames[i])


def test_resilient_skips_what_does_not_decode(codec, frames, monkeypatch):
  data = compress(codec, frames)
  reader = CompressedVideoReader(codec, io.BytesIO(data), resilient=True)
  decode = reader._decoder.decode
  monkeypatch.setattr(
    reader._decoder,
    "decode",
    lambda r: decode(r if r.index != 1 else r._replace(strings=(b"", b"", b""))),
  )
  assert [reader.index for _ in reader] == [0, 3, 4, 5, 6]
  assert reader.lost == [range(1, 3)]
  assert len(reader.faults) == 1 and "frame 1: its strings" in reader.faults[0]


def test_resilient_without_a_single_frame(codec, frames, tmp_path):
  head = split(compress(codec, frames))[0]
  reader = CompressedVideoReader(codec, io.BytesIO(head), resilient=True)
  with pytest.raises(
    StreamError, match=r"no frame can be had: .*behind 0 whole frames"
  ):
    decompress_video(codec, reader, tmp_path / "out.mkv")
  assert not list(tmp_path.iterdir())


def test_a_file_that_is_being_written(codec, frames, tmp_path):
  """Each frame comes as soon as its record is whole, whatever the writer's pieces."""
  path, seen, received = tmp_path / "growing", threading.Semaphore(0), []
  pieces = split(compress(codec, frames))
  path.write_bytes(b"")

  def consume():
    with CompressedVideoReader(codec, path, follow=60) as reader:
      for frame in reader:
        received.append(frame)
        seen.release()

  thread = threading.Thread(target=consume)
  thread.start()
  with open(path, "ab", buffering=0) as file:
    file.write(pieces[0][:5])
    file.write(pieces[0][5:])
    for piece in pieces[1:8]:
      file.write(piece[:-1])
      assert not seen.acquire(timeout=0.05)
      file.write(piece[-1:])
      assert seen.acquire(timeout=30)
    file.write(pieces[8])
  thread.join(30)
  assert not thread.is_alive()
  np.testing.assert_array_equal(received, frames)


def test_a_writer_that_is_gone(codec, frames, tmp_path):
  path = tmp_path / "cut"
  path.write_bytes(compress(codec, frames)[:-40])
  reader = CompressedVideoReader(codec, path, follow=0.1)
  with pytest.raises(StreamError, match="truncated behind 6 whole frames"):
    list(reader)
