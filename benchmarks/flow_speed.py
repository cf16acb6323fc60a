#!/usr/bin/env python3
"""Speed of flows beside Pyro, NumPyro, flowjax, zuko, nflows and TFP.

    benchmarks/flow_speed.py [--quick] [--profile] [--threads=2] [--output=FILE.json]

Block neural autoregressive flow, batches of 200: value with log-determinant, and a train
step (with Adam), ours as a graph and with XLA. Pyro's is the original's mathematics in
PyTorch. Pyro and NumPyro get our weights, and value and log-determinant are checked to be
equal before anything is timed (Pyro against our `tanh`, NumPyro against our
`leaky_tanh`); flowjax parametrises otherwise and has the same sizes.

Inverse, 64 images of noise at a time: ours beside flowjax.

Masked autoregressive flow, 256 at a time: samples and density of ours, TFP's (with our
weights, checked), zuko's and nflows'.

All run in turns, one at a time; median and best of the turns are printed, and for each
peer how many times as fast ours are (its median by our faster median). Peers run in
virtual environments of their own, which the first run makes. PyTorch has one thread,
with which it is fastest at these sizes.
"""

import collections
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from absl import app, flags
from op_profile import profile
from worker import flows_worker

from tfafs.bijectors import BlockNeuralAutoregressive, MaskedAutoregressive
from tfafs.layers.block_masked import BlockAutoregressiveNetwork

tfb = tfp.bijectors
HERE = Path(__file__).resolve().parent


class Sizes(NamedTuple):
  """What is measured: (D, H / D, layers) of B-NAFs, D of MAFs, and how often."""

  block: tuple
  masked: tuple
  turns: int
  calls: int


FULL = Sizes(
  ((2, 50, 3), (6, 40, 2), (21, 20, 2), (43, 10, 1), (64, 4, 1)), (8, 32, 64), 15, 5
)
SMALL = Sizes(((2, 50, 3), (6, 40, 2)), (8,), 3, 2)
BATCH, SAMPLES, MASKED_BATCH, HIDDEN = 200, 64, 256, (256, 256)

_QUICK = flags.DEFINE_bool("quick", False, "Smaller, fewer turns: shows that it runs.")
_PROFILE = flags.DEFINE_bool("profile", False, "Only show where our time goes.")
_THREADS = flags.DEFINE_integer("threads", os.cpu_count(), "Threads of TensorFlow.", 1)
_PEER_ENVS = flags.DEFINE_string(
  "peer_envs", str(HERE.parent / "cache"), "Folder of the peers' environments."
)
_OUTPUT = flags.DEFINE_string("output", "", "JSON file to write the figures to.")


def timed(function):
  """Function of the number of calls that returns the seconds of each."""

  def run(calls):
    seconds = []
    for _ in range(calls):
      start = time.perf_counter()
      for result in tf.nest.flatten(function()):
        result.numpy()
      seconds.append(time.perf_counter() - start)
    return seconds

  return run


def measure(contenders, sizes):
  """Lets all run in turns; returns dict from name to its figures, in ms."""
  seconds = {name: [] for name in contenders}
  for turn in range(sizes.turns + 1):
    # Forth and back, so that nobody always follows the same neighbour.
    for name in list(contenders)[:: 1 if turn % 2 else -1]:
      times = contenders[name](max(2, sizes.calls))
      if turn:
        seconds[name] += times
  return {
    name: {
      "median_ms": round(1e3 * statistics.median(times), 3),
      "best_ms": round(1e3 * min(times), 3),
    }
    for name, times in seconds.items()
  }


def add_ratios(rows):
  """Adds to each peer's row how many times as fast ours is, at its faster."""
  for name, row in rows.items():
    if not name.startswith("ours"):
      task = name.split()[-1]
      ours = [r for n, r in rows.items() if n.startswith("ours") and task in n]
      for key in ("median_ms", "best_ms"):
        ratio = row[key] / min(r[key] for r in ours)
        row[key.replace("_ms", "_ratio")] = round(ratio, 2)


