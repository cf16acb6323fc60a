#!/usr/bin/env python3
"""Sampling `MaskedAutoregressive` beside TFP's loop over dimensions, same network.

    benchmarks/autoregressive_sampling.py [--sizes 8 64] [--gain 0.5 1 2] [--turns 11]

`gain` is the standard deviation of the network's output: the stronger dimensions depend
on each other, the more passes it takes until nothing moves. Both results are checked to
agree, then both are timed in turns.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors import MaskedAutoregressive

tfb = tfp.bijectors


def make(size, gain, hidden=256):
  """Our bijector and TFP's over one network, whose output has deviation `gain`."""
  tf.keras.utils.set_random_seed(0)
  ours = MaskedAutoregressive.build(size, hidden_units=(hidden, hidden))
  network = ours.network
  output = network(tf.random.normal([256, size]))
  kernel = next(v for v in network.trainable_variables if "kernel_2" in v.name)
  # Of the first dimension, shift and scale are constants.
  kernel.assign(kernel * gain / tf.math.reduce_std(output[:, 1:]))

  def shift_and_log_scale(x):
    shift, raw = tf.unstack(network(x), axis=-1)
    return shift, raw / (1.0 + tf.abs(raw) / np.log(1e3))

  return ours, tfb.MaskedAutoregressiveFlow(shift_and_log_scale)


def seconds(function, noise):
  start = time.perf_counter()
  function(noise).numpy()
  return time.perf_counter() - start


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--sizes", type=int, nargs="+", default=[8, 32, 64, 128])
  parser.add_argument("--gain", type=float, nargs="+", default=[0.5])
  parser.add_argument("--turns", type=int, default=11)
  parser.add_argument("--batch", type=int, default=256)
  options = parser.parse_args()
  print(
    f"{'D':>5}{'gain':>6}{'passes':>8}{'ours ms':>10}{'TFP ms':>10}{'ratio':>8}  error"
  )
  for size in options.sizes:
    for gain in options.gain:
      ours, theirs = make(size, gain)
      noise = tf.random.stateless_normal([options.batch, size], [0, 0])
      functions = [tf.function(ours.forward), tf.function(theirs.forward)]
      results = [function(noise) for function in functions]
      scale = tf.reduce_max(tf.abs(results[1]))
      error = float(tf.reduce_max(tf.abs(results[0] - results[1])) / scale)
      passes = int(ours.forward_with_passes(noise).passes)
      times = [[seconds(f, noise) for f in functions] for _ in range(options.turns)]
      mine, other = 1e3 * np.median(times, 0)
      print(
        f"{size:5}{gain:6.1f}{passes:8}{mine:10.2f}{other:10.2f}{other / mine:8.1f}"
        f"  {error:.1e}",
        flush=True,
      )


if __name__ == "__main__":
  main()
