#!/usr/bin/env python3
"""Time of a training step of the densities of video beside the same layers in PyTorch.

    benchmarks/video_step_speed.py [--quick] [--size=paper] [--threads=2] [--profile]
                                   [--output=F.json]

Models af1, slvm and slvm_af1 at 64x64, batches of 16 clips of 13 frames, with the sizes
of `configs/video.py`. The peer is these layers as one writes them in PyTorch
(`video_torch_worker.py`), each frame encoded once, as here. It gets our weights, and
reconstruction, divergence and log-determinant of every frame are checked to be equal
before anything is timed, with the statistics of the batch as in training. A step is noise
on the data, the bound, its gradient, clipping by the global norm, and Adam.

Both run in turns, one at a time; median and best are printed, and how many times as fast
ours is (its better median by ours): PyTorch runs with one thread and with all, since more
of them are slower for small layers or on a busy machine. Its virtual environment is made
by the first run.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import op_profile
import tensorflow as tf
from absl import app, flags
from worker import flows_worker

from tfafs.models import registry
from tfafs.training import optimizers

HERE = Path(__file__).resolve().parent
MODELS = ("af1", "slvm", "slvm_af1")

# The first pattern found in "op name:op type" says which part of a step an op is of.
PARTS = (
  (
    "optimizer, gradient norm",
    r":Resource(Apply|Scatter)|[Aa]dam|clip_by_global|global_norm",
  ),
  ("flow", r"(^|/)flow_\d"),
  ("encoder", r"(^|/)encoder/"),
  ("decoder", r"(^|/)decoder/"),
  ("latent loop", r"(^|/)(latent|while)|lstm|prior_|posterior_"),
)

_QUICK = flags.DEFINE_bool("quick", False, "Tiny: shows that it runs.")
_SIZE = flags.DEFINE_enum("size", "default", ["default", "paper"], "Sizes of layers.")
_TURNS = flags.DEFINE_integer("turns", 7, "Turns of each, one step a turn.", 1)
_THREADS = flags.DEFINE_integer("threads", os.cpu_count(), "Threads of both.", 1)
_PEER_ENVS = flags.DEFINE_string(
  "peer_envs", str(HERE.parent / "cache"), "Folder of the peers' environments."
)
_PROFILE = flags.DEFINE_bool("profile", False, "Also show where our time goes.")
_OUTPUT = flags.DEFINE_string("output", "", "JSON file to write the figures to.")


def make_model(name):
  """A model with its optimizer, and clips for it."""
  config = registry.load_config(name, "tiny" if _QUICK.value else _SIZE.value)
  batch, time = (2, 7) if _QUICK.value else (16, 13)
  tf.keras.utils.set_random_seed(0)
  model = registry.build(config)
  for i, variable in enumerate(model.trainable_variables):
    if "head" in variable.name:  # Zeros would show nothing.
      noise = tf.random.stateless_normal(variable.shape, [0, i])
      variable.assign_add(0.05 * noise)
  model.compile(optimizers.make_optimizer(config.training))
  model.optimizer.build(model.trainable_variables)
  shape = [batch, time, *model.frame_shape]
  levels = tf.random.stateless_uniform(shape, [0, 1], 0, 256, tf.int32)
  return model, tf.cast(levels, tf.float32) / 255


def stacks(model):
  """Layers of a model by the name of their stack."""
  found = {}
  for i, network in enumerate(model.networks):
    for part in ("encoder", "fusion", "head"):
      found[f"flow_{i}/{part}"] = getattr(network, f"_{part}")
  if model.cell is not None:
    found["encoder/layers"] = model.encoder._layers
    found["decoder/layers"] = model.decoder._layers
    found["decoder/heads"] = [layer for head in model.decoder._heads for layer in head]
    found["cell/prior_dense"] = model.cell._prior_dense
    for part in ("prior", "posterior"):
      for kind in ("lstms", "heads"):
        found[f"cell/{part}_{kind}"] = getattr(model.cell, f"_{part}_{kind}")
  return found


def carry_over(model, x, file):
  """Writes weights, frames and latents; returns our terms of them."""
  data = {"x": x.numpy()}
  for name, layers in stacks(model).items():
    for i, layer in enumerate(layer for layer in layers if layer.weights):
      for j, weight in enumerate(layer.get_weights()):
        data[f"{name}/{i}/{j}"] = weight
  noise = model.to_noise(x, training=True)
  if model.cell is None:
    terms = model.noise_terms(noise, (0, 1), training=True)
  else:
    filtered = model.filter_noise(noise, (0, 1), training=True)
    terms = filtered.terms
    data["z"] = filtered.latents[0].numpy()
  np.savez(file, **data)
  return [term[0].numpy() for term in terms]


def check(ours, file, name):
  """Compares terms; returns the greatest difference as a fraction of their size."""
  theirs = np.load(file)
  worst = 0.0
  for term, other in zip(ours, (theirs[f"arr_{i}"] for i in range(3))):
    difference = np.max(np.abs(term - other)) / max(np.max(np.abs(term)), 1.0)
    worst = max(worst, float(difference))
  if not worst < 1e-3:
    sys.exit(f"{name}: our terms and PyTorch's differ by {worst:.1e}")
  return worst


def timed(model, clips):
  """Function that runs a step and returns its seconds."""
  step = tf.function(model.train_step)

  def run():
    start = time.perf_counter()
    float(step(clips)["loss"])
    return time.perf_counter() - start

  return run


def main(arguments):
  """Runs the benchmark."""
  del arguments
  tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
  worker = flows_worker("torch", _PEER_ENVS.value, "video_torch_worker.py")
  figures = {"turns": _TURNS.value, "threads": _THREADS.value, "models": {}}
  profiles = {}
  figures["machine"] = f"{platform.processor()}, {os.cpu_count()} cores"
  with tempfile.TemporaryDirectory() as folder:
    for name in MODELS:
      model, clips = make_model(name)
      weights, terms = (os.path.join(folder, f"{part}.npz") for part in ("w", "terms"))
      ours = carry_over(model, clips, weights)
      loaded = worker.ask(task="load", name=name, file=weights)
      worker.ask(task="terms", name=name, output=terms)
      difference = check(ours, terms, name)
      step = timed(model, clips)
      contenders = {"tfafs": step}
      for threads in sorted({1, _THREADS.value}):
        contenders[f"torch, threads={threads}"] = lambda name=name, threads=threads: (
          worker.ask(task=name, calls=1, threads=threads)["seconds"][0]
        )
      seconds = {contender: [] for contender in contenders}
      for turn in range(1 + (1 if _QUICK.value else _TURNS.value)):
        for contender, run in contenders.items():
          value = run()
          if turn:  # The first compiles and warms up.
            seconds[contender].append(value)
      median = {key: statistics.median(value) for key, value in seconds.items()}
      ratio = min(v for k, v in median.items() if k != "tfafs") / median["tfafs"]
      figures["models"][name] = {
        "parameters": loaded["parameters"],
        "difference_of_terms": difference,
        "seconds": seconds,
        "times_as_fast": ratio,
      }
      print(
        f"{name:<10}{loaded['parameters']:>12,} parameters, terms differ by "
        f"{difference:.0e}, {ratio:.2f} times as fast"
      )
      for contender, value in seconds.items():
        print(f"  {contender:<18}{median[contender]:>9.3f} s, best {min(value):.3f} s")
      sys.stdout.flush()
      if _PROFILE.value:
        wall, times = op_profile.profile(step)
        profiles[name] = {"wall": wall, "parts": op_profile.by_part(times, PARTS)}
  if profiles:
    figures["profile"] = profiles
    print(op_profile.table(profiles))
  figures["versions"] = {"tensorflow": tf.__version__, **loaded["versions"]}
  print(f"versions: {figures['versions']}, {_THREADS.value} threads")
  worker.close()
  if _OUTPUT.value:
    Path(_OUTPUT.value).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
  app.run(main)
