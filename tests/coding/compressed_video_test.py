import io
import itertools
import os
import resource
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from tfafs.coding import (
  CompressedVideoReader,
  CompressedVideoWriter,
  StreamError,
  StreamReader,
  compress_video,
  decompress_video,
  open_video,
  open_writer,
)
from tfafs.coding.compressed_video import psnr


class Clip:
  """Frames in memory, as a reader of a video file."""

  def __init__(self, frames, width=21, height=17, frame_rate=Fraction(24000, 1001)):
    self.frames, self.frame_rate = frames, frame_rate
    self.width, self.height, self.frame_count = width, height, None

  def __iter__(self):
    return iter(self.frames)


@pytest.fixture
def stream(codec, frames):
  file = io.BytesIO()
  compress_video(codec, Clip(frames), file, gop=3)
  return file.getvalue()


def test_file_to_file(codec, frames, tmp_path):
  with open_writer(tmp_path / "in.mkv", 21, 17, 24) as writer:
    for frame in frames:
      writer.write(frame)
  seen = []
  summary = compress_video(
    codec,
    tmp_path / "in.mkv",
    tmp_path / "stream",
    gop=4,
    on_frame=lambda i, frame, encoded: seen.append((i, encoded.kind)),
  )
  assert seen == list(enumerate("IPPPIPP"))
  assert summary.frames == 7 and (summary.width, summary.height) == (21, 17)
  assert summary.num_bytes == os.path.getsize(tmp_path / "stream")
  assert summary.bits_per_pixel == 8 * summary.num_bytes / (7 * 21 * 17)
  assert summary.psnr == float("inf")
  decoded = []
  summary = decompress_video(
    codec, tmp_path / "stream", tmp_path / "out.mkv", lambda i, f: decoded.append(f)
  )
  assert summary.frames == 7
  np.testing.assert_array_equal(decoded, frames)
  with open_video(tmp_path / "out.mkv") as video:
    assert video.frame_rate == 24
    np.testing.assert_array_equal(list(video), frames)
  assert sorted(os.listdir(tmp_path)) == ["in.mkv", "out.mkv", "stream"]


def test_header_of_a_file_and_of_a_pipe(codec, frames, tmp_path, stream):
  compress_video(codec, Clip(frames), tmp_path / "stream", gop=3)
  with CompressedVideoReader(codec, tmp_path / "stream") as reader:
    assert (reader.width, reader.height, reader.frame_count) == (21, 17, 7)
    assert reader.frame_rate == Fraction(24000, 1001)
    assert reader.header.gop == 3 and reader.header.model == "png"
    assert reader.header.fingerprint == codec.fingerprint
    np.testing.assert_array_equal(list(reader), frames)
  live = CompressedVideoReader(codec, io.BytesIO(stream))
  assert live.frame_count is None
  np.testing.assert_array_equal(list(live), frames)


def test_estimated_bits_are_those_of_the_strings(codec, frames, stream):
  summary = compress_video(codec, Clip(frames), io.BytesIO(), gop=3)
  records = StreamReader(io.BytesIO(stream))
  assert summary.estimated_bits == sum(8 * len(s) for r in records for s in r.strings)


def test_same_input_same_file(codec, frames, stream, tmp_path):
  again = io.BytesIO()
  compress_video(codec, Clip(frames), again, gop=3)
  assert again.getvalue() == stream
  for name in ("a", "b"):
    compress_video(codec, Clip(frames), tmp_path / name)
  assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_one_frame_at_a_time(codec, frames, tmp_path):
  """Frame t is read after frame t - 1 is done, and no more than max_frames are."""
  events = []

  def clip():
    for t in itertools.count():
      events.append(("read", t))
      yield frames[t % 7]

  summary = compress_video(
    codec,
    Clip(clip()),
    tmp_path / "stream",
    max_frames=5,
    on_frame=lambda t, *_: events.append(("done", t)),
  )
  assert summary.frames == 5
  assert events == [(e, t) for t in range(5) for e in ("read", "done")]


