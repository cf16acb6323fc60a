#!/usr/bin/env python3
"""What a codec pays for the inside of pictures: bits per pixel of tiles of several sizes.

    benchmarks/crop_size.py VIDEO --model_dir=runs/mine [--sizes=64,128,256]

The first frames of the video, cut to whole tiles of the largest size, are cut into tiles
of each size, which are coded one by one in the precision of the export: an intra frame
and two inter frames. Large tiles should cost no more than small ones: they have more of
the past to predict from. The rate is that of the strings: the information content of
outliers, for which a table has an escape code, would be many times as much.
"""

import argparse
import itertools
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tfafs.coding import open_video
from tfafs.models.codec import codec, frame_coder
from tfafs.training import checkpoints

PARTS = ("motion", "motion_hyper", "residual", "residual_hyper")


def measure(model, frames, size, quality):
  """Bits of the strings per pixel of an inter frame, by part, and their mean PSNR."""
  coder = frame_coder.FrameCoder(model)
  bits, psnr = {}, []
  for top, left in itertools.product(
    range(0, frames.shape[1], size), range(0, frames.shape[2], size)
  ):
    tile = frames[:, None, top : top + size, left : left + size]
    tile = tf.cast(tile, tf.float32) / 255.0
    with model.rates.at(quality):
      state = coder.encode_intra(tile[0]).state
      for frame in tile[1:]:
        coded = coder.encode_inter(frame, state)
        state = coded.state
        strings = coded.strings.numpy().ravel()
        for part, string in zip(PARTS, strings):
          bits[part] = bits.get(part, 0) + 8 * len(string)
        error = tf.reduce_mean((coded.state.reference - frame) ** 2)
        psnr.append(-10 * np.log10(float(error)))
  pixels = (len(frames) - 1) * frames.shape[1] * frames.shape[2]
  return {part: count / pixels for part, count in bits.items()}, np.mean(psnr)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("video")
  parser.add_argument("--model_dir", required=True, action="append")
  parser.add_argument("--sizes", default="64,128,256", help="Divisors of the last.")
  parser.add_argument("--quality", type=float, help="Of variable rate; the middle.")
  options = parser.parse_args()
  sizes = [int(size) for size in options.sizes.split(",")]
  with open_video(options.video) as video:
    frames = np.stack(list(itertools.islice(video, codec.MIN_FRAMES)))
  height, width = (side // sizes[-1] * sizes[-1] for side in frames.shape[1:3])
  if not height * width or any(sizes[-1] % size for size in sizes):
    parser.error("--sizes must divide the last of them, which must fit the picture.")
  frames = frames[:, :height, :width]
  quality = None if options.quality is None else tf.constant([options.quality])
  for model_dir in options.model_dir:
    print(f"{model_dir}, {width}x{height}\n  tile    PSNR", *PARTS, "inter frame")
    model = checkpoints.load_trained(model_dir).in_export_precision()
    for size in sizes:
      rates, psnr = measure(model, frames, size, quality)
      rates = [*rates.values(), sum(rates.values())]
      print(f"{size:>6}{psnr:>8.2f}", *(f"{rate:.4f}" for rate in rates))


if __name__ == "__main__":
  main()
