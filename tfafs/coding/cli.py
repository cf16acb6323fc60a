"""What the commands in bin/ share: one-line errors, signals, progress.

A command ends with exit code 0 when it did its work, 2 with one line on stderr when
it could not, 130 after Ctrl-C and 143 after SIGTERM; in none of the latter cases does
it leave an output file. 1 says that a stream is not whole: from `bin/inspect`, and from
`bin/decompress --resilient`, which then has written what there was.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Callable, NoReturn, Optional

from absl import app, flags


def fail(message: str) -> NoReturn:
  """Prints one line, `PROGRAM: error: MESSAGE`, on stderr; exits with code 2."""
  line = " ".join(str(message).split())
  print(f"{os.path.basename(sys.argv[0])}: error: {line}", file=sys.stderr)
  sys.exit(2)


def describe_error(error: BaseException) -> str:
  """One line that says what went wrong, with the file's name if there is one."""
  if isinstance(error, MemoryError):
    return str(error) or "not enough memory"
  if isinstance(error, OSError) and error.strerror:
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
  return str(error)


def run(main: Callable[[Sequence[str]], None]) -> None:
  """Runs a command: `main` gets the positional arguments.

  Args:
    main: does the work. ValueError, OSError and MemoryError that it raises become one
      line and exit code 2, as do unknown flags.
  """

  def parse(argv):
    try:
      return flags.FLAGS(argv)
    except flags.Error as error:
      fail(str(error))

  def guarded(argv):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
      main(argv[1:])
    except (ValueError, OSError, MemoryError) as error:
      fail(describe_error(error))
    except KeyboardInterrupt:
      print(f"{os.path.basename(sys.argv[0])}: interrupted", file=sys.stderr)
      sys.exit(130)

  app.run(guarded, flags_parser=parse)


class Progress:
  """A line on stderr with frames done, frames per second and time left.

  On a terminal it is rewritten in place; elsewhere a line is printed every 10 s.
  """

  def __init__(self, verb: str, total: Optional[int]):
    """Starts the clock.

    Args:
      verb: what is done to the frames, such as "compressed".
      total: number of frames expected, or None if unknown.
    """
    self._verb, self._total = verb, total
    self._start = self._printed = time.monotonic()
    self._terminal = sys.stderr.isatty()

  def __call__(self, index: int, *_) -> None:
    """Notes that frame `index` is done."""
    now = time.monotonic()
    if now - self._printed < (0.2 if self._terminal else 10):
      return
    self._printed = now
    done = index + 1
    rate = done / (now - self._start)
    of, eta = "", ""
    if self._total:
      of = f"/{self._total}"
      left = int(max(self._total - done, 0) / rate)
      eta = f"  ETA {left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
    line = f"{self._verb} {done}{of} frames  {rate:.1f} frames/s{eta}"
    if self._terminal:
      print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)
    else:
      print(line, file=sys.stderr, flush=True)

  def __enter__(self) -> "Progress":
    return self

  def __exit__(self, *_) -> None:
    if self._terminal:
      print("\r\x1b[K", end="", file=sys.stderr, flush=True)