def test_writer_and_reader_by_frame(codec, frames, tmp_path):
  with CompressedVideoWriter(codec, tmp_path / "s", 21, 17, 29.97, gop=2) as writer:
    for frame in frames:
      assert not (tmp_path / "s").exists()
      np.testing.assert_array_equal(writer.write(frame).reconstruction, frame)
    assert writer.frames == 7
  assert writer.num_bytes == os.path.getsize(tmp_path / "s")
  with CompressedVideoReader(codec, tmp_path / "s") as reader:
    assert reader.frame_rate == Fraction(2997, 100)
    for frame, decoded in itertools.zip_longest(frames, reader):
      np.testing.assert_array_equal(decoded, frame)


def test_failure_leaves_what_was_there(codec, frames, tmp_path):
  path = tmp_path / "stream"
  path.write_bytes(b"what was there")

  def broken():
    yield from frames[:3]
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    compress_video(codec, Clip(broken()), path)
  with pytest.raises(ValueError, match=r"frame 3 has shape \[17, 22, 3\]"):
    compress_video(codec, Clip([*frames[:3], np.zeros([17, 22, 3], np.uint8)]), path)
  with pytest.raises(ValueError, match="no frames"):
    compress_video(codec, Clip([]), path)
  with pytest.raises(ValueError, match="width is 8"):
    compress_video(codec, Clip([np.zeros([8, 8, 3], np.uint8)], 8, 8), path)
  with pytest.raises(ValueError, match="max_frames is 0"):
    compress_video(codec, Clip(frames), path, max_frames=0)
  with pytest.raises(ValueError, match="gop is -2"):
    compress_video(codec, Clip(frames), path, gop=-2)
  assert path.read_bytes() == b"what was there"
  assert os.listdir(tmp_path) == ["stream"]


def test_file_that_cannot_grow_is_named_and_removed(codec, frames, tmp_path):
  """A limit on the size of files stands for a full disk."""
  random = np.random.default_rng(0)
  large = list(random.integers(0, 256, [3, 200, 200, 3], np.uint8))
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, limits[1]))
  try:
    with pytest.raises(OSError, match="File too large") as error:
      compress_video(codec, Clip(large, 200, 200), tmp_path / "stream")
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  assert error.value.filename == str(tmp_path / "stream")
  assert not os.listdir(tmp_path)


def test_damaged_stream_leaves_no_file(codec, frames, stream, tmp_path):
  (tmp_path / "stream").write_bytes(stream[:-34])
  with pytest.raises(StreamError, match="truncated behind 6 whole frames"):
    decompress_video(codec, tmp_path / "stream", tmp_path / "out.mkv")
  with pytest.raises(StreamError, match="truncated behind 6"):
    decompress_video(codec, tmp_path / "stream", tmp_path / "folder")
  assert os.listdir(tmp_path) == ["stream"]
  with CompressedVideoReader(codec, tmp_path / "stream") as reader:
    decoded = []
    with pytest.raises(StreamError):
      for frame in reader:
        decoded.append(frame)
  np.testing.assert_array_equal(decoded, frames[:6])


def test_stream_of_another_codec(other_codec, stream, tmp_path):
  with pytest.raises(StreamError, match=r"made by png \w{16}; .* is png \w{16}"):
    decompress_video(other_codec, io.BytesIO(stream), tmp_path / "out.mkv")
  assert not os.listdir(tmp_path)


@pytest.mark.parametrize("start", range(7))
@pytest.mark.parametrize("end", [*range(1, 8), None])
def test_any_part_of_a_stream(codec, frames, stream, start, end, monkeypatch):
  if end is not None and end <= start:
    return
  with CompressedVideoReader(codec, io.BytesIO(stream), start, end) as reader:
    decoded, decode = [], reader._decoder.decode
    monkeypatch.setattr(
      reader._decoder, "decode", lambda r: decoded.append(r.index) or decode(r)
    )
    np.testing.assert_array_equal(list(reader), frames[start:end])
    assert reader.frame_count == (None if end is None else end - start)
  # From the intra frame before on, and nothing else.
  assert decoded == list(range(start - start % 3, end or 7))


