#!/usr/bin/env python3
"""Three measures of rate, part by part: what training minimises and what a file pays.

    benchmarks/rate_gap.py VIDEO --model_dir=runs/mine [--frames=48]

For the frames of a video, one intra frame first: the information content of the symbols
under the trained densities, the length that the range coder's tables promise (rounded
probabilities, escape codes), and the bits of the strings it writes.
"""

import argparse
import itertools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tfafs.coding import open_video
from tfafs.models.codec import frame_coder
from tfafs.training import checkpoints


def measure(model, frames):
  """Returns {part: float [3]}: information, code length, bits written, summed."""
  coder, totals, state = frame_coder.FrameCoder(model), {}, None
  pack, unpack = coder.state_format.pack, coder.state_format.unpack
  encode_intra = tf.function(coder.encode_intra)
  encode_inter = tf.function(lambda frame, s: coder.encode_inter(frame, unpack(s)))
  for frame in frames:
    frame = tf.cast(frame, tf.float32)[None] / 255.0
    coded = encode_intra(frame) if state is None else encode_inter(frame, state)
    state = pack(coded.state)
    information = [
      (part + suffix, float(bits[0]))
      for part, latent in coded.latents.items()
      for suffix, bits in (("", latent.bits), ("_hyper", latent.hyper_bits))
    ]
    for (part, bits), length, string in zip(
      information, coded.bits.numpy(), coded.strings.numpy()
    ):
      total = totals.setdefault(part, np.zeros(3))
      total += np.array([bits, length, 8 * len(string)])
  return totals


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("video")
  parser.add_argument("--model_dir", required=True)
  parser.add_argument("--frames", type=int)
  options = parser.parse_args()
  model = checkpoints.load_trained(options.model_dir)
  with open_video(options.video) as video:
    totals = measure(model, itertools.islice(video, options.frames))
  totals["all"] = np.sum(list(totals.values()), 0)
  print(f"{'part':16}{'information':>12}{'tables':>12}{'written':>12}   (bits)")
  for part, (information, tables, written) in totals.items():
    print(
      f"{part:16}{information:12.0f}{tables:12.0f}{written:12.0f}"
      f"   information {100 * (information / written - 1):+6.2f} %"
      f"   tables {100 * (tables / written - 1):+6.2f} %"
    )


if __name__ == "__main__":
  main()
