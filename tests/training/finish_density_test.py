"""The finish of a density model, and the whole command at its smallest."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfafs.training import finish_density

BIN = pathlib.Path(__file__).parents[2] / "bin"


def test_integral_of_a_density_with_thin_far_tails():
  """A tenth of the mass is between 100 and 10,000 away along one axis."""

  def log_prob(points):
    x, y = points.astype(np.float64).T
    body = 0.9 * np.exp(-0.5 * x**2) / np.sqrt(2 * np.pi)
    far = (np.abs(x) > 100) & (np.abs(x) < 10_000)
    tail = 0.1 * far / (2 * np.log(100) * np.maximum(np.abs(x), 1))
    return np.log(body + tail) - 0.5 * y**2 - 0.5 * np.log(2 * np.pi)

  with np.errstate(divide="ignore"):
    grid = finish_density.integrate(log_prob, 200)
  assert abs(grid.integral - 1.0) < 3e-3
  assert grid.fine.shape == (200, 200)
  row, column = np.unravel_index(np.argmax(grid.fine), grid.fine.shape)
  assert {row, column} <= {99, 100}


def run(folder, *arguments):
  command = [sys.executable, str(BIN / "train"), "--model_dir=run", *arguments]
  process = subprocess.run(command, cwd=folder, capture_output=True, text=True)
  assert process.returncode == 0, process.stderr
  return process.stdout


@pytest.mark.parametrize(
  "arguments, figure",
  [
    (("--model=bnaf", "--dataset=8gaussians"), "nll"),
    (("--model=planar", "--config.data.dataset=u2"), "kl"),
  ],
)
def test_command_trains_goes_on_measures_draws_and_exports(tmp_path, arguments, figure):
  arguments = (*arguments, "--config_size=tiny", "--config.data.eval_points=900")
  if figure == "nll":
    run(tmp_path, *arguments, "--config.training.steps=60")
  output = run(tmp_path, *arguments, "--config.training.steps=120")
  assert ("Going on after step 60." in output) == (figure == "nll")
  summary = json.loads((tmp_path / "run" / "summary.json").read_text())
  evaluation = summary["evaluation"]
  assert summary["training"]["steps"] == 120
  assert abs(evaluation["integral"] - 1.0) < 1e-2
  assert evaluation["num_samples"] == 900
  assert evaluation["round_trip"] < 1e-3
  assert summary["training"]["steps_per_second"] > 0
  assert f"{evaluation[figure]:.4f}" in output
  assert {k for k in ("nll", "kl") if evaluation[k] is not None} == {figure}
  for name in ("density.png", "samples.png"):
    picture = np.asarray(Image.open(tmp_path / "run" / "demo" / name))
    assert picture.std() > 10
  loaded = tf.saved_model.load(str(tmp_path / "run" / "saved_model"))
  assert loaded.sample(3, seed=[0, 1])["x"].shape == [3, 2]