def block_task(size, units, layers, workers, folder, sizes):
  """Times B-NAFs of one size."""
  tf.keras.utils.set_random_seed(0)
  nets = {
    activation: BlockAutoregressiveNetwork(size, (units,) * layers, activation)
    for activation in ("leaky_tanh", "tanh")
  }
  net = nets["leaky_tanh"]
  for one, other in zip(net.variables, nets["tanh"].variables):
    other.assign(one)
  x = tf.random.normal([BATCH, size])
  file = str(Path(folder) / "weights.npz")
  np.savez(file, x=x, **_weights(net))
  contenders = {}
  for kind, activation in (("torch", "tanh"), ("jax", "leaky_tanh")):
    output = str(Path(folder) / f"{kind}.npz")
    extra = {"samples": SAMPLES} if kind == "jax" else {}
    answer = workers[kind].ask(task="load", file=file, output=output, **extra)
    contenders.update(workers[kind].calls(answer["tasks"]))
    if kind == "jax":
      report = BlockNeuralAutoregressive(net).inverse_report(net(x[:SAMPLES]).value)
      error = float(tf.reduce_max(tf.abs(report.value - x[:SAMPLES])))
      print(
        f"{size}, {units}, {layers}: largest error of the inverse: flowjax "
        f"{answer['inverse_error']:.1e}, ours {error:.1e}, in {int(report.num_calls)} "
        "evaluations",
        flush=True,
      )
    theirs, ours = np.load(output), nets[activation](x)
    log_det = tf.reduce_sum(ours.log_diagonal, -1)
    np.testing.assert_allclose(theirs["value"], ours.value, 1e-4, 1e-4)
    np.testing.assert_allclose(theirs["log_det"], log_det, 1e-3, 1e-3)
  inverses = _split(contenders, "inverse")
  for how, jit in (("graph", False), ("XLA", True)):
    forward, train = _our_functions(net, x, jit)
    contenders[f"ours, {how}, forward"] = timed(forward)
    contenders[f"ours, {how}, train"] = timed(train)
    flow = BlockNeuralAutoregressive(net)
    invert = tf.function(flow.inverse_report, jit_compile=jit)
    images = net(x[:SAMPLES]).value
    inverses[f"ours, {how}, inverse"] = timed(lambda f=invert, y=images: f(y))
  results = {}
  for task in ("forward", "train"):
    results[f"B-NAF {size}, {units}, {layers}: {task}"] = measure(
      {n: c for n, c in contenders.items() if n.endswith(task)}, sizes
    )
  few = sizes._replace(calls=1)
  results[f"B-NAF {size}, {units}, {layers}: inverse"] = measure(inverses, few)
  return results


def masked_task(size, workers, sizes):
  """Times MAFs of one size."""
  tf.keras.utils.set_random_seed(0)
  flow = MaskedAutoregressive.build(size, hidden_units=HIDDEN)
  for variable in flow.trainable_variables:
    variable.assign_add(0.02 * tf.random.normal(variable.shape))

  def shift_and_log_scale(x):
    parameters = flow.network.bind(None)(x)
    return flow.scalar._split(parameters)

  theirs = tfb.MaskedAutoregressiveFlow(shift_and_log_scale)
  x = tf.random.normal([MASKED_BATCH, size])
  np.testing.assert_allclose(
    flow.forward(x), theirs.forward(tf.identity(x)), 1e-3, 1e-3
  )
  answer = workers["torch"].ask(
    task="maf", size=size, hidden=list(HIDDEN), batch=MASKED_BATCH
  )
  contenders = workers["torch"].calls(answer["tasks"])
  for name, bijector in (("ours,", flow), ("tfp", theirs)):
    for how, jit in (("graph", False), ("XLA", True)):
      sample = tf.function(bijector.forward, jit_compile=jit)

      def density(x, bijector=bijector):
        return bijector.inverse(x), bijector.inverse_log_det_jacobian(x)

      density = tf.function(density, jit_compile=jit)
      contenders[f"{name} {how} sample"] = timed(lambda f=sample: f(x))
      contenders[f"{name} {how} density"] = timed(lambda f=density: f(x))
  return {
    f"MAF {size}: {task}": measure(
      {n: c for n, c in contenders.items() if n.endswith(task)}, sizes
    )
    for task in ("sample", "density")
  }


