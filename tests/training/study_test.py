import json

import numpy as np
import pytest
from absl import flags as absl_flags

from tfafs.coding import video_writer
from tfafs.evaluation import rd_curves, study_report
from tfafs.models import registry
from tfafs.training import errors, study, study_command


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
  """A file of three noisy frames."""
  path = tmp_path_factory.mktemp("clips") / "noise.mkv"
  rng = np.random.default_rng(0)
  with video_writer.open_writer(str(path), 48, 32, 30) as writer:
    for _ in range(3):
      writer.write(rng.integers(0, 256, [32, 48, 3], np.uint8))
  return str(path)


def parse(*arguments):
  return study_command.parse(["bin/study", *arguments], absl_flags.FlagValues())


def refuse(capsys, *arguments):
  with pytest.raises(SystemExit) as caught:
    parse(*arguments)
  assert caught.value.code == 2
  (line,) = capsys.readouterr().err.splitlines()
  return line


def test_every_codec_gets_the_overrides(clip):
  asked, plan_only = parse(
    clip, "--models=ssf,stat_ssf", "--config_size=tiny", "--config.training.steps=3"
  )
  assert not plan_only and asked.anchor == "ssf"
  for name, config in asked.configs.items():
    assert (config.model.name, config.training.steps) == (name, 3)
    assert config.model.hyper.channels == 8


def test_refusals(clip, capsys, tmp_path):
  assert "--models=NAME" in refuse(capsys, clip)
  assert "'bnaf' is no codec" in refuse(capsys, clip, "--models=bnaf")
  models = "--models=ssf"
  assert "--anchor=tat" in refuse(capsys, clip, models, "--anchor=tat")
  assert "--betas" in refuse(capsys, clip, models, "--betas=1,x")
  assert "--betas: give different" in refuse(capsys, clip, models, "--betas=1,1")
  assert "--betas does" in refuse(capsys, clip, models, "--config.model.beta=1")
  assert "nothing to evaluate" in refuse(capsys, models)
  assert "--crf" in refuse(capsys, clip, models, "--crf=")
  assert "absent.mkv" in refuse(capsys, str(tmp_path / "absent.mkv"), models)
  assert "no 'stepz'" in refuse(capsys, clip, models, "--config.training.stepz=1")


def test_a_study_is_a_chain_and_goes_on_where_it_was_stopped(clip, tmp_path, capsys):
  asked, _ = parse(
    clip,
    "--models=ssf",
    "--config_size=tiny",
    "--betas=0.001,0.01",
    "--anneal_steps=1",
    "--config.training.steps=2",
    "--config.training.large_crop_size=32",
    "--baselines=",
    f"--runs_dir={tmp_path / 'runs'}",
    f"--output_dir={tmp_path / 'report'}",
  )
  first, second = study.legs(asked)["ssf"]
  assert (first.steps_left, second.steps_left) == (2, 1)
  assert second.config.training.warm_start == str(first.paths.model_dir)
  report = study.carry_out(asked)
  assert [result.setting for result in report.results] == ["beta=0.001", "beta=0.01"]
  assert all(result.mismatched_frames == 0 for result in report.results)
  assert report.models[0].steps == [2, 1]
  stored = json.loads((tmp_path / "report" / "study.json").read_text("utf-8"))
  assert stored["results"][0]["bpp"] == report.results[0].bpp
  assert "<h2>Points" in (tmp_path / "report" / "index.html").read_text("utf-8")

  # Nothing is left to do, and nothing is done again.
  capsys.readouterr()
  assert study.plan(asked).splitlines()[1].split() == ["ssf", "trained"]
  again = study.carry_out(asked)
  assert capsys.readouterr().out == ""
  assert again.results == report.results

  # Killed between the last checkpoint and the note of the export: that is made again.
  second.paths.summary.unlink()
  third = study.carry_out(asked)
  assert [r.bpp for r in third.results] == [r.bpp for r in report.results]

  # What is asked for otherwise than it was done is refused.
  training = asked.configs["ssf"].training
  for field, value, why in (
    ("seed", 1, "another config: training.seed"),
    ("steps", 1, "for 2 steps, not 1"),
    ("steps", 4, "to be trained further"),
  ):
    before = training[field]
    training[field] = value
    with pytest.raises(errors.RunError, match=why):
      study.legs(asked)
    training[field] = before
  with pytest.raises(errors.RunError, match=r"not of .*beta=0\.003"):
    study.legs(asked._replace(betas=(0.001, 0.003, 0.01)))


def test_a_codec_of_variable_rate_is_trained_once(clip, tmp_path):
  asked, _ = parse(
    clip,
    "--models=ssf",
    "--config_size=tiny",
    "--config.model.variable_rate",
    f"--runs_dir={tmp_path}",
  )
  (leg,) = study.legs(asked)["ssf"]
  assert leg.paths.model_dir.name == "variable_rate"


def make_result(codec, setting, bpp, psnr):
  frames = [rd_curves.FrameResult(0, "I", 10, None, None, psnr, None)]
  return rd_curves.ClipResult(
    codec=codec,
    setting=setting,
    clip="clip",
    width=10,
    height=10,
    frame_rate=30.0,
    gop=0,
    num_frames=1,
    file_bytes=12,
    payload_bytes=10,
    bpp=bpp,
    psnr=psnr,
    ms_ssim=None,
    ms_ssim_note="not asked for",
    encode_fps=10.0,
    decode_fps=20.0,
    part_bytes=None,
    part_bits=None,
    mismatched_frames=None,
    file="",
    frames=frames,
  )


def test_bd_rate_against_the_anchor_and_the_baseline():
  rates = np.array([0.1, 0.2, 0.4, 0.8])
  results = []
  for codec, factor in (("ssf", 1.0), ("stat_ssf", 0.8), ("x265", 0.5)):
    results += [
      make_result(codec, f"{i}", factor * rate, 30.0 + 2 * i)
      for i, rate in enumerate(rates)
    ]
  made = study_report.make_study({}, [], "ssf", results)
  values = {(c.codec, c.anchor): c.bd_rate.value for c in made.comparisons}
  assert values.pop(("stat_ssf", "ssf")) == pytest.approx(-20.0)
  assert values.pop(("ssf", "x265")) == pytest.approx(100.0)
  assert values.pop(("stat_ssf", "x265")) == pytest.approx(60.0)
  assert not values


@pytest.mark.parametrize(
  "done, work", [(0, 480 + 320 * 0.8403), (640, 160 * 0.8403), (800, 0)]
)
def test_the_plan_counts_larger_crops_by_their_pixels(done, work):
  config = registry.load_config("ssf", "default")
  legs = [study.Leg(config, None, done)]
  assert study.work_left(legs) == pytest.approx(work, abs=0.01)
