"""VideoFlow with temporal flows: train, go on, finish, measure and sample."""

import json
import pathlib
import subprocess
import sys

import pytest
import same_weights

from tfafs.training import sampling, video_report

BIN = pathlib.Path(__file__).parents[2] / "bin"
FIRST = """
from tfafs.models import registry
from tfafs.models.video import videoflow
from tfafs.training import run
starts = []
start = videoflow.VideoFlow.initialize_from
def counted(model, clips):
  print("start")
  starts.append(clips.shape)
  start(model, clips)
videoflow.VideoFlow.initialize_from = counted
config = registry.load_config("videoflow_af", "tiny")
config.training.decay_at = 1.0
run.train(config, "whole")
config.training.steps = 4
result = run.train(config, "run")
run.train(config, "run")
assert starts == [(2, 6, 16, 16, 1)] * 2, starts
from tfafs.training import run_directory
config.training.update({"warm_start": "whole"})
config.training.steps = 1
run.train(config, "warm")
assert len(starts) == 2
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
  """A run in two goes and one in one go; what the command printed."""
  folder = tmp_path_factory.mktemp("videoflow")
  options = (
    "--model=videoflow_af",
    "--config_size=tiny",
    "--config.training.decay_at=1",
  )
  for name, command in (
    ("first", ["-c", FIRST]),
    ("then", [str(BIN / "train"), *options, "--model_dir=run"]),
  ):
    process = subprocess.run(
      [sys.executable, *command], cwd=folder, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    (folder / f"{name}.txt").write_text(process.stdout)
  return folder, process.stdout


def test_it_says_what_it_does_before_it_starts_from_data(runs):
  folder, output = runs
  lines = (folder / "first.txt").read_text().splitlines()
  assert lines[0].startswith("videoflow_af: ")
  assert lines[1:3] == ["Starting from 2 examples ...", "start"]
  assert "Starting from" not in output


def test_it_starts_from_data_once_and_goes_on_to_the_same_weights(runs):
  folder, output = runs
  assert "Going on after step 4." in output
  assert same_weights.compare(folder) > 250


def test_it_measures_and_draws(runs):
  folder, output = runs
  summary = json.loads((folder / "run" / "summary.json").read_text())
  test = summary["evaluation"]["test"]
  assert f"{test['nats_per_dimension']:.4f} nats per dimension" in output
  assert f"{test['bits_per_dimension']:.4f} bits per dimension" in output
  assert "at most" not in output and "uniform dequantisation" in output
  assert f"{test['noise_correlation']:.4f}" in output
  places = output.partition("Where everything lies:")[2].partition("Next:")[0]
  paths = [line.split()[-1] for line in places.splitlines() if line.strip()]
  names = {pathlib.Path(path).name for path in paths}
  assert {"frames.png", "histogram.png", "correlation.png", "samples.gif"} <= names
  assert all((folder / path).exists() for path in paths)


def test_the_commands_sample_and_measure(runs, capsys):
  folder, _ = runs
  sampling.run(folder / "run", folder / "a.png", count=2, num_context=3, num_frames=3)
  assert (folder / "a.png").exists()
  video_report.run([folder / "run"], folder / "out", 2)
  (figures,) = json.loads((folder / "out" / "evaluation.json").read_text()).values()
  summary = json.loads((folder / "run" / "summary.json").read_text())
  assert figures["test"] == summary["evaluation"]["test"]
  assert "correlation of the noise" in capsys.readouterr().out
