#!/usr/bin/env python3
"""Encodes and decodes a long stream through pipes and compares the two ends.

    benchmarks/long_stream.py [--saved_model=DIR] [--frames=10000] [--size=64x64]

Synthetic frames go as y4m through `bin/compress - -` and `bin/decompress - -` back to
this process, frame by frame, all at the same time. With a single I frame (--gop=0)
every frame depends on all before it. The stream carries a checksum of each frame that
the encoder reconstructed; --strict lets the decoder compare it with its own. Memory of
both commands is read every 100 frames; what they hold at the end must not be more than
5 % above what they held a tenth of the way. Without --saved_model, `stat_ssf_sp` at its
tiny size is built and exported, untrained. Exit code 1 if frames differ or are missing,
or memory grows.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from tfafs.coding import open_video, open_writer

ROOT = pathlib.Path(__file__).parents[1]
ALLOWED_GROWTH = 1.05


def make_frame(texture, t):
  """Frame t of a texture that moves, with a square that moves otherwise."""
  height, width = texture.shape[0] // 2, texture.shape[1] // 2
  x, y = (int(n / 2 * (1 + np.sin(t / s))) for n, s in ((width, 37), (height, 53)))
  frame = texture[y : y + height, x : x + width].copy()
  frame[t % (height - 8) :][:8, 2 * t % (width - 8) :][:, :8] = t % 256
  return frame


def resident(process):
  """Memory that a process holds now, in MiB."""
  with open(f"/proc/{process.pid}/status") as status:
    (line,) = (line for line in status if line.startswith("VmRSS"))
  return int(line.split()[1]) / 1024


def feed(pipe, texture, frames):
  """Writes the clip as y4m and closes the pipe."""
  height, width = texture.shape[0] // 2, texture.shape[1] // 2
  with pipe, open_writer(pipe, width, height, 25) as writer:
    for t in range(frames):
      writer.write(make_frame(texture, t))


def command(name, *flags, **pipes):
  """Starts `bin/NAME - -`."""
  program = [sys.executable, ROOT / "bin" / name, "-", "-", *flags]
  return subprocess.Popen(program, stdout=subprocess.PIPE, **pipes)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--saved_model", help="by default a tiny one is made")
  parser.add_argument("--frames", type=int, default=10000)
  parser.add_argument("--size", default="64x64")
  parser.add_argument("--gop", type=int, default=0)
  arguments = parser.parse_args()
  with tempfile.TemporaryDirectory() as folder:
    saved_model = arguments.saved_model or os.path.join(folder, "saved_model")
    if not arguments.saved_model:
      subprocess.run([sys.executable, "-c", MAKE_TINY, saved_model], check=True)
    sys.exit(0 if run(arguments, saved_model) else 1)


def run(arguments, saved_model):
  """Runs the pipe line and prints what it did; returns whether all was well."""
  width, height = map(int, arguments.size.split("x"))
  coarse = np.random.default_rng(0).integers(0, 256, [height // 4, width // 4, 3])
  texture = np.kron(coarse, np.ones([8, 8, 1])).astype(np.uint8)
  start, model = time.monotonic(), f"--saved_model={saved_model}"
  flags = (model, f"--gop={arguments.gop}", "--frame_checksums")
  encoder = command("compress", *flags, stdin=subprocess.PIPE)
  decoder = command("decompress", model, "--strict", stdin=encoder.stdout)
  encoder.stdout.close()
  thread = threading.Thread(
    target=feed, args=(encoder.stdin, texture, arguments.frames)
  )
  thread.start()
  memory, count = {}, 0
  with open_video(decoder.stdout) as video:
    for _ in video:
      count += 1
      if count % 100 == 0 and count < arguments.frames:
        memory[count] = (resident(encoder), resident(decoder))
  thread.join()
  failed = encoder.wait() or decoder.wait()
  print(
    f"{count} of {arguments.frames} frames came through in "
    f"{time.monotonic() - start:.0f} s"
    + (", a command failed" if failed else ", every one as the encoder saw it")
  )
  growths = [1.0]
  if memory:
    early, late = min(memory, key=lambda n: abs(n - count / 10)), max(memory)
    for i, name in enumerate(("compress", "decompress")):
      growths.append(memory[late][i] / memory[early][i])
      print(
        f"{name}: {memory[early][i]:.0f} MiB behind {early} frames, "
        f"{memory[late][i]:.0f} MiB behind {late}"
      )
  return not failed and count == arguments.frames and max(growths) <= ALLOWED_GROWTH


MAKE_TINY = """
import sys
from tfafs.models import registry
registry.build(registry.load_config("stat_ssf_sp", "tiny")).export_codec(sys.argv[1])
"""

if __name__ == "__main__":
  main()
