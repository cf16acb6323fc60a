"""Densities of video: train, go on, finish, then measure and sample as the commands do."""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import same_weights
import tensorflow as tf
from PIL import Image

from tfafs.models import registry
from tfafs.training import sampling, video_report

BIN = pathlib.Path(__file__).parents[2] / "bin"
FIRST = """
from tfafs.models import registry
from tfafs.training import finish_video, run
config = registry.load_config("slvm_af1", "tiny")
config.training.decay_at = 1.0
run.train(config, "whole")
config.training.steps = 4
run.train(config, "run")
config = registry.load_config("af2", "tiny")
config.model.dequantization = "uniform"
finish_video.finish(config, run.train(config, "af2"))
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
  """A run of the model with all parts, in two goes, and others; what they printed."""
  folder = tmp_path_factory.mktemp("video")
  options = ("--model=slvm_af1", "--config_size=tiny", "--config.training.decay_at=1")
  outputs = []
  for command in (
    ["-c", FIRST],
    [str(BIN / "train"), *options, "--model_dir=run"],
  ):
    process = subprocess.run(
      [sys.executable, *command], cwd=folder, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    outputs.append(process.stdout)
  return folder, outputs


def test_it_goes_on_to_the_same_weights(runs):
  folder, (_, output) = runs
  assert "Going on after step 4." in output
  assert same_weights.compare(folder) > 60


def test_it_prints_figures_and_every_place_is_there(runs):
  folder, (_, output) = runs
  summary = json.loads((folder / "run" / "summary.json").read_text())
  test, training = (summary["evaluation"][split] for split in ("test", "train"))
  assert f"at most {test['nats_per_dimension']:.4f} nats per dimension" in output
  assert f"at most {training['nats_per_dimension']:.4f} nats per dimension" in output
  assert f"{test['noise_correlation']:.4f}" in output
  assert test["num_clips"] == 2 and test["per_clip"] != training["per_clip"]
  places = output.partition("Where everything lies:")[2].partition("Next:")[0]
  paths = [line.split()[-1] for line in places.splitlines() if line.strip()]
  assert len(paths) == 10
  for path in paths:
    assert (folder / path).exists(), path
  for path in paths:
    if path.endswith(".png"):
      assert np.asarray(Image.open(folder / path).convert("L")).std() > 5, path


def test_samples(runs, capsys):
  folder, _ = runs
  paths = [folder / name for name in ("a.png", "b.png", "c.gif", "d.mp4")]
  for path in paths:
    options = {"count": 2, "num_frames": 3, "temperature": 0.5}
    sampling.run(folder / "run", path, **options)
    assert capsys.readouterr().out == f"{path}\n"
  first = np.asarray(Image.open(paths[0]))
  np.testing.assert_array_equal(first, np.asarray(Image.open(paths[1])))
  assert first.shape == (2 + 2 * 18, 2 + 8 * 18, 3)
  assert Image.open(paths[2]).n_frames == 8
  # Its own context, as a video: all samples go on from it.
  sampling.run(folder / "run", paths[0], paths[3], 2, 4, 1)
  again = np.asarray(Image.open(paths[0]))
  np.testing.assert_array_equal(again[2:18, : 4 * 18], again[20:36, : 4 * 18])


@pytest.mark.parametrize(
  "model, options, words",
  [
    ("run", {"output": "a.webm"}, "the ending must be one of .png, .gif"),
    ("run", {"num_context": 2}, "--context=2: slvm_af1 goes on from 3 frames or more"),
    ("run", {"temperature": -1.0}, "--temperature=-1.0 must not be negative"),
    ("whole", {}, "saved_model is missing: let bin/train finish this run"),
    ("none", {}, "none holds no run of a density of video"),
    ("run", {"output": ""}, "--output is missing"),
  ],
)
def test_refusals_of_sampling(runs, capsys, model, options, words):
  folder, _ = runs
  with pytest.raises(SystemExit) as stop:
    sampling.run(folder / model, **{"output": folder / "x.png", **options})
  assert stop.value.code == 2 and words in capsys.readouterr().err
  assert not (folder / "x.png").exists()


def test_a_context_longer_than_its_video_is_refused(runs, capsys):
  folder, _ = runs
  (folder / "short").mkdir()
  Image.new("L", (16, 16)).save(folder / "short/0.png")
  with pytest.raises(SystemExit):
    sampling.run(folder / "run", folder / "x.png", folder / "short", num_context=4)
  error = capsys.readouterr().err
  assert "--context=4: " in error and "short is too short" in error
  assert "it gives 1" in error and not (folder / "x.png").exists()


def test_runs_are_measured_side_by_side(runs, capsys):
  folder, _ = runs
  models = [folder / "run", folder / "whole"]
  video_report.run(models, folder / "out", num_samples=2)
  results = json.loads((folder / "out" / "evaluation.json").read_text())
  assert set(results) == set(map(str, models))
  one, other = (results[str(model)]["test"] for model in models)
  assert one == other and one["importance_weighted"] is not None
  assert "importance weighted, 2 samples" in capsys.readouterr().out
  assert (folder / "out" / "whole" / "histogram.png").exists()
  (folder / "file").touch()
  for last, output, words in (
    ("none", "new", "none holds no run of a density of video"),
    ("whole", "file", "file: File exists"),
  ):  # Before anything is measured.
    with pytest.raises(SystemExit):
      video_report.run([folder / "run", folder / last], folder / output)
    assert words in capsys.readouterr().err
  assert not (folder / "new").exists()


def test_runs_of_one_name_are_refused(runs, capsys):
  folder, _ = runs
  with pytest.raises(SystemExit) as stop:
    video_report.run([folder / "run", folder / "af2/run"], folder / "equal")
  assert stop.value.code == 2
  assert "would write to one folder, run" in capsys.readouterr().err
  assert not (folder / "equal").exists()


def test_what_was_measured_is_kept(runs, capsys):
  folder, _ = runs
  (folder / "empty").mkdir()
  shutil.copy(folder / "run/config.json", folder / "empty")
  with pytest.raises(SystemExit):
    video_report.run([folder / "run", folder / "empty"], folder / "kept", 2)
  assert "holds no checkpoint" in capsys.readouterr().err
  kept = json.loads((folder / "kept" / "evaluation.json").read_text())
  assert set(kept) == {str(folder / "run")}


def test_figures_are_of_the_same_clips_whatever_the_seed(tmp_path):
  """And samples of short clips are marked where the frames that were given end."""
  config = registry.load_config("slvm", "tiny")
  model = registry.build(config)
  first = video_report.evaluate(config, model)
  config.training.seed = 5
  assert video_report.evaluate(config, model) == first
  drawn = video_report.draw(config, model, first, tmp_path)
  path = drawn["samples after 4 frames, temperature 0.7, png"]
  picture = np.asarray(Image.open(path))
  assert picture.shape[1] == 2 + 18 * (4 + video_report.DRAWN_FRAMES)
  red = np.all(picture == (192, 57, 43), (0, 2))
  np.testing.assert_array_equal(np.flatnonzero(red), [4 * 18, 4 * 18 + 1])
  # No flow: nothing is said of its noise, though its log-determinant is 0 in both.
  names = [name for name, _ in video_report.rows(model, first)]
  assert "correlation of the noise" not in names
  flow = registry.build(registry.load_config("af1", "tiny"))
  assert "correlation of the noise" in [n for n, _ in video_report.rows(flow, first)]


def test_a_flow_over_white_noise_finishes(runs):
  folder, (output, _) = runs
  assert "uniform dequantisation" in output and "at most" not in output
  summary = json.loads((folder / "af2" / "summary.json").read_text())
  assert summary["evaluation"]["test"]["kl"] == 0


def test_the_printed_command_samples(runs):
  """Of two flows, which read more frames than samples go on from else."""
  folder, (output, _) = runs
  options = re.search(r"bin/sample (.*)", output)[1].split()
  assert "--model_dir=af2" in options
  process = subprocess.run(
    [sys.executable, str(BIN / "sample"), *options],
    cwd=folder,
    capture_output=True,
    text=True,
  )
  assert process.returncode == 0, process.stderr
  assert (folder / "samples.mp4").exists()


def test_the_documented_use_of_the_saved_model_runs(runs, monkeypatch):
  folder, _ = runs
  shutil.copytree(folder / "run" / "saved_model", folder / "runs/slvm_af1/saved_model")
  page = (BIN.parent / "docs" / "video_density.md").read_text(encoding="utf-8")
  (block,) = re.findall(r"```python\n(.*?)```", page, re.S)
  monkeypatch.chdir(folder)
  levels = np.random.default_rng(0).integers(0, 256, [2, 7, 16, 16, 1])
  names = {"clip": tf.constant(levels / 255, tf.float32)}
  exec(compile(block, "video_density.md", "exec"), names)
  assert names["model"].log_prob(names["x"], [0, 1])["log_prob"].shape == [2, 4]