@pytest.mark.parametrize(("start", "end"), [(7, None), (7, 9), (6, 8)])
def test_frames_that_are_not_there(codec, stream, start, end, tmp_path, frames):
  with (
    CompressedVideoReader(codec, io.BytesIO(stream), start, end) as live,
    pytest.raises(ValueError, match="there is no frame 7: the stream has 7"),
  ):
    list(live)
  compress_video(codec, Clip(frames), tmp_path / "file", gop=3)
  with pytest.raises(ValueError, match=r"there is no frame [78]: the stream has 7"):
    CompressedVideoReader(codec, tmp_path / "file", start, end)


def test_pipe_to_pipe(codec, frames):
  """y4m in, stream, y4m out, all through file objects that only read or write."""
  y4m, stream, out = io.BytesIO(), io.BytesIO(), io.BytesIO()
  with open_writer(y4m, 21, 17, 25) as writer:
    for frame in frames:
      writer.write(frame)
  y4m.seek(0)
  with open_video(y4m) as video:
    compress_video(codec, video, stream)
  stream.seek(0)
  decompress_video(codec, stream, out)
  out.seek(0)
  with open_video(out) as video:
    decoded = np.stack(list(video)).astype(int)
  assert abs(decoded - frames).max() <= 4  # y4m twice, each up to 2 levels


def test_psnr():
  black, white = np.zeros([4, 4, 3], np.uint8), np.full([4, 4, 3], 255, np.uint8)
  assert psnr(black, black) == float("inf")
  assert psnr(black, white) == 0
  assert psnr(white, white - 1) == pytest.approx(48.1308, abs=1e-4)
  one = black.copy()
  one[0, 0, 0] = 16
  assert psnr(one, black) == pytest.approx(10 * np.log10(255**2 * 48 / 256))


def test_thousand_frames_without_drift(codec, tmp_path):
  random = np.random.default_rng(0)
  background = random.integers(0, 256, [16, 16, 3], np.uint8)
  clip = (np.roll(background, t, axis=t % 2) for t in range(1000))
  reconstructions = []
  compress_video(
    codec,
    Clip(clip, 16, 16),
    tmp_path / "stream",
    gop=0,
    on_frame=lambda t, frame, encoded: reconstructions.append(encoded.reconstruction),
  )
  with CompressedVideoReader(codec, tmp_path / "stream") as reader:
    assert reader.frame_count == 1000
    for decoded, reconstruction in itertools.zip_longest(reader, reconstructions):
      np.testing.assert_array_equal(decoded, reconstruction)


@pytest.mark.parametrize("size", [(16, 16), (37, 51)])
def test_trained_architecture(ssf_codec, tmp_path, size):
  """stat_ssf_sp, untrained: any size, odd ones too; decoder equals encoder."""
  codec = ssf_codec
  height, width = size
  texture = np.random.default_rng(0).integers(0, 256, [height, width, 3], np.uint8)
  clip = [np.roll(texture, t, axis=1) for t in range(5)]
  reconstructions = []
  summary = compress_video(
    codec,
    Clip(clip, width, height),
    tmp_path / "stream",
    gop=3,
    on_frame=lambda t, frame, encoded: reconstructions.append(encoded.reconstruction),
  )
  assert np.isfinite(summary.psnr)
  with CompressedVideoReader(codec, tmp_path / "stream") as reader:
    np.testing.assert_array_equal(list(reader), reconstructions)
  with open(tmp_path / "stream", "rb") as file:
    records = list(StreamReader(file))
  whole = codec.signatures["compress"](
    frames=tf.constant(np.stack(clip)), gop=tf.constant(3)
  )
  for record, strings in zip(records, whole["strings"].numpy().tolist()):
    assert list(record.strings) == strings[: len(record.strings)]
  assert "".join(record.kind for record in records) == "IPPIP"
