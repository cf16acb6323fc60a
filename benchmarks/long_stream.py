#!/usr/bin/env python3
"""Encodes and decodes a long stream through a pipe and compares the two ends.

    benchmarks/long_stream.py [--saved_model=DIR] [--frames=1000] [--size=64x64]

One process encodes synthetic frames into a pipe, this one decodes from it. With a
single I frame (--gop=0) every frame depends on all before it. Both sides hash each
frame, the encoder its reconstruction; the hashes must agree. Exit code 1 if not.
"""

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from tfafs.coding import Codec, CompressedVideoReader, CompressedVideoWriter


def make_frame(texture, t):
  """Frame t of a texture that moves, with a square that moves otherwise."""
  height, width = texture.shape[0] // 2, texture.shape[1] // 2
  x, y = (int(n / 2 * (1 + np.sin(t / s))) for n, s in ((width, 37), (height, 53)))
  frame = texture[y : y + height, x : x + width].copy()
  frame[t % (height - 8) :][:8, 2 * t % (width - 8) :][:, :8] = t % 256
  return frame


def digest(frame):
  return hashlib.sha256(frame.tobytes()).hexdigest()[:16]


def peak():
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def encode(arguments):
  """Writes the stream to stdout, a hash per reconstruction to arguments.hashes."""
  codec = Codec.load(arguments.saved_model)
  width, height = map(int, arguments.size.split("x"))
  coarse = np.random.default_rng(0).integers(0, 256, [height // 4, width // 4, 3])
  texture = np.kron(coarse, np.ones([8, 8, 1])).astype(np.uint8)
  with (
    CompressedVideoWriter(
      codec, sys.stdout.buffer, width, height, 25, arguments.gop
    ) as writer,
    open(arguments.hashes, "w") as hashes,
  ):
    for t in range(arguments.frames):
      print(digest(writer.write(make_frame(texture, t)).reconstruction), file=hashes)
      if t == 99 or t == arguments.frames - 1:
        print(f"encoder: {peak():.0f} MiB behind {t + 1} frames", file=sys.stderr)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--saved_model", required=True)
  parser.add_argument("--frames", type=int, default=1000)
  parser.add_argument("--size", default="64x64")
  parser.add_argument("--gop", type=int, default=0)
  parser.add_argument("--hashes", help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.hashes:
    encode(arguments)
    return
  start = time.monotonic()
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "hashes")
    process = subprocess.Popen(
      [sys.executable, *sys.argv, f"--hashes={path}"], stdout=subprocess.PIPE
    )
    codec, decoded = Codec.load(arguments.saved_model), []
    for t, frame in enumerate(CompressedVideoReader(codec, process.stdout)):
      decoded.append(digest(frame))
      if t == 99 or t == arguments.frames - 1:
        print(f"decoder: {peak():.0f} MiB behind {t + 1} frames", file=sys.stderr)
    if process.wait():
      sys.exit("the encoder failed")
    with open(path) as file:
      encoded = file.read().split()
  differing = [t for t, pair in enumerate(zip(encoded, decoded)) if len(set(pair)) > 1]
  print(
    f"{len(decoded)} of {len(encoded)} frames decoded in "
    f"{time.monotonic() - start:.0f} s, {len(differing)} differ"
  )
  sys.exit(1 if differing or len(decoded) != len(encoded) else 0)


if __name__ == "__main__":
  main()
