import os
import signal
import threading
import time

import pytest

from tfafs.training import child_process, errors


def fail(step):
  raise errors.NonFiniteError(step, ["loss"], None)


def die():
  os.kill(os.getpid(), signal.SIGKILL)


def wait_for_a_signal():
  received = []
  signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
  os.kill(os.getppid(), signal.SIGTERM)  # Which hands it back.
  while not received:
    time.sleep(0.01)
  return received


def test_results_and_errors_come_back():
  assert child_process.run(os.getpid) != os.getpid()
  with pytest.raises(errors.NonFiniteError, match="Step 7: not finite: loss"):
    child_process.run(fail, 7)


def test_a_killed_process_ends_the_command():
  with pytest.raises(SystemExit) as caught:
    child_process.run(die)
  assert caught.value.code == 128 + signal.SIGKILL


def test_sigterm_is_passed_on_and_handlers_come_back():
  assert threading.current_thread() is threading.main_thread()
  before = signal.getsignal(signal.SIGTERM)
  assert child_process.run(wait_for_a_signal) == [signal.SIGTERM]
  assert signal.getsignal(signal.SIGTERM) is before
