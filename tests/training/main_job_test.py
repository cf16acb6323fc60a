"""Exit codes and messages of the main job, with a toy of a family without a finish."""

import pytest


def run_main(run_toy, model_dir, **options):
  """Exit code, lines of stdout, lines of stderr of the job in a process."""
  outcome = run_toy(model_dir, job="main", **options)
  assert outcome.error is None
  return outcome.exit_code, outcome.output.splitlines(), outcome.messages.splitlines()


def test_done_and_done_before(run_toy, tmp_path):
  code, output, errors = run_main(run_toy, tmp_path, steps=4)
  assert (code, errors) == (0, [])
  assert output[-1].startswith("step 4/4")
  code, output, errors = run_main(run_toy, tmp_path, steps=4)
  assert (code, errors) == (0, [])
  assert output[-1] == "Already trained for 4 of 4 steps."


def test_not_finite(run_toy, tmp_path):
  code, _, errors = run_main(run_toy, tmp_path, at=(4, "damage"))
  assert code == 3
  (line,) = errors
  assert line.startswith("train: error: Step 5: not finite: mse (")
  assert line.endswith(f"The last good checkpoint is {tmp_path}/checkpoints/ckpt-3.")


@pytest.mark.parametrize("action, exit_code", [("interrupt", 130), ("terminate", 143)])
def test_signals(run_toy, tmp_path, action, exit_code):
  code, _, errors = run_main(run_toy, tmp_path, at=(2, action))
  assert code == exit_code
  assert errors[-2:] == [
    "Stopping after this step; once more to stop at once.",
    f"train: Stopped after step 2; checkpoint {tmp_path}/checkpoints/ckpt-2. "
    "The same command goes on from there.",
  ]


def test_refusal(run_toy, tmp_path):
  code, output, errors = run_main(run_toy, tmp_path, steps=0)
  assert (code, output) == (2, [])
  assert errors == ["train: error: config.training.steps is 0; it must be more than 0."]
