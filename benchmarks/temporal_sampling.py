#!/usr/bin/env python3
"""Speed of sampling a temporal flow, beside TFP's masked autoregressive flow.

    benchmarks/temporal_sampling.py [--turns=11] [--steps=32] [--channels=8] [--output=FILE]

One network with one set of weights makes the same samples from the same noise in four
ways, which are checked to agree and then timed in turns:

- ours:    `TemporalAffineAutoregressive`, T steps of one window each;
- unrolled: the same with `unroll_loop=True`, for which T must be known;
- TFP:     `tfb.MaskedAutoregressiveFlow(event_ndims=2)`, whose loop runs T * C times
           over the whole sequence;
- T sweeps: the loop that TFP could run if it knew that T sweeps are enough. TFP has no
           option for it; the row shows how much of the gain is the window alone.

The last columns time the other things that a user does, where both make one pass: the
density, and the density with its gradients to all weights.
"""

import json
import os
import platform
import statistics
import time
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl import app, flags

from tfafs.bijectors.temporal_affine import TemporalAffineAutoregressive
from tfafs.layers import temporal_networks

tfb = tfp.bijectors

_TURNS = flags.DEFINE_integer("turns", 11, "How often each is timed, in turns.", 1)
_STEPS = flags.DEFINE_integer("steps", 32, "Frames of a sequence.", 1)
_CHANNELS = flags.DEFINE_integer("channels", 8, "Values of a frame.", 1)
_BATCHES = flags.DEFINE_list("batches", ["1", "64"], "Batch sizes.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.")

OURS, UNROLLED, TFP, SWEEPS = "ours", "unrolled", "TFP", "T sweeps"
RATIOS = ((TFP, OURS), (TFP, UNROLLED), (SWEEPS, OURS))


class Flow(NamedTuple):
  """Functions of one way to run the flow.

  Attributes:
    sample: From noise to data.
    density: From data to noise and log-determinant; None if there is none.
  """

  sample: object
  density: object


def make_network(kind, channels):
  """A network whose predictions matter, yet leave samples of moderate size."""
  initializer = tf.keras.initializers.RandomNormal(stddev=0.05)
  if kind == "dense":
    return temporal_networks.DenseTemporalNetwork(
      [channels], hidden_units=[64, 64], head_initializer=initializer
    )
  return temporal_networks.RecurrentTemporalNetwork(
    [channels], units=[64], head_initializer=initializer
  )


def make_flows(network, steps):
  """The four ways, by name."""
  ours = TemporalAffineAutoregressive(network, max_scale=None)
  unrolled = TemporalAffineAutoregressive(network, max_scale=None, unroll_loop=True)

  def shift_and_log_scale(x):
    """The network over a whole sequence: what TFP asks for."""
    before = tf.zeros([*x.shape[:-2], network.window, x.shape[-1]])
    present = tf.range(network.window + steps - 1) >= network.window
    present = tf.broadcast_to(present, [*x.shape[:-2], *present.shape])
    return network(tf.concat([before, x[..., :-1, :]], -2), present=present)

  theirs = tfb.MaskedAutoregressiveFlow(shift_and_log_scale, event_ndims=2)

  def sweeps(y):
    def sweep(x):
      shift, log_scale = shift_and_log_scale(x)
      return (shift + tf.exp(log_scale) * y,)

    start = (tf.zeros_like(y),)
    return tf.while_loop(lambda _: True, sweep, start, maximum_iterations=steps)[0]

  def density(bijector):
    return lambda x: (
      bijector.inverse(x),
      bijector.inverse_log_det_jacobian(x, event_ndims=2),
    )

  return {
    OURS: Flow(lambda y: ours.forward(y), density(ours)),
    UNROLLED: Flow(lambda y: unrolled.forward(y), None),
    TFP: Flow(lambda y: theirs.forward(y), density(theirs)),
    SWEEPS: Flow(sweeps, None),
  }


def with_gradients(density, network):
  """Gradients of a standard normal's log-likelihood to all weights."""

  def step(x):
    with tf.GradientTape() as tape:
      y, log_det = density(x)
      loss = 0.5 * tf.reduce_sum(y**2) - tf.reduce_sum(log_det)
    return tape.gradient(loss, network.trainable_variables)

  return step


