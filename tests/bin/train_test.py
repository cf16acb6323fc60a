"""`bin/train` as a user runs it: killed in the middle, started again, finished."""

import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

BIN = pathlib.Path(__file__).parents[2] / "bin"
FIELDS = {
  "training.steps": 6,
  "training.checkpoint_every": 2,
  "training.log_every": 2,
  "training.large_crop_size": 32,
  "data.num_frames": 2,
  "data.eval_clips": 1,
}
OPTIONS = (
  "--model=stat_ssf_sp",
  "--config_size=tiny",
  *(f"--config.{name}={value}" for name, value in FIELDS.items()),
)
FROM_PYTHON = f"""
from tfafs import training
from tfafs.models import registry
config = registry.load_config("stat_ssf_sp", "tiny")
config.update_from_flattened_dict({FIELDS})
print(training.train(config, "whole").steps_done)
"""


def start(*command, cwd):
  return subprocess.Popen(
    [sys.executable, *command],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    cwd=cwd,
  )


def train(*arguments, cwd):
  return start(str(BIN / "train"), *arguments, cwd=cwd)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
  """Folder with the runs `whole` and `killed`, and what the command printed."""
  folder = tmp_path_factory.mktemp("runs")
  whole = start("-c", FROM_PYTHON, cwd=folder)
  killed = train(*OPTIONS, "--model_dir=killed", cwd=folder)
  while not list(folder.glob("killed/checkpoints/ckpt-2*")):
    assert killed.poll() is None, killed.communicate()[1]
    time.sleep(0.001)
  killed.kill()
  killed.communicate()
  again = train(*OPTIONS, "--model_dir=killed", cwd=folder)
  output = again.communicate()
  assert again.returncode == 0, output
  assert whole.communicate()[0].endswith("\n6\n")
  return folder, output


def test_killed_and_started_again_ends_at_the_same_weights(runs):
  folder, (output, _) = runs
  readers = [
    tf.train.load_checkpoint(str(folder / name / "checkpoints" / "ckpt-6"))
    for name in ("whole", "killed")
  ]
  names = [
    name
    for name in readers[0].get_variable_to_shape_map()
    if "save_counter" not in name
  ]
  assert len(names) > 100
  compared = 0
  for name in names:
    if name.startswith(("model/", "optimizer/")) and readers[0].has_tensor(name):
      whole, killed = (reader.get_tensor(name) for reader in readers)
      if "_trackers" not in name:  # means since the last report
        np.testing.assert_array_equal(whole, killed, err_msg=name)
        compared += 1
  assert compared > 100
  assert "step 6/6" in output


def test_it_prints_the_table_and_what_to_do_next(runs):
  folder, (output, errors) = runs
  assert errors == ""
  for words in (
    "stat_ssf_sp: ",
    "decoder equals encoder, bit for bit  yes, every frame",
    "bits per pixel, bytes of the files",
    "bin/compress YOUR_VIDEO.mp4 clip.tfafs --saved_model=killed/saved_model",
  ):
    assert words in output
  summary = json.loads((folder / "killed" / "summary.json").read_text())
  assert summary["training"]["steps"] == 6
  assert summary["evaluation"]["mismatched_frames"] == 0


def test_every_place_it_names_is_there(runs):
  folder, (output, _) = runs
  _, _, places = output.partition("Where everything lies:")
  lines = places.partition("Next:")[0].split("\n")
  paths = [line.split()[-1] for line in lines if "killed/" in line]
  assert len(paths) == 7
  for path in paths:
    assert (folder / path).exists(), path


@pytest.mark.parametrize(
  "arguments, words",
  [
    (("--model=stat_ssf", "--config.training.step=1"), "has no 'step'. It has: "),
    (
      ("--model=stat_ssf_sp", "--config_size=tiny", "--model_dir=whole"),
      "holds a run with another config: data.num_frames (was 2, now 3), training.",
    ),
  ],
)
def test_refusals_are_one_line(runs, arguments, words):
  folder, _ = runs
  process = train(*arguments, cwd=folder)
  output, errors = process.communicate()
  assert process.returncode == 2
  assert output == ""
  (line,) = errors.splitlines()
  assert line.startswith("train: error: ") and words in line
