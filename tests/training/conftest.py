"""Runs of the toy in processes of their own, forked from one that has TensorFlow.

A run makes TensorFlow deterministic for its whole process, and the tests kill some.
"""

import multiprocessing
import pathlib
import pickle
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import toy

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(["tensorflow", "tfafs.training.run"])


class Runner:
  """Starts toy runs in a temporary directory."""

  def __init__(self, scratch):
    self._scratch = scratch
    self._count = 0

  def start(self, model_dir, job=None, **options):
    """Starts a run and returns its process, without waiting."""
    self._count += 1
    report = self._scratch / f"report{self._count}"
    process = FORK.Process(
      target=toy.child, args=(str(model_dir), report, options, job)
    )
    process.report = report
    process.start()
    return process

  def finish(self, process):
    """Waits for a process; returns its `toy.Outcome`."""
    process.join(120)
    assert process.exitcode is not None, "the run hangs"
    if process.report.exists():
      return pickle.loads(process.report.read_bytes())
    return toy.Outcome(process.exitcode)

  def __call__(self, model_dir, **options):
    """Runs the toy to its end."""
    return self.finish(self.start(model_dir, **options))


@pytest.fixture(scope="session")
def run_toy(tmp_path_factory):
  """Runs the toy in a process: `run_toy(model_dir, **options)` gives an Outcome."""
  return Runner(tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="session")
def uninterrupted(run_toy, tmp_path_factory):
  """Model directory and outcome of a run that nothing disturbed."""
  model_dir = tmp_path_factory.mktemp("uninterrupted") / "run"
  return model_dir, run_toy(model_dir)
