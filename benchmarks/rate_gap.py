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
from tfafs.models.codec import range_coding
from tfafs.training import pictures


def measure(model, frames):
  """Returns {part: float [3]}: information, code length, bits written, summed."""
  tables = range_coding.scale_tables()
  coders = {
    "intra": range_coding.LatentRangeCoder(model.intra.prior, tables),
    "motion": range_coding.LatentRangeCoder(model.inter.motion_prior, tables),
    "residual": range_coding.LatentRangeCoder(model.inter.residual_prior, tables),
  }
  totals, reference = {}, None

  @tf.function
  def code_intra(frame):
    latent, reconstruction = model.intra(frame)
    return {"intra": latent}, model.reference(reconstruction)

  @tf.function
  def code_inter(frame, reference):
    coded = model.inter(frame, reference)
    latents = {"motion": coded.motion, "residual": coded.residual}
    return latents, model.reference(coded.reconstruction)

  for frame in frames:
    frame = tf.cast(frame, tf.float32)[None] / 255.0
    if reference is None:
      latents, reference = code_intra(frame)
    else:
      latents, reference = code_inter(frame, reference)
    for part, latent in latents.items():
      context = latents["motion"] if part == "residual" else None
      strings, lengths = coders[part].encode(latent, context)
      information = (latent.bits[0], latent.hyper_bits[0])
      for suffix, *figures in zip(
        ("", "_hyper"), information, lengths, (8 * len(s) for s in strings.numpy())
      ):
        total = totals.setdefault(part + suffix, np.zeros(3))
        total += np.array(figures, float)
  return totals


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("video")
  parser.add_argument("--model_dir", required=True)
  parser.add_argument("--frames", type=int)
  options = parser.parse_args()
  model = pictures.load_trained(options.model_dir)
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
