#!/usr/bin/env python3
"""What exact integers cost in the index branch: rate, and time per frame.

    benchmarks/index_cost.py --model_dir=runs/mine --output_dir=runs/index_cost \
      --betas=3.125e-4,6.25e-4,1.25e-3,2.5e-3 --steps=400 VIDEO [VIDEO ...]

From the weights of a trained run, two runs go on at each beta for equally many steps on
equal data and noise: with exact integers, and with the same network in floating point,
which keeps the clips of the activations: what is measured is rounding alone. A codec of
variable rate has all its rates in one such pair. All are exported; the videos are coded to
files by each and decoded from them; BD-rate compares the curves, positive where exact
integers need more bytes. Times are those of frames of 640x272, the codecs by turns.
Interrupted, the same command goes on.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import logging

from tfafs import datasets
from tfafs.coding import Codec, Decoder, Encoder
from tfafs.evaluation import bd_rate, clips, neural, rd_curves
from tfafs.training import run, run_directory

KINDS = {"exact": True, "float": False}
TIMED_FRAMES = 5


def go_on(base, options, beta, kind, output_dir):
  """Trains one of the runs, exports it; returns the path of the SavedModel."""
  config = run_directory.load_config(run_directory.run_paths(base))
  with config.unlocked():
    config.model.beta = beta
    config.model.hyper.exact_index = KINDS[kind]
    config.training.update(
      steps=options.steps,
      learning_rate=options.learning_rate,
      large_crop_from=1.0,
      shift_weight=0.0,
      checkpoint_every=options.steps,
      image_every=10 * options.steps,
      exact_from=0.0,
      warm_start=str(base),
    )
  model_dir = pathlib.Path(output_dir) / f"{kind}_{beta:g}"
  saved_model = model_dir / "saved_model"
  if not saved_model.exists():
    result = run.train(config, model_dir)
    result.model.export_codec(saved_model, steps=result.steps)
    tf.keras.backend.clear_session()
  return saved_model


def measure_rate(saved_models, videos, gop, frames):
  """Returns {clip: {kind: [bpp, psnr] of each beta}} and mismatched frames in all."""
  points, mismatched = {}, 0
  for (kind, beta), path in saved_models.items():
    codec = Codec.load(path)
    levels = codec.max_quality
    for video in videos:
      clip = clips.as_clip(video, frames)
      for quality in [None] if levels is None else range(levels + 1):
        made = neural.NeuralCodec(codec, quality=quality)
        result = rd_curves.evaluate_clip(made, clip, gop, with_ms_ssim=False)
        mismatched += result.mismatched_frames
        curve = points.setdefault(clip.name, {}).setdefault(kind, [])
        curve.append([result.bpp, result.psnr])
        setting = f"{beta:g}" if quality is None else f"quality {quality}"
        print(f"{clip.name} {kind} {setting}: {result.bpp:.4f} {result.psnr:.2f} dB")
  return points, mismatched


def measure_time(codecs, turns=7):
  """Median seconds per P frame of 640x272: {kind: {encode, decode}}."""
  frames = datasets.synthetic_clip(0, TIMED_FRAMES, 272, 640)
  times = {kind: {"encode": [], "decode": []} for kind in codecs}
  for turn in range(turns + 1):
    for kind in list(codecs)[:: 1 if turn % 2 else -1]:
      encoder = Encoder(codecs[kind], gop=0)
      decoder = Decoder(codecs[kind], 640, 272, encoder.quality_steps)
      coded = [encoder.encode(frames[0])]
      decoder.decode(coded[0])
      start = time.perf_counter()
      coded = [encoder.encode(frame) for frame in frames[1:]]
      encoded = time.perf_counter()
      decoded = [decoder.decode(frame) for frame in coded]
      done = time.perf_counter()
      np.testing.assert_array_equal(decoded[-1], coded[-1].reconstruction)
      if turn:
        times[kind]["encode"].append((encoded - start) / (TIMED_FRAMES - 1))
        times[kind]["decode"].append((done - encoded) / (TIMED_FRAMES - 1))
  return {
    kind: {task: statistics.median(values) for task, values in row.items()}
    for kind, row in times.items()
  }


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("videos", nargs="+")
  parser.add_argument("--model_dir", required=True)
  parser.add_argument("--output_dir", required=True)
  parser.add_argument("--betas", default="3.125e-4,6.25e-4,1.25e-3,2.5e-3")
  parser.add_argument("--steps", type=int, default=400)
  parser.add_argument("--learning_rate", type=float, default=1e-4)
  parser.add_argument("--gop", type=int, default=12)
  parser.add_argument("--frames", type=int)
  parser.add_argument("--results", help="JSON file to write.")
  options = parser.parse_args()
  logging.set_verbosity(logging.ERROR)
  base = pathlib.Path(options.model_dir).absolute()
  config = run_directory.load_config(run_directory.run_paths(base))
  if config is None:
    sys.exit(f"{base} holds no run: give the --model_dir of bin/train.")
  betas = [float(beta) for beta in options.betas.split(",")]
  if config.model.variable_rate:
    betas = [config.model.beta]
  saved_models = {
    (kind, beta): go_on(base, options, beta, kind, options.output_dir)
    for beta in betas
    for kind in KINDS
  }
  points, mismatched = measure_rate(
    saved_models, options.videos, options.gop, options.frames
  )
  results = {
    "base_checkpoint": os.path.basename(
      tf.train.latest_checkpoint(run_directory.run_paths(base).checkpoints)
    ),
    "steps": options.steps,
    "betas": betas,
    "points": points,
    "mismatched_frames": mismatched,
    "bd_rate_percent": {},
    "rate_difference_percent": {},
  }
  for name, curves in points.items():
    floats, exact = (np.array(curves[kind]).T for kind in ("float", "exact"))
    comparison = bd_rate.bd_rate(*floats, *exact)
    results["bd_rate_percent"][name] = comparison.value
    results["rate_difference_percent"][name] = [
      bd_rate.rate_difference(*floats, *point).value for point in exact.T
    ]
    print(f"{name}: BD-rate {comparison.value} % ({comparison.reason})")
  middle = betas[len(betas) // 2]
  codecs = {kind: Codec.load(saved_models[kind, middle]) for kind in KINDS}
  results["seconds_per_frame_640x272"] = measure_time(codecs)
  print(json.dumps(results, indent=2))
  if options.results:
    pathlib.Path(options.results).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
  main()
