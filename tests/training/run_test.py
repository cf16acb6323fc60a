"""The run loop on a toy: phases, resume, refusals, numbers that are not finite."""

import json
import signal

import numpy as np
import pytest
import toy

from tfafs import training
from tfafs.training import run


def test_finished_run(uninterrupted):
  model_dir, outcome = uninterrupted
  figures = outcome.figures
  assert figures["steps"] == figures["steps_done"] == 12
  assert figures["steps_per_second"] > 0
  assert figures["logs"]["loss"] < 0.6
  assert {"loss", "mse", "bpp", "psnr", "gradient_norm"} == set(figures["logs"])
  assert figures["paths"].checkpoints == model_dir / "checkpoints"
  kept = {path.stem for path in figures["paths"].checkpoints.glob("*.index")}
  assert kept == {"ckpt-6", "ckpt-9", "ckpt-12"}
  stored = json.loads(figures["paths"].config.read_text())
  assert stored["training"]["steps"] == 12
  lines = outcome.output.splitlines()
  assert lines[0].startswith("toy: 1,211 parameters, 12 steps, waves data")
  assert [line[:10] for line in lines[1:]] == ["step  4/12", "step  8/12", "step 12/12"]
  assert "ETA 0:00" in lines[-1] and "steps/s" in lines[-1]


def test_finished_run_does_nothing_more(run_toy, uninterrupted):
  model_dir, reference = uninterrupted
  outcome = run_toy(model_dir)
  assert outcome.figures["steps_done"] == 0
  assert outcome.figures["steps"] == 12
  assert "Already trained for 12 of 12 steps." in outcome.output
  for ours, theirs in zip(outcome.weights, reference.weights):
    np.testing.assert_array_equal(ours, theirs)


def test_more_steps_extend_a_finished_run(run_toy, tmp_path):
  assert run_toy(tmp_path, steps=4).figures["steps_done"] == 4
  outcome = run_toy(tmp_path, steps=6, log_every=1)
  assert outcome.figures["steps_done"] == 2
  assert "Going on after step 4." in outcome.output
  assert json.loads((tmp_path / "config.json").read_text())["training"]["steps"] == 6


def test_warm_start_takes_the_weights_of_another_run_and_nothing_else(
  run_toy, uninterrupted, tmp_path
):
  model_dir, outcome = uninterrupted
  # A rate so small that the one step changes nothing.
  warm = run_toy(tmp_path, steps=1, learning_rate=1e-30, warm_start=str(model_dir))
  assert warm.figures["steps_done"] == 1
  for here, there in zip(warm.weights[:4], outcome.weights[:4]):
    np.testing.assert_array_equal(here, there)


def test_warm_start_from_nothing_is_refused(run_toy, tmp_path):
  outcome = run_toy(tmp_path / "run", warm_start=str(tmp_path / "none"))
  assert isinstance(outcome.error, training.RunError)
  assert "holds no checkpoint" in str(outcome.error)


def test_another_config_is_refused(run_toy, uninterrupted):
  model_dir, _ = uninterrupted
  before = (model_dir / "config.json").read_text()
  outcome = run_toy(model_dir, seed=4, learning_rate=0.01, data={"batch_size": 8})
  assert isinstance(outcome.error, training.RunError)
  assert "holds a run with another config" in str(outcome.error)
  assert (
    "data.batch_size (was 4, now 8), training.learning_rate (was 0.001, now 0.01), "
    "training.seed (was 3, now 4)"
  ) in str(outcome.error)
  assert "another --model_dir" in str(outcome.error)
  assert (model_dir / "config.json").read_text() == before


def test_signals_leave_a_checkpoint(run_toy, uninterrupted, tmp_path):
  _, reference = uninterrupted
  outcome = run_toy(tmp_path, at=(4, "interrupt"))
  assert isinstance(outcome.error, training.Interrupted)
  assert outcome.error.signal_number == signal.SIGINT
  assert outcome.error.step == 4
  assert outcome.error.checkpoint == str(tmp_path / "checkpoints" / "ckpt-4")
  outcome = run_toy(tmp_path, at=(11, "terminate"))
  assert outcome.error.signal_number == signal.SIGTERM
  assert outcome.error.step == 11
  outcome = run_toy(tmp_path)
  assert outcome.figures["steps_done"] == 1
  for ours, theirs in zip(outcome.weights, reference.weights):
    np.testing.assert_array_equal(ours, theirs)


def test_not_finite_names_step_terms_and_checkpoint(run_toy, tmp_path):
  outcome = run_toy(tmp_path, at=(7, "damage"))
  error = outcome.error
  assert isinstance(error, training.NonFiniteError)
  assert error.step == 8
  assert error.checkpoint == str(tmp_path / "checkpoints" / "ckpt-6")
  assert [term.split(" ")[0] for term in error.terms[:-2]] == ["mse", "bpp", "psnr"]
  assert [term.split(" ")[0] for term in error.terms[-2:]] == ["loss", "gradient_norm"]
  assert "Step 8: not finite: mse" in str(error)
  assert "ckpt-6" in str(error)
  assert not list((tmp_path / "checkpoints").glob("ckpt-9*"))


def test_no_checkpoint_of_weights_that_are_not_finite(run_toy, tmp_path):
  """The logs of step 6 are finite, its weights are not: only the save can see it."""
  outcome = run_toy(tmp_path, at=(6, "damage"))
  assert isinstance(outcome.error, training.NonFiniteError)
  assert outcome.error.step == 6
  assert outcome.error.terms == ("toy/conv2d/kernel:0",)
  assert outcome.error.checkpoint == str(tmp_path / "checkpoints" / "ckpt-3")
  assert not list((tmp_path / "checkpoints").glob("ckpt-6*"))


