"""A run that is killed, whenever, ends at the weights of one that never was."""

import shutil
import signal
import time

import numpy as np

KILLED = -signal.SIGKILL


def assert_equal_weights(outcome, reference):
  assert outcome.error is None
  assert len(outcome.weights) == len(reference.weights)
  for ours, theirs in zip(outcome.weights, reference.weights):
    np.testing.assert_array_equal(ours, theirs)


def test_two_runs_are_equal(run_toy, uninterrupted, tmp_path):
  _, reference = uninterrupted
  assert reference.figures["steps_done"] == 12
  # Four weights with two moments each, the step, and the gradient norm: all moved.
  assert sum(np.any(value != 0) for value in reference.weights) >= 13
  assert_equal_weights(run_toy(tmp_path), reference)


def test_killed_at_steps_of_both_phases(run_toy, uninterrupted, tmp_path):
  _, reference = uninterrupted
  # Without a checkpoint, with one, just before the second is written, further on, and
  # in the second phase, on large crops, which begins at step 10.
  for step in (2, 4, 6, 7, 11):
    assert run_toy(tmp_path, at=(step, "kill")).exit_code == KILLED
  outcome = run_toy(tmp_path)
  assert outcome.figures["steps_done"] == 3
  assert_equal_weights(outcome, reference)


def test_resumed_in_the_second_phase(run_toy, uninterrupted, tmp_path):
  """Its graph has static shapes of the large crop, as it has without a break."""
  _, reference = uninterrupted
  assert run_toy(tmp_path, at=(12, "kill"), checkpoint_every=11).exit_code == KILLED
  outcome = run_toy(tmp_path)
  assert outcome.figures["steps_done"] == 1
  assert_equal_weights(outcome, reference)


def test_killed_while_a_checkpoint_is_written(run_toy, uninterrupted, tmp_path):
  """Killed at the first sight of each new file, wherever in the write that is."""
  _, reference = uninterrupted
  checkpoints = tmp_path / "checkpoints"
  for number in (3, 9):
    process = run_toy.start(tmp_path)
    while process.is_alive() and not list(checkpoints.glob(f"ckpt-{number}[._]*")):
      time.sleep(0.0002)
    process.kill()
    assert run_toy.finish(process).exit_code == KILLED
  assert_equal_weights(run_toy(tmp_path), reference)


def test_left_overs_of_a_killed_write_do_no_harm(run_toy, uninterrupted, tmp_path):
  """Every stage of a write that was cut: parts, renamed data, files not listed yet."""
  _, reference = uninterrupted
  killed = tmp_path / "killed"
  assert run_toy(killed, at=(7, "kill")).exit_code == KILLED
  processes = {}
  for stage in ("parts", "data", "unlisted"):
    checkpoints = tmp_path / stage / "checkpoints"
    shutil.copytree(killed, tmp_path / stage)
    if stage == "parts":
      parts = checkpoints / "ckpt-9_temp"
      parts.mkdir()
      (parts / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"half")
    else:
      data = (checkpoints / "ckpt-6.data-00000-of-00001").read_bytes()
      (checkpoints / "ckpt-9.data-00000-of-00001").write_bytes(data[:100])
    if stage == "unlisted":
      shutil.copy(checkpoints / "ckpt-6.index", checkpoints / "ckpt-9.index")
    processes[checkpoints] = run_toy.start(tmp_path / stage)
  for checkpoints, process in processes.items():
    outcome = run_toy.finish(process)
    assert outcome.figures["steps_done"] == 6
    assert_equal_weights(outcome, reference)
    names = {path.name.split(".")[0] for path in checkpoints.iterdir()}
    assert names == {"checkpoint", "ckpt-6", "ckpt-9", "ckpt-12"}
