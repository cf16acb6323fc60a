#!/usr/bin/env python3
"""Peak memory of bin/compress and bin/decompress for short and long videos.

    benchmarks/memory.py [--saved_model=DIR] [--video=FILE] [--frames=30,720]

Each command runs in a process of its own; its peak resident memory is what the kernel
says when it ends. It must not grow with the number of frames. Without --saved_model,
`stat_ssf_sp` at its tiny size is built and exported, untrained. Exit code 1 if the
longest run takes over 10 % more than the shortest.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
VIDEO = ROOT / "../shared/data/video/train/big_buck_bunny_480p.mp4"
ALLOWED_GROWTH = 1.10


def measure(*command):
  """Runs a command; returns (peak memory in MiB, wall time in seconds, its stdout)."""
  start = time.monotonic()
  process = subprocess.Popen(
    [sys.executable, *map(str, command)], stdout=subprocess.PIPE, text=True
  )
  said = process.stdout.read()
  _, status, usage = os.wait4(process.pid, 0)
  process.returncode = os.waitstatus_to_exitcode(status)
  if process.returncode:
    sys.exit(f"{command[0]} failed with exit code {process.returncode}")
  return usage.ru_maxrss / 1024, time.monotonic() - start, said


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--saved_model", help="by default a tiny one is made")
  parser.add_argument("--video", default=os.path.normpath(VIDEO))
  parser.add_argument("--frames", default="30,720")
  arguments = parser.parse_args()
  peaks = {"compress": [], "decompress": []}
  print("| frames | command | peak memory, MiB | time, s | output, bytes |")
  print("|---|---|---|---|---|")
  with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    saved_model = arguments.saved_model
    if not saved_model:
      saved_model = folder / "saved_model"
      subprocess.run([sys.executable, "-c", MAKE_TINY, saved_model], check=True)
    model = f"--saved_model={saved_model}"
    stream, decoded = folder / "stream", folder / "decoded.mkv"
    for frames in map(int, arguments.frames.split(",")):
      for name, source, output, *flags in (
        ("compress", arguments.video, stream, f"--frames={frames}"),
        ("decompress", stream, decoded),
      ):
        command = ROOT / "bin" / name
        peak, seconds, said = measure(command, source, output, model, *flags)
        if f": {frames} frames" not in said:
          sys.exit(f"{arguments.video} has fewer than {frames} frames")
        peaks[name].append(peak)
        size = output.stat().st_size
        print(
          f"| {frames} | {name} | {peak:.0f} | {seconds:.0f} | {size} |", flush=True
        )
  growths = {name: max(values) / min(values) for name, values in peaks.items()}
  for name, growth in growths.items():
    print(f"{name}: largest peak is {growth:.3f} times the smallest")
  sys.exit(1 if max(growths.values()) > ALLOWED_GROWTH else 0)


MAKE_TINY = """
import sys
from tfafs.models import registry
registry.build(registry.load_config("stat_ssf_sp", "tiny")).export_codec(sys.argv[1])
"""

if __name__ == "__main__":
  main()
