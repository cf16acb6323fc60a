#!/usr/bin/env python3
"""What exact integers cost: the candidates for the convolutions of the index branch.

    benchmarks/exact_convolution_cost.py [--size=17x40] [--channels=192] [--turns=15]

A 3x3 convolution of integers, of the size that a picture of 640x272 has in the branch's
last layer, in float32 (sums below 2^24), float64 and int32, which is all that TensorFlow
has kernels for on a CPU: by turns, with the results checked to be equal.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--size", default="17x40")
  parser.add_argument("--channels", type=int, default=192)
  parser.add_argument("--turns", type=int, default=15)
  options = parser.parse_args()
  height, width = map(int, options.size.split("x"))
  rng = np.random.default_rng(0)
  channels = options.channels
  inputs = rng.integers(0, 256, [1, height, width, channels])
  # So small that 255 times the sum of a filter's weights stays below 2^24.
  kernel = rng.integers(-37, 38, [3, 3, channels, channels])
  assert 255 * np.abs(kernel).sum((0, 1, 2)).max() < 2**24

  @tf.function
  def convolve(x, k):
    return tf.nn.conv2d(x, k, 1, "SAME")

  calls, results = {}, {}
  for dtype in (tf.float32, tf.float64, tf.int32):
    x, k = tf.constant(inputs, dtype), tf.constant(kernel, dtype)
    calls[dtype.name] = lambda x=x, k=k: convolve(x, k).numpy()
    results[dtype.name] = calls[dtype.name]().astype(np.int64)
    np.testing.assert_array_equal(results[dtype.name], results["float32"])
  seconds = {name: [] for name in calls}
  for _ in range(options.turns):
    for name, call in calls.items():
      start = time.perf_counter()
      call()
      seconds[name].append(time.perf_counter() - start)
  for name, times in seconds.items():
    median, best = 1e3 * statistics.median(times), 1e3 * min(times)
    print(f"{name:>8}: median {median:.2f} ms, best {best:.2f} ms")


if __name__ == "__main__":
  main()
