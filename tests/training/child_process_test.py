import os
import pickle
import signal
import threading
import time

import pytest

from tfafs.training import child_process, errors


def test_results_and_errors_come_back():
  assert child_process.run(os.getpid) != os.getpid()
  with pytest.raises(ValueError, match="invalid literal"):
    child_process.run(int, "x")


def test_errors_of_training_survive_the_way():
  for error in (
    errors.NonFiniteError(7, ["loss"], None),
    errors.Interrupted(3, "ckpt-3", signal.SIGINT),
    errors.RunError("no"),
  ):
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_killed_process_ends_the_command():
  with pytest.raises(SystemExit) as caught:
    child_process.run(signal.raise_signal, signal.SIGKILL)
  assert caught.value.code == 128 + signal.SIGKILL


def test_sigterm_is_passed_on_and_handlers_come_back():
  before = signal.getsignal(signal.SIGTERM)
  timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
  timer.start()
  with pytest.raises(SystemExit) as caught:
    child_process.run(time.sleep, 600)
  assert caught.value.code == 128 + signal.SIGTERM
  assert signal.getsignal(signal.SIGTERM) is before