def _weights(net):
  """Weights as peers have them: raw logarithms on the diagonal blocks."""
  arrays = {}
  for i, dense in enumerate(net.dense):
    size, a, b = dense.log_diagonal.shape
    kernel = np.where(dense._mask, dense.off_diagonal, 0.0)
    kernel = kernel.reshape(size, a, size, b)
    kernel[np.arange(size), :, np.arange(size)] = dense.log_diagonal
    arrays[f"kernel{i}"] = kernel.reshape(size * a, size * b).astype(np.float32)
    arrays[f"log_norm{i}"] = dense.log_norm.numpy()
    arrays[f"bias{i}"] = dense.bias.numpy()
  return arrays


def _our_functions(net, x, jit):
  """Forward pass and train step as functions of nothing."""
  optimizer = tf.keras.optimizers.Adam(0.0)
  optimizer.build(net.trainable_variables)

  @tf.function(jit_compile=jit)
  def forward(x):
    output = net(x)
    return output.value, tf.reduce_sum(output.log_diagonal, -1)

  @tf.function(jit_compile=jit)
  def train(x):
    with tf.GradientTape() as tape:
      output = net(x)
      loss = 0.5 * tf.reduce_sum(output.value**2, -1)
      loss = tf.reduce_mean(loss - tf.reduce_sum(output.log_diagonal, -1))
    gradients = tape.gradient(loss, net.trainable_variables)
    optimizer.apply_gradients(zip(gradients, net.trainable_variables))
    return loss

  return lambda: forward(x), lambda: train(x)


def show_profile(sizes):
  """Prints where a train step of each B-NAF spends its time."""
  for size, units, layers in sizes.block:
    tf.keras.utils.set_random_seed(0)
    net = BlockAutoregressiveNetwork(size, (units,) * layers, "leaky_tanh")
    x = tf.random.normal([BATCH, size])
    _, train = _our_functions(net, x, jit=False)
    timed(train)(30)
    wall, times = profile(train, repeats=50)
    types = collections.Counter()
    for name, seconds in times.items():
      types[name.rpartition(":")[2]] += seconds
    widths = [size, *[size * units] * layers, size]
    macs = 3 * BATCH * sum(a * b for a, b in zip(widths, widths[1:]))
    parts = [f"{name} {1e3 * x:.2f}" for name, x in types.most_common(6)]
    print(
      f"{size}, {units}, {layers}: {1e-6 * macs:.0f} million multiply-adds, "
      f"{1e3 * wall:.2f} ms under the profiler, ops together "
      f"{1e3 * sum(times.values()):.2f} ms in {len(times)} ops: {', '.join(parts)}",
      flush=True,
    )


def _split(contenders, task):
  """Removes and returns the contenders of a task."""
  names = [name for name in contenders if name.endswith(task)]
  return {name: contenders.pop(name) for name in names}


def table(results):
  """Results as a Markdown table."""
  lines = [
    "| task | who | median ms | best ms | ours is faster: median, best |",
    "|---" * 5 + "|",
  ]
  for task, rows in results.items():
    for name, row in rows.items():
      ratio = ""
      if "median_ratio" in row:
        ratio = f"**{row['median_ratio']}**, {row['best_ratio']}"
      lines.append(
        f"| {task} | {name} | {row['median_ms']} | {row['best_ms']} | {ratio} |"
      )
  return "\n".join(lines)


def main(_):
  tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
  tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
  sizes = SMALL if _QUICK.value else FULL
  if _PROFILE.value:
    show_profile(sizes)
    return
  machine = {
    "platform": f"{platform.system()} {platform.machine()}",
    "cores": os.cpu_count(),
    "load_before": os.getloadavg()[0],
    "tensorflow": tf.__version__,
  }
  workers = {kind: flows_worker(kind, _PEER_ENVS.value) for kind in ("torch", "jax")}
  results = {}
  with tempfile.TemporaryDirectory() as folder:
    for size, units, layers in sizes.block:
      results.update(block_task(size, units, layers, workers, folder, sizes))
    for size in sizes.masked:
      results.update(masked_task(size, workers, sizes))
  for worker in workers.values():
    worker.close()
  for rows in results.values():
    add_ratios(rows)
  machine["load_after"] = os.getloadavg()[0]
  print(json.dumps(machine))
  print(table(results))
  if _OUTPUT.value:
    path = Path(_OUTPUT.value)
    beside = path.with_name(path.name + ".writing")
    content = {"machine": machine, "threads": _THREADS.value, "tasks": results}
    beside.write_text(json.dumps(content, indent=2) + "\n")
    beside.replace(path)


if __name__ == "__main__":
  app.run(main)
