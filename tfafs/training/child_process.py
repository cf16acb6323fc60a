"""Runs a function in a process of its own, whose memory goes with it.

TensorFlow gives back neither the graphs nor the data of a training that is over; a
process that trains many models one after the other grows with each.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from multiprocessing import connection


def run(function, *arguments):
  """Calls a function in a new process, to which Ctrl-C and SIGTERM are passed on.

  Args:
    function: Of a module, so that the new process finds it.
    *arguments: What can be pickled.

  Returns:
    What the function returns, which can be pickled.

  Raises:
    What the function raises. SystemExit, if the process is killed.
  """
  context = multiprocessing.get_context("spawn")
  receiver, sender = context.Pipe(duplex=False)
  process = context.Process(target=_report, args=(sender, function, arguments))
  with _signals_passed_on_to(process):
    process.start()
    sender.close()
    try:
      value, error, trace = receiver.recv()
    except EOFError:
      process.join()
      sys.exit(128 - process.exitcode if process.exitcode < 0 else process.exitcode)
    process.join()
  if error is not None:
    raise error from RuntimeError(f"in a process of its own:\n{trace}")
  return value


def _report(sender, function, arguments):
  # Out of the terminal's group: signals come once, from the process that passes them on.
  os.setpgid(0, 0)
  threading.Thread(target=_end_with_parent, daemon=True).start()
  try:
    sender.send((function(*arguments), None, ""))
  except (Exception, KeyboardInterrupt) as error:
    sender.send((None, error, traceback.format_exc()))


def _end_with_parent():
  """Keeps no training alive that nobody waits for."""
  connection.wait([multiprocessing.parent_process().sentinel])
  os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _signals_passed_on_to(process):
  def pass_on(number, _):
    if process.pid is not None:
      with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, number)

  numbers = (signal.SIGINT, signal.SIGTERM)
  before = {number: signal.signal(number, pass_on) for number in numbers}
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
