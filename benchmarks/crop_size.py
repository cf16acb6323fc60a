#!/usr/bin/env python3
"""What a codec pays for the inside of pictures: bits per pixel of tiles of several sizes.

    benchmarks/crop_size.py VIDEO... --model_dir=runs/mine [--sizes=96,176,256]

The first frames of each video are cut into tiles, which are coded one by one: an intra
frame and two inter frames, information content of the rounded latents. Large tiles should
cost no more than small ones: they have more of the past to predict from.
"""

import argparse
import itertools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tfafs.coding import open_video
from tfafs.models.codec import codec
from tfafs.training import pictures


def tiles(frames, size):
  """Yields float32 [1, time, <= size, <= size, 3], as many whole ones as fit."""
  height, width = (min(size, side) for side in frames.shape[1:3])
  for top in range(0, frames.shape[1] - height + 1, height):
    for left in range(0, frames.shape[2] - width + 1, width):
      tile = frames[None, :, top : top + height, left : left + width]
      yield tf.constant(tile, tf.float32) / 255.0


def measure(model, videos, size, quality):
  """Means over the tiles, weighted by their pixels: dict of floats."""
  totals, pixels = {}, 0
  for frames in videos:
    for tile in tiles(frames, size):
      area = tile.shape[2] * tile.shape[3]
      pixels += area
      for name, value in model.rate_distortion(tile, quality=quality).items():
        totals[name] = totals.get(name, 0.0) + area * float(value)
  return {name: value / pixels for name, value in totals.items()}


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("videos", nargs="+")
  parser.add_argument("--model_dir", required=True, action="append")
  parser.add_argument("--sizes", default="96,176,256")
  parser.add_argument("--quality", type=float, help="Of variable rate; the middle.")
  options = parser.parse_args()
  videos = []
  for path in options.videos:
    with open_video(path) as video:
      videos.append(np.stack(list(itertools.islice(video, codec.MIN_FRAMES))))
  parts = ("motion", "motion_hyper", "residual", "residual_hyper")
  print(f"{'tile':>6}" + "".join(f"{part:>16}" for part in ("PSNR", *parts)))
  for model_dir in options.model_dir:
    print(model_dir)
    model = pictures.load_trained(model_dir)
    for size in map(int, options.sizes.split(",")):
      terms = measure(model, videos, size, options.quality)
      figures = [terms["psnr"], *(terms.get(f"bpp_{part}", 0.0) for part in parts)]
      print(f"{size:>6}" + "".join(f"{figure:>16.4f}" for figure in figures))


if __name__ == "__main__":
  main()
