import time

import numpy as np
import pytest

from tfafs.coding import bitstream
from tfafs.coding.codec import Codec
from tfafs.evaluation import classical, clips, coded_file, metrics, neural, rd_curves


def test_the_rate_is_that_of_the_file_and_the_quality_that_of_its_frames(
  codec, frames, tmp_path
):
  result = rd_curves.evaluate_clip(codec, frames, gop=3, workdir=tmp_path)
  (file,) = tmp_path.iterdir()
  assert result.file == str(file)
  assert result.file_bytes == file.stat().st_size
  assert result.bpp == 8 * result.file_bytes / (48 * 64 * 5)
  assert [frame.kind for frame in result.frames] == ["I", "P", "P", "I", "P"]
  with open(file, "rb") as stream:
    records = list(bitstream.StreamReader(stream))
  lengths = [sum(map(len, record.strings)) for record in records]
  assert [frame.num_bytes for frame in result.frames] == lengths
  assert result.payload_bytes == sum(lengths) < result.file_bytes
  decoded = []
  clip = clips.as_clip(frames)
  neural.NeuralCodec(codec).decode_file(str(file), decoded.append, clip)
  psnrs = [metrics.psnr(*pair) for pair in zip(frames, decoded)]
  assert [frame.psnr for frame in result.frames] == psnrs
  assert result.psnr == pytest.approx(np.mean(psnrs))
  assert result.mismatched_frames == 0


def test_bytes_and_estimated_bits_of_each_part(codec, frames):
  result = rd_curves.evaluate_clip(codec, frames, gop=0)
  parts = ["intra_latent", "intra_hyper_latent", "motion", "residual"]
  assert list(result.part_bytes) == list(result.part_bits) == parts
  assert result.part_bytes["intra_hyper_latent"] == 1  # one I frame
  assert result.part_bytes["motion"] == 2 * 4  # two bytes in each of four P frames
  assert sum(result.part_bytes.values()) == result.payload_bytes
  for frame in result.frames:
    assert sum(frame.part_bytes.values()) == frame.num_bytes
  assert result.part_bits == {k: 8 * v for k, v in result.part_bytes.items()}


def test_a_baseline_is_measured_in_the_same_way(frames, tmp_path):
  codec = classical.ClassicalCodec("x265", 30)
  result = rd_curves.evaluate_clip(codec, frames, gop=2, workdir=tmp_path)
  assert result.file_bytes == (tmp_path / "clip.x265.crf=30.mkv").stat().st_size
  assert result.part_bytes is result.part_bits is result.mismatched_frames is None
  assert 25 < result.psnr < 60
  assert result.num_frames == len(result.frames) == 5


def test_it_leaves_no_file_unless_told_where(codec, frames, tmp_path, monkeypatch):
  monkeypatch.setenv("TMPDIR", str(tmp_path))
  monkeypatch.setattr("tempfile.tempdir", None)
  result = rd_curves.evaluate_clip(codec, frames)
  assert result.file == ""
  assert not list(tmp_path.iterdir())


def test_ms_ssim_or_the_reason_why_not(codec, frames):
  small = rd_curves.evaluate_clip(codec, frames)
  assert small.ms_ssim is None
  assert "161 pixels" in small.ms_ssim_note
  large = np.tile(frames[:2], [1, 4, 3, 1])
  result = rd_curves.evaluate_clip(codec, large)
  assert result.ms_ssim_note is None
  values = [frame.ms_ssim for frame in result.frames]
  assert result.ms_ssim == pytest.approx(np.mean(values))
  assert 0.5 < result.ms_ssim < 1
  skipped = rd_curves.evaluate_clip(codec, large, with_ms_ssim=False)
  assert (skipped.ms_ssim, skipped.ms_ssim_note) == (None, "not asked for")


def test_reading_the_source_and_looking_at_frames_is_not_timed(codec, frames):
  def slow():
    for frame in frames:
      time.sleep(0.1)
      yield frame

  clip = clips.as_clip(frames)._replace(read=slow)
  coder = neural.NeuralCodec(codec)
  result = rd_curves.evaluate_clip(coder, clip, on_frame=lambda *_: time.sleep(0.1))
  assert result.encode_fps > 10
  assert result.decode_fps > 10


