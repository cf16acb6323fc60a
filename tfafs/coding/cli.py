"""What the commands in bin/ share: arguments, one-line errors, progress.

A command ends with exit code 0 when it did its work, 2 with one line on stderr when
it could not, 1 where `bin/inspect` finds a stream damaged, 130 after Ctrl-C and 143
after SIGTERM; in none of the latter cases does it leave an output file.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from typing import Callable, NoReturn, Optional

from absl import app, flags

from tfafs.coding.codec import Codec
from tfafs.coding.compressed_video import (
  CompressedVideoReader,
  compress_video,
  decompress_video,
)
from tfafs.coding.inspection import format_report, inspect_stream
from tfafs.coding.video_reader import open_video, parse_size

_STDIO = "-"


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


def _two_paths(arguments: Sequence[str]) -> tuple[str, str]:
  if len(arguments) != 2:
    raise ValueError(
      f"give two arguments, IN and OUT, not {len(arguments)}; --help says more"
    )
  source, output = arguments
  both_exist = os.path.exists(source) and os.path.exists(output)
  if both_exist and os.path.samefile(source, output):
    raise ValueError(f"IN and OUT are the same file: {source}")
  return source, output


def _load(saved_model: Optional[str]) -> Codec:
  if not saved_model:
    raise ValueError("--saved_model=DIR is missing: give the codec's folder")
  return Codec.load(saved_model)


def compress(
  arguments: Sequence[str],
  saved_model: Optional[str],
  gop: int,
  frames: Optional[int],
  raw_size: Optional[str],
  color_matrix: Optional[str],
) -> None:
  """What bin/compress does.

  Args:
    arguments: [IN, OUT]; "-" is stdin or stdout.
    saved_model: folder of the exported codec.
    gop: every `gop`-th frame is intra; 0: only the first is.
    frames: compress only as many; None: all.
    raw_size: "WIDTHxHEIGHT" of a raw YUV file, or empty.
    color_matrix: "bt601", "bt709", or empty to take the file's own.

  Raises:
    ValueError: an argument is wrong, or IN is no video.
    OSError: a file cannot be read or written.
  """
  source, output = _two_paths(arguments)
  size = parse_size(raw_size, "--raw_size")
  with open_video(
    sys.stdin.buffer if source == _STDIO else source,
    size=size,
    matrix=color_matrix or None,
  ) as video:
    total = min(filter(None, (video.frame_count, frames)), default=None)
    codec = _load(saved_model)
    with Progress("compressed", total) as progress:
      summary = compress_video(
        codec,
        video,
        sys.stdout.buffer if output == _STDIO else output,
        gop=gop,
        max_frames=frames,
        on_frame=progress,
      )
  rate = summary.frames / summary.seconds
  print(
    f"{output}: {summary.frames} frames {summary.width}x{summary.height}, "
    f"{summary.num_bytes} bytes, {summary.bits_per_pixel:.4f} bits per pixel, "
    f"PSNR {summary.psnr:.2f} dB, {rate:.2f} frames/s",
    file=sys.stderr if output == _STDIO else sys.stdout,
  )


def decompress(
  arguments: Sequence[str],
  saved_model: Optional[str],
  start: int = 0,
  end: Optional[int] = None,
) -> None:
  """What bin/decompress does.

  Args:
    arguments: [IN, OUT]; "-" is stdin or stdout (as y4m).
    saved_model: folder of the codec that compressed IN.
    start: first frame to decompress.
    end: frame to stop before, or None.

  Raises:
    ValueError: an argument is wrong, or IN is not a sound stream of this codec.
    OSError: a file cannot be read or written.
  """
  source, output = _two_paths(arguments)
  codec = _load(saved_model)
  with (
    CompressedVideoReader(
      codec, sys.stdin.buffer if source == _STDIO else source, start, end
    ) as reader,
    Progress("decompressed", reader.frame_count) as progress,
  ):
    summary = decompress_video(
      codec,
      reader,
      sys.stdout.buffer if output == _STDIO else output,
      on_frame=progress,
    )
  rate = summary.frames / summary.seconds
  print(
    f"{output}: {summary.frames} frames {summary.width}x{summary.height}, "
    f"{rate:.2f} frames/s",
    file=sys.stderr if output == _STDIO else sys.stdout,
  )


def inspect(arguments: Sequence[str], as_json: bool) -> None:
  """What bin/inspect does; exits with code 1 if the stream is damaged or cut.

  Args:
    arguments: [STREAM]; "-" is stdin.
    as_json: whether to print JSON.

  Raises:
    ValueError: an argument is wrong, or STREAM is no stream.
    OSError: it cannot be read.
  """
  if len(arguments) != 1:
    raise ValueError(f"give one argument, STREAM, not {len(arguments)}")
  name = arguments[0]
  report = inspect_stream(sys.stdin.buffer if name == _STDIO else name)
  text = json.dumps(report.to_json(), indent=2) if as_json else None
  print(text or format_report(report, name))
  if report.fault:
    sys.exit(1)
