"""What bin/compress, bin/decompress and bin/inspect do.

Everything is taken from `tfafs.coding` when it is needed, so that bin/inspect does not
load TensorFlow.
"""

import json
import os
import stat
import sys
from collections.abc import Sequence
from typing import Optional

from tfafs import coding
from tfafs.coding import cli, target

_STDIO = "-"
_MAX_LINES = 20  # of what was wrong with a stream


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


def _load(saved_model: Optional[str]):
  if not saved_model:
    raise ValueError("--saved_model=DIR is missing: give the codec's folder")
  return coding.Codec.load(saved_model)


def _is_plain_file(path: str) -> bool:
  """Whether writing to `path` makes a file that one can seek in."""
  if path == _STDIO:
    return False
  return not os.path.exists(path) or stat.S_ISREG(os.stat(path).st_mode)


def compress(
  arguments: Sequence[str],
  saved_model: Optional[str],
  gop: int = 12,
  frames: Optional[int] = None,
  raw_size: Optional[str] = None,
  color_matrix: Optional[str] = None,
  frame_checksums: bool = False,
  index: Optional[bool] = None,
  quality: Optional[float] = None,
  target_bpp: Optional[float] = None,
  target_psnr: Optional[float] = None,
  target_frames: Optional[int] = None,
) -> None:
  """What bin/compress does.

  Args:
    arguments: [IN, OUT]; "-" is stdin or stdout.
    saved_model: folder of the exported codec.
    gop: every `gop`-th frame is intra; 0: only the first is.
    frames: compress only as many; None: all.
    raw_size: "WIDTHxHEIGHT" of a raw YUV file, or empty.
    color_matrix: "bt601", "bt709", or empty to take the file's own.
    frame_checksums: whether to store a checksum of each decoded frame.
    index: whether to write an index for seeking; None: if OUT is a plain file.
    quality: of a codec of variable rate.
    target_bpp: most bits per pixel; the quality is searched.
    target_psnr: least PSNR in dB; the quality is searched.
    target_frames: search on the first frames only; None: on all.

  Raises:
    ValueError: an argument is wrong, IN is no video, or a target is out of reach.
    OSError: a file cannot be read or written.
  """
  from tfafs.coding.video_reader import parse_size

  source, output = _two_paths(arguments)
  wanted = target.choose(target_bpp, target_psnr, quality)
  if wanted and (source == _STDIO or stat.S_ISFIFO(os.stat(source).st_mode)):
    raise ValueError(f"--target_{wanted.measure} reads IN again and again: give a file")
  if target_frames and not wanted:
    raise ValueError("--target_frames is for a --target_bpp or --target_psnr: give one")
  reading = {
    "size": parse_size(raw_size, "--raw_size"),
    "matrix": color_matrix or None,
  }
  options = {
    "gop": gop,
    "frame_checksums": frame_checksums,
    "index": _is_plain_file(output) if index is None else index,
  }
  with coding.open_video(
    sys.stdin.buffer if source == _STDIO else source, **reading
  ) as video:
    total = min(filter(None, (video.frame_count, frames)), default=None)
    codec = _load(saved_model)
    if wanted:
      tried = min(filter(None, (frames, target_frames)), default=None)
      quality = _find_quality(codec, source, reading, tried, options, wanted)
    with cli.Progress("compressed", total) as progress:
      summary = coding.compress_video(
        codec,
        video,
        sys.stdout.buffer if output == _STDIO else output,
        max_frames=frames,
        on_frame=progress,
        quality=quality,
        **options,
      )
  if wanted:
    trial = target.Trial(quality, summary.bits_per_pixel, summary.psnr)
    if not wanted.is_met(trial):
      print(f"{output} misses {wanted}, which its first frames met", file=sys.stderr)
  rate = summary.frames / summary.seconds
  print(
    f"{output}: {summary.frames} frames {summary.width}x{summary.height}, "
    f"{summary.num_bytes} bytes, {summary.bits_per_pixel:.4f} bits per pixel, "
    f"PSNR {summary.psnr:.2f} dB, {rate:.2f} frames/s",
    file=sys.stderr if output == _STDIO else sys.stdout,
  )