def test_frames_that_differ_from_the_encoders_are_counted(exports, frames, tmp_path):
  other = Codec.load(exports[0.03])

  class Drifting(neural.NeuralCodec):
    """A decoder that is off by one level in every frame but the first."""

    def decode_file(self, path, on_frame, clip):
      count = iter(range(1000))
      return super().decode_file(
        path, lambda frame: on_frame(frame ^ np.uint8(next(count) > 0)), clip
      )

  assert rd_curves.evaluate_clip(other, frames).mismatched_frames == 0
  assert rd_curves.evaluate_clip(Drifting(other), frames).mismatched_frames == 4


@pytest.mark.parametrize("change", [-1, 1])
def test_a_decoder_that_loses_or_adds_frames_is_an_error(codec, frames, change):
  class Losing(neural.NeuralCodec):
    def decode_file(self, path, on_frame, clip):
      for frame in frames[: len(frames) - 1] if change < 0 else [*frames, frames[0]]:
        on_frame(frame)
      return 1.0

  with pytest.raises(ValueError, match="frames were"):
    rd_curves.evaluate_clip(Losing(codec), frames)


def test_callback_and_number_of_frames(codec, frames):
  seen = []
  result = rd_curves.evaluate_clip(
    codec, frames, max_frames=3, on_frame=lambda *args: seen.append(args)
  )
  assert result.num_frames == 3
  assert [index for index, _, _ in seen] == [0, 1, 2]
  np.testing.assert_array_equal([original for _, original, _ in seen], frames[:3])


def test_bad_arguments(codec, frames):
  with pytest.raises(ValueError, match="gop"):
    rd_curves.evaluate_clip(codec, frames, gop=-1)
  with pytest.raises(
    ValueError, match="clip is 64x8; toy_jpeg takes frames from 16x16"
  ):
    rd_curves.evaluate_clip(codec, frames[:, :8])
  empty = clips.as_clip(frames)._replace(read=lambda: [])
  with pytest.raises(ValueError, match="no frames"):
    rd_curves.evaluate_clip(classical.ClassicalCodec("x264", 30), empty)


def test_settings_come_from_the_model(codec):
  assert neural.NeuralCodec(codec).setting == "beta=0.01"
  assert neural.NeuralCodec(codec, "mine").setting == "mine"
  assert isinstance(neural.NeuralCodec(codec).codec, Codec)


def result(codec="a", setting="s", clip="c", bpp=1.0, psnr=30.0, ms_ssim=0.9):
  fields = dict.fromkeys(rd_curves.ClipResult._fields)
  fields.update(codec=codec, setting=setting, clip=clip, bpp=bpp, psnr=psnr)
  fields.update(ms_ssim=ms_ssim, encode_fps=2.0, decode_fps=4.0)
  return rd_curves.ClipResult(**fields)


def test_curves_of_clips_are_sorted_by_rate():
  results = [
    result(setting="high", bpp=2.0, psnr=34.0),
    result(setting="low"),
    result(clip="d"),
    result(codec="b"),
  ]
  curves = rd_curves.clip_curves(results)
  assert [(curve.codec, curve.clip) for curve in curves] == [
    *[("a", "c"), ("a", "d"), ("b", "c")]
  ]
  assert curves[0].points == [
    rd_curves.RdPoint("low", 1.0, 30.0, 0.9, 2.0, 4.0),
    rd_curves.RdPoint("high", 2.0, 34.0, 0.9, 2.0, 4.0),
  ]


def test_mean_curves_take_settings_that_all_clips_have():
  results = [
    result(clip="c", bpp=1.0, psnr=30.0, ms_ssim=None),
    result(clip="d", bpp=3.0, psnr=36.0),
    result(clip="c", setting="only here"),
  ]
  (curve,) = rd_curves.mean_curves(results)
  assert curve.clip == "mean of 2 clips"
  assert curve.points == [rd_curves.RdPoint("s", 2.0, 33.0, None, 2.0, 4.0)]


def test_a_stopwatch_adds_up_and_stops_on_errors():
  stopwatch = coded_file.Stopwatch()
  for _ in range(2):
    with pytest.raises(KeyError), stopwatch.running():
      time.sleep(0.02)
      raise KeyError
  assert 0.04 <= stopwatch.seconds < 0.4
