import json
import shutil

import numpy as np
import pytest

from tfafs import datasets
from tfafs.coding import compressed_video, video_reader
from tfafs.coding.codec import Codec
from tfafs.models import registry
from tfafs.training import errors, finish_codec, run, run_directory

EVALUATION = finish_codec.Evaluation(
  num_clips=2,
  num_frames=32,
  width=72,
  height=48,
  bpp=0.25,
  estimated_excess=0.015,
  psnr=30.5,
  encode_fps=12.0,
  decode_fps=13.0,
  mismatched_frames=0,
  x264_bpp=0.125,
  x264_psnr=30.25,
)


@pytest.fixture(scope="module")
def finished(tiny_saved_model, tmp_path_factory):
  """Config, result and evaluation of a run that exported the untrained tiny codec."""
  config = registry.load_config("stat_ssf_sp", "tiny")
  config.data.eval_clips = 2
  paths = run_directory.run_paths(tmp_path_factory.mktemp("finished"))
  shutil.copytree(tiny_saved_model, paths.saved_model)
  result = run.TrainingResult(None, paths, 20, 20, 2.5, {"loss": 0.5})
  return config, result, finish_codec.evaluate(config, paths)


def test_figures_are_of_the_files(finished):
  _, result, evaluation = finished
  assert (evaluation.num_clips, evaluation.num_frames) == (2, 32)
  assert (evaluation.width, evaluation.height) == (72, 48)
  assert evaluation.mismatched_frames == 0
  assert abs(evaluation.estimated_excess) < 0.1
  assert 0 < evaluation.x264_bpp < 10
  # The first clip is one of the two: its file has about half of all bytes.
  size = (result.paths.demo / "clip.tfafs").stat().st_size
  bits = evaluation.bpp * evaluation.num_frames * evaluation.width * evaluation.height
  assert 0.2 < 8 * size / bits < 0.8


def test_demo_is_the_held_out_clip_and_what_the_stream_decodes_to(finished):
  config, result, _ = finished
  demo = result.paths.demo
  seed = config.training.seed + finish_codec.FIRST_SEED
  clip = datasets.synthetic_clip(seed, finish_codec.NUM_FRAMES, 48, 72)
  np.testing.assert_array_equal(
    list(video_reader.open_video(demo / "original.mkv")), clip
  )
  codec = Codec.load(result.paths.saved_model)
  with compressed_video.CompressedVideoReader(codec, demo / "clip.tfafs") as stream:
    assert stream.header.gop == finish_codec.GOP
    decoded = list(stream)
  np.testing.assert_array_equal(
    list(video_reader.open_video(demo / "decoded.mkv")), decoded
  )
  assert sorted(path.name for path in demo.iterdir()) == [
    "clip.tfafs",
    "decoded.mkv",
    "original.mkv",
  ]


@pytest.fixture
def result(tmp_path):
  """A run of 20 steps."""
  paths = run_directory.run_paths(tmp_path)
  return run.TrainingResult(None, paths, 20, 20, 2.5, {"loss": 0.5})


def test_summary_has_the_figures(result):
  finish_codec.report(result, EVALUATION)
  summary = json.loads(result.paths.summary.read_text())
  training = {"steps": 20, "steps_per_second": 2.5, "logs": {"loss": 0.5}}
  assert summary == {"training": training, "evaluation": EVALUATION._asdict()}


def test_a_run_that_was_finished_before_keeps_its_training_figures(result, capsys):
  idle = result._replace(steps_done=0, steps_per_second=None, logs={})
  finish_codec.report(result, EVALUATION)
  capsys.readouterr()
  finish_codec.report(idle, EVALUATION)
  assert "20 (2.5 steps/s)" in capsys.readouterr().out
  result.paths.summary.write_text("damaged")
  finish_codec.report(idle, EVALUATION)
  output = capsys.readouterr().out
  assert "trained for, steps" in output and "loss at the end" not in output


def test_frames_that_differ_are_an_error(result, capsys):
  different = EVALUATION._replace(mismatched_frames=3)
  with pytest.raises(errors.RunError, match="3 of 32 decoded frames differ"):
    finish_codec.report(result, different)
  assert "NO: 3 of 32 frames differ" in capsys.readouterr().out


def test_table():
  training = {"steps": 1000, "steps_per_second": 4.0, "logs": {"loss": 0.00125}}
  rows = finish_codec.table(training, EVALUATION).splitlines()
  text = "\n".join(rows)
  for words in (
    "1000 (4 steps/s)",
    "0.00125",
    "2 synthetic clips, 32 frames 72x48",
    "0.2500",
    "30.50 dB",
    "0.1250 bits per pixel, 30.25 dB",
    "+1.50 %",
    "12.0",
    "13.0",
    "yes, every frame",
  ):
    assert words in text
  assert max(map(len, rows)) <= 88
  assert "quality" not in text
  levels = [finish_codec.LevelResult(n, 0.1 * n, 30 + n) for n in range(3)]
  text = finish_codec.table(training, EVALUATION._replace(levels=levels))
  assert "first clip at quality 2" in text
  assert "0.2000 bits per pixel, 32.00 dB" in text


def test_directions_name_every_place(tmp_path):
  paths = run_directory.run_paths(tmp_path)
  text = finish_codec.directions(paths)
  for path in (paths.saved_model, paths.checkpoints, paths.tensorboard, paths.summary):
    assert str(path) in text
  assert (
    f"bin/compress YOUR_VIDEO.mp4 clip.tfafs --saved_model={paths.saved_model}"
    in (text)
  )