def _find_quality(codec, source, reading, frames, options, wanted) -> float:
  """Encodes a video at several qualities; says what came of each on stderr."""
  if codec.max_quality is None:
    raise ValueError(
      f"--target_{wanted.measure}: the codec in {codec.path!r} has one rate; give one "
      "trained with --config.model.variable_rate=True"
    )

  def encode(quality):
    with (
      coding.open_video(source, **reading) as video,
      open(os.devnull, "wb") as nowhere,
    ):
      summary = coding.compress_video(
        codec, video, nowhere, max_frames=frames, quality=quality, **options
      )
    return target.Trial(quality, summary.bits_per_pixel, summary.psnr)

  def say(trial):
    print(trial, file=sys.stderr, flush=True)

  found = target.find_quality(encode, codec.max_quality, wanted, say)
  print(f"for {wanted}: {found}", file=sys.stderr, flush=True)
  return found.quality


def decompress(
  arguments: Sequence[str],
  saved_model: Optional[str],
  start: int = 0,
  end: Optional[int] = None,
  resilient: bool = False,
  strict: bool = False,
  follow: Optional[float] = None,
) -> None:
  """What bin/decompress does; exits with code 1 if resilient and IN was not whole.

  Args:
    arguments: [IN, OUT]; "-" is stdin or stdout (as y4m).
    saved_model: folder of the codec that compressed IN.
    start: first frame to decompress.
    end: frame to stop before, or None.
    resilient: whether to go on behind damage.
    strict: whether a frame that is not bit-exact is an error.
    follow: if IN is still being written: seconds to wait for a new byte.

  Raises:
    ValueError: an argument is wrong, or IN is not a sound stream of this codec.
    OSError: a file cannot be read or written.
  """
  source, output = _two_paths(arguments)
  codec = _load(saved_model)
  with (
    coding.CompressedVideoReader(
      codec,
      sys.stdin.buffer if source == _STDIO else source,
      start,
      end,
      resilient=resilient,
      strict=strict,
      follow=follow,
    ) as reader,
    cli.Progress("decompressed", reader.frame_count) as progress,
  ):
    summary = coding.decompress_video(
      codec,
      reader,
      sys.stdout.buffer if output == _STDIO else output,
      on_frame=progress,
    )
  rate = summary.frames / summary.seconds
  print(
    f"{output}: {summary.frames} frames {summary.width}x{summary.height}, "
    f"{rate:.2f} frames/s" + (f", {summary.drift}" if summary.drift else ""),
    file=sys.stderr if output == _STDIO else sys.stdout,
  )
  if summary.faults:
    _report_losses(source, summary)
    sys.exit(1)


def _report_losses(source, summary) -> None:
  """Says on stderr what was wrong with a stream and which frames are lost."""
  for fault in summary.faults[:_MAX_LINES]:
    print(f"{source}: {fault}", file=sys.stderr)
  if len(summary.faults) > _MAX_LINES:
    print(f"{source}: and more", file=sys.stderr)
  lost = ", ".join(
    str(frames.start) if len(frames) == 1 else f"{frames.start}-{frames.stop - 1}"
    for frames in summary.lost
  )
  count = sum(map(len, summary.lost))
  print(
    f"{source}: {count} frames are known to be lost{': ' * bool(count)}{lost}",
    file=sys.stderr,
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
  from tfafs.coding.inspection import format_report

  if len(arguments) != 1:
    raise ValueError(f"give one argument, STREAM, not {len(arguments)}")
  name = arguments[0]
  report = coding.inspect_stream(sys.stdin.buffer if name == _STDIO else name)
  text = json.dumps(report.to_json(), indent=2) if as_json else None
  print(text or format_report(report, name))
  if report.fault:
    sys.exit(1)
