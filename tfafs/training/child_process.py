"""Runs a function in a process of its own, whose memory goes with it.

TensorFlow gives back neither the graphs nor the data of a training that is over; a
process that trains many models one after the other grows with each.
"""

import contextlib
import multiprocessing
import signal
import sys


def run(function, *arguments):
  """Calls a function in a new process.

  Ctrl-C reaches that process too, which ends as it would alone; SIGTERM is passed on.

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
  with _signals_left_to(process):
    process.start()
    sender.close()
    try:
      value, error = receiver.recv()
    except EOFError:
      process.join()
      sys.exit(128 - process.exitcode if process.exitcode < 0 else process.exitcode)
    process.join()
  if error is not None:
    raise error
  return value


def _report(sender, function, arguments):
  try:
    sender.send((function(*arguments), None))
  except Exception as error:
    sender.send((None, error))
  except KeyboardInterrupt as error:
    sender.send((None, error))


@contextlib.contextmanager
def _signals_left_to(process):
  """Keeps Ctrl-C from this process, and passes SIGTERM on to the other."""
  handlers = {
    signal.SIGINT: lambda *_: None,
    signal.SIGTERM: lambda *_: process.terminate(),
  }
  before = {number: signal.signal(number, h) for number, h in handlers.items()}
  try:
    yield
  finally:
    for number, handler in before.items():
      signal.signal(number, handler)