def seconds(function, argument):
  """Time of one call until its result is there."""
  start = time.perf_counter()
  tf.nest.map_structure(lambda x: x.numpy(), function(argument))
  return time.perf_counter() - start


def compare(functions, argument, turns):
  """Checks that functions agree and times them in turns; dict name to seconds."""
  results = {n: tf.nest.flatten(f(argument)) for n, f in functions.items()}
  error = 0.0
  for result in results.values():
    for mine, other in zip(results[OURS], result):
      scale = 1 + np.abs(mine).max()
      error = max(error, float(np.abs(mine - other).max() / scale))
  if error > 1e-3:
    raise AssertionError(f"{list(functions)} disagree by {error:.2g}; no times.")
  for function in functions.values():
    seconds(function, argument)
  times = {name: [] for name in functions}
  for _ in range(turns):
    for name, function in functions.items():
      times[name].append(seconds(function, argument))
  return times, error


def rows(kind, batch, compiler):
  """Times of one network at one batch size, one dict for each task."""
  steps, channels = _STEPS.value, _CHANNELS.value
  tf.keras.utils.set_random_seed(0)
  network = make_network(kind, channels)
  flows = make_flows(network, steps)
  options = {"jit_compile": compiler == "XLA"}
  y = tf.random.stateless_normal([batch, steps, channels], [1, 2])
  x = flows[OURS].sample(y)
  tasks = {
    "sample": ({n: flow.sample for n, flow in flows.items()}, y),
    "density": ({n: flow.density for n, flow in flows.items() if flow.density}, x),
    "train step": (
      {
        n: with_gradients(flow.density, network)
        for n, flow in flows.items()
        if flow.density
      },
      x,
    ),
  }
  for task, (functions, argument) in tasks.items():
    functions = {n: tf.function(f, **options) for n, f in functions.items()}
    times, error = compare(functions, argument, _TURNS.value)
    yield {
      "network": kind,
      "batch": batch,
      "compiler": compiler,
      "task": task,
      "disagreement": error,
      "seconds": times,
    }


def line(row):
  """One row of the table: medians in milliseconds, ratios of medians and of bests."""
  times = row["seconds"]
  median = {name: statistics.median(t) for name, t in times.items()}
  best = {name: min(t) for name, t in times.items()}
  cells = [row[key] for key in ("network", "batch", "compiler", "task")]
  for name in (OURS, UNROLLED, TFP, SWEEPS):
    cells.append(f"{1e3 * median[name]:.2f}" if name in median else "")
  for name, than in RATIOS:
    cells.append(
      f"{median[name] / median[than]:.1f} ({best[name] / best[than]:.1f})"
      if name in median and than in median
      else ""
    )
  cells.append(f"{row['disagreement']:.0e}")
  return "| " + " | ".join(map(str, cells)) + " |"


def main(argv):
  del argv
  print(
    f"T = {_STEPS.value}, C = {_CHANNELS.value}, float32, TensorFlow {tf.__version__}, "
    f"TFP {tfp.__version__}, {platform.processor() or platform.machine()}, "
    f"{os.cpu_count()} cores, GPUs: {len(tf.config.list_physical_devices('GPU'))}. "
    f"Milliseconds, median of {_TURNS.value} turns; ratios of medians (of bests)."
  )
  titles = ["network", "batch", "compiler", "task", OURS, UNROLLED, TFP, SWEEPS]
  titles += [f"{name} / {than}" for name, than in RATIOS] + ["disagreement"]
  print("| " + " | ".join(titles) + " |\n" + "|---" * len(titles) + "|")
  results = []
  for kind in ("dense", "lstm"):
    for batch in map(int, _BATCHES.value):
      for compiler in ("graph", "XLA"):
        for row in rows(kind, batch, compiler):
          results.append(row)
          print(line(row), flush=True)
  if _OUTPUT.value:
    with open(_OUTPUT.value, "w") as file:
      json.dump(results, file, indent=1)


if __name__ == "__main__":
  app.run(main)