def test_xla_trains_alike_and_resumes_exactly(run_toy, uninterrupted, tmp_path):
  _, reference = uninterrupted
  process = run_toy.start(tmp_path / "whole", jit_compile=True)
  killed = run_toy(tmp_path / "killed", jit_compile=True, at=(7, "kill"))
  assert killed.exit_code == -signal.SIGKILL
  resumed = run_toy(tmp_path / "killed", jit_compile=True)
  assert resumed.figures["steps_done"] == 6
  whole = run_toy.finish(process)
  assert whole.figures["logs"]["loss"] == pytest.approx(
    reference.figures["logs"]["loss"], rel=0.05
  )
  for ours, theirs in zip(resumed.weights, whole.weights):
    np.testing.assert_array_equal(ours, theirs)


def test_mirrored_strategy(run_toy, uninterrupted, tmp_path):
  """On a machine with one device it is the same run."""
  _, reference = uninterrupted
  outcome = run_toy(tmp_path, strategy="mirrored")
  assert outcome.error is None
  assert outcome.figures["logs"] == pytest.approx(reference.figures["logs"], rel=1e-3)


def test_two_replicas_share_the_batch(run_toy, uninterrupted, tmp_path):
  """Half the batch each; killed and resumed like any other."""
  _, reference = uninterrupted
  process = run_toy.start(tmp_path / "whole", strategy="two replicas")
  run_toy(tmp_path / "killed", strategy="two replicas", at=(7, "kill"))
  resumed = run_toy(tmp_path / "killed", strategy="two replicas")
  assert resumed.figures["steps_done"] == 6
  whole = run_toy.finish(process)
  logs = whole.figures["logs"]
  # Logs are those of the first replica; the norm, of half the loss, is the mean's.
  assert logs["loss"] == pytest.approx(reference.figures["logs"]["loss"], rel=0.1)
  norm = reference.figures["logs"]["gradient_norm"]
  assert logs["gradient_norm"] == pytest.approx(norm / 2, rel=0.2)
  for ours, theirs in zip(resumed.weights, whole.weights):
    np.testing.assert_array_equal(ours, theirs)


def test_one_process_at_a_time(run_toy, tmp_path):
  first = run_toy.start(tmp_path, steps=100_000)
  try:
    while not (tmp_path / "checkpoints" / "checkpoint").exists():
      assert first.is_alive()
    second = run_toy(tmp_path, steps=100_000)
    assert isinstance(second.error, training.RunError)
    assert "Another process trains in" in str(second.error)
  finally:
    first.kill()
    first.join()
  assert run_toy(tmp_path, at=(200, "kill"), steps=100_000).exit_code == -signal.SIGKILL


def test_unwritable_directory(run_toy, tmp_path):
  (tmp_path / "file").write_text("in the way")
  outcome = run_toy(tmp_path / "file" / "run")
  assert isinstance(outcome.error, training.RunError)
  assert "Cannot write to model_dir" in str(outcome.error)


def test_data_that_ends_is_refused(run_toy, tmp_path):
  outcome = run_toy(tmp_path, data={"batches": 5})
  assert isinstance(outcome.error, training.RunError)
  assert "The data ended at step 5 of 12" in str(outcome.error)


def test_refusal_of_a_part_becomes_one_line(run_toy, tmp_path):
  outcome = run_toy(tmp_path, data={"dataset": "none"})
  assert isinstance(outcome.error, training.RunError)
  assert str(outcome.error) == "data.dataset must be waves, not 'none'"


@pytest.mark.parametrize(
  "section, name, value, words",
  [
    ("training", "steps", 0, "config.training.steps is 0; it must be more than 0"),
    ("training", "learning_rate", -1.0, "must be more than 0"),
    ("training", "seed", -1, "seed is -1; it must be from 0 to"),
    ("training", "seed", 2**30 - 1, "must be from 0 to 1073741822"),
    ("training", "decay_at", 1.5, "fraction of the steps"),
    ("training", "clip_norm", -1.0, "0 is no clipping"),
    ("training", "beta_1", 1.0, "beta_1 is 1.0; it must be at least 0 and less than 1"),
    ("training", "beta_2", -0.1, "beta_2 is -0.1"),
    ("training", "epsilon", 0.0, "epsilon is 0.0; it must be more than 0"),
    ("training", "warmup_steps", -1, "0 is no warm-up"),
    ("model", "export_precision", "bfloat", "must be float32 or mixed_bfloat16"),
    ("data", "crop_size", 0, "config.data.crop_size is 0"),
  ],
)
def test_values_that_no_run_can_have(section, name, value, words):
  config = toy.get_config()
  config[section][name] = value
  with pytest.raises(training.RunError, match=words):
    run.check(config)


def test_a_batch_that_replicas_cannot_share_is_refused(run_toy, tmp_path):
  outcome = run_toy(tmp_path / "run", strategy="two replicas", large_crop_batch_size=1)
  assert "2 replicas cannot share a batch of 1" in str(outcome.error)
  assert not (tmp_path / "run" / "checkpoints").exists()
  outcome = run_toy(tmp_path / "run", large_crop_batch_size=-1)
  assert "large_crop_batch_size is -1" in str(outcome.error)
