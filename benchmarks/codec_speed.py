#!/usr/bin/env python3
"""Speed of a train step, of encoding and of decoding, beside CompressAI's ssf2020.

    benchmarks/codec_speed.py [--quick] [--threads=2] [--profile] [--output=FILE.json]

All have the same layer sizes, the same input and the same threads, and run in turns,
one at a time, so that whatever else the machine does hits all alike: median and best of
the turns are printed, and how many times as fast as the peer at its fastest ours are.
The peer runs in a virtual environment of its own, which the first run makes.

Coding is the real task: a group of pictures of 8-bit frames to byte strings through the
signatures of the exported SavedModel, range coding included, against the peer's
`compress` and `decompress`. The weights are random; the time that range coding takes
depends on the symbols, so the bytes are shown too.
"""

import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import op_profile
import tensorflow as tf
import worker
from absl import app, flags, logging

from tfafs import datasets
from tfafs.models import registry
from tfafs.training import optimizers

HERE = Path(__file__).resolve().parent
TASKS = ("encode", "decode", "train")
MODELS = ("stat_ssf_sp", "ssf")
PRECISIONS = ("float32", "mixed_bfloat16")
PEER_TYPES = ("float32", "bfloat16")


WHY_PARAMETERS_DIFFER = """\
CompressAI's densities have four hidden layers of 3 and three quantiles for each
channel, ours two hidden layers and no quantiles: the export finds the tables' ends.
stat_ssf_sp has a gain (3 channels more from its motion decoder) and a structured prior:
mean and index networks that read both hyper-latents and then the motion latent, through
two 3x3 layers each."""


class Sizes(NamedTuple):
  """What is measured: a group of pictures, `turns` times; `steps` train steps."""

  num_frames: int
  frame_size: tuple[int, int]  # ssf2020 takes multiples of 128 only.
  turns: int
  batch_size: int
  crop_size: int
  steps: int


FULL = Sizes(6, (256, 384), 5, 4, 256, 3)
SMALL = Sizes(2, (128, 128), 1, 1, 128, 1)

_QUICK = flags.DEFINE_bool("quick", False, "Smaller, fewer turns: shows that it runs.")
_THREADS = flags.DEFINE_integer("threads", os.cpu_count(), "Threads of either side.")
_PEER_ENV = flags.DEFINE_string(
  "peer_env", str(HERE.parent / "cache" / "peers"), "The peer's virtual environment."
)
_PROFILE = flags.DEFINE_bool("profile", False, "Also show where our time goes.")
_OUTPUT = flags.DEFINE_string("output", "", "JSON file to write the figures to.")


def log(message):
  print(f"[{time.strftime('%H:%M:%S')}] {message}", file=sys.stderr, flush=True)


def clock():
  return time.perf_counter(), time.process_time()


def since(start):
  """Seconds since `clock()` was read: of wall time, of all threads' processor time."""
  return {
    "seconds": time.perf_counter() - start[0],
    "cpu": time.process_time() - start[1],
  }


class OurCodec:
  """One of our codecs at one precision, exported, with its input."""

  def __init__(self, name, precision, frames, clips):
    config = registry.load_config(name, "paper")
    # The sizes of CompressAI's layers; the rest are those of paper 001 in both.
    config.model.hyper.kernels, config.model.hyper.strides = (5, 5, 5), (2, 2, 2)
    config.model.scale_space.base_scale = 1.5
    config.model.precision = precision
    self.model = registry.build(config)
    self.model.compile(optimizers.make_optimizer(config.training))
    with tempfile.TemporaryDirectory() as folder:
      path = os.path.join(folder, "saved_model")
      self.model.export_codec(path)
      self._loaded = tf.saved_model.load(path)
    self.signatures = self._loaded.signatures
    self.frames = frames
    self.coded = []
    dataset = tf.data.Dataset.from_tensors(clips).repeat()
    self._clips, self._step = iter(dataset), self.model.make_train_function()

  def encode(self):
    """Times coding a group of pictures, frame by frame as `bin/compress` does."""
    start = clock()
    coded, state = [], {}
    for t, frame in enumerate(self.frames):
      kind = "encode_inter" if t else "encode_intra"
      out = self.signatures[kind](frame=tf.constant(frame), **state)
      state = {name: out[name] for name in out if name not in ("strings", "bits")}
      coded.append((out["strings"].numpy(), out["reference"].numpy()))
    times = since(start)
    self.coded = coded
    return {**times, "bytes": sum(len(s) for f, _ in coded for s in f)}

  def decode(self):
    """Times decoding it; the frames must be the encoder's, bit for bit."""
    start = clock()
    decoded, state = [], {"size": tf.constant(self.frames.shape[1:3])}
    for t, (strings, _) in enumerate(self.coded):
      kind = "decode_inter" if t else "decode_intra"
      state = self.signatures[kind](strings=tf.constant(strings), **state)
      decoded.append(state["reference"].numpy())
    times = since(start)
    for frame, (_, expected) in zip(decoded, self.coded):
      np.testing.assert_array_equal(frame, expected)
    return times

  def train(self):
    """Times a step: the function that Keras' `fit` calls."""
    start = clock()
    logs = self._step(self._clips)
    loss = float(logs["loss"])
    return {**since(start), "loss": loss}

  def parameters(self):
    """Number of trained parameters, and those of the factorised densities alone."""
    densities = sum(
      weight.shape.num_elements()
      for prior in (self.model.intra.prior, *self.model.inter.prior_of.values())
      for weight in prior.hyper_density.trainable_variables
    )
    total = sum(w.shape.num_elements() for w in self.model.trainable_variables)
    return {"total": total, "densities": densities}

  def profile(self):
    """Wall time and time of each part, for an inter frame each way and a train step."""
    reference, (strings, _) = tf.constant(self.coded[0][1]), self.coded[1]
    frame, strings = tf.constant(self.frames[1]), tf.constant(strings)
    calls = {
      "encode": lambda: self.signatures["encode_inter"](
        frame=frame, reference=reference
      ),
      "decode": lambda: self.signatures["decode_inter"](
        strings=strings, reference=reference
      ),
      "train": self.train,
    }
    profiles = {}
    for task, call in calls.items():
      call()
      wall, times = op_profile.profile(call, 1 if task == "train" else 10)
      profiles[task] = {"wall": wall, "parts": op_profile.by_part(times)}
    return profiles


def make_input(folder, sizes):
  """A group of pictures and a batch of clips, the same for all; also as files."""
  frames = datasets.synthetic_clip(0, sizes.num_frames, *sizes.frame_size)
  config = registry.load_config("ssf", "paper").data
  dataset = datasets.make_dataset(config, sizes.batch_size, 3, sizes.crop_size)
  clips = next(iter(dataset)).numpy()
  files = Path(folder) / "frames.npy", Path(folder) / "clips.npy"
  np.save(files[0], frames)
  np.save(files[1], clips)
  return frames, clips, files


def measure(contenders, task, turns):
  """Lets all run a task in turns.

  Args:
    contenders: Dict from name to a function of the task's name.
    task: One of `TASKS`.
    turns: How often each runs it, after once to warm up.

  Returns:
    Dict from name to its figures.
  """
  rows = {}
  for turn in range(turns + 1):
    # Forth and back, so that nobody always follows the same neighbour.
    for name in list(contenders)[:: 1 if turn % 2 else -1]:
      answer = contenders[name](task)
      row = rows.setdefault(name, {"seconds": [], "cpu": []})
      for key, value in answer.items():
        if key not in ("seconds", "cpu"):
          row[key] = value
        elif turn:
          row[key].append(round(value, 4))
    log(f"{task}: turn {turn} of {turns}")
  for row in rows.values():
    row["median"], row["best"] = statistics.median(row["seconds"]), min(row["seconds"])
    row["cpu_median"] = statistics.median(row["cpu"])
  return {name: rows[name] for name in contenders}


def add_ratios(rows):
  """Adds to our rows how many times as fast as the peer at its fastest they are.

  The peer comes in float32, as it is published, with any number of threads, and in
  bfloat16, which its user can ask of PyTorch. `cpu_median` compares processor time.
  """
  theirs = {p: [r for n, r in rows.items() if f"ssf2020 {p}" in n] for p in PEER_TYPES}
  for name, row in rows.items():
    if "ssf2020" not in name:
      row["ratios"] = {
        peer_type: {
          figure: round(
            min(other[figure] for other in theirs[peer_type]) / row[figure], 2
          )
          for figure in ("median", "best", "cpu_median")
        }
        for peer_type in PEER_TYPES
      }


def table(results):
  """Results as a Markdown table."""
  lines = [
    "| task | codec | median s | best s | CPU s | per second | bytes "
    "| ratio to float32: median, best, CPU | to bfloat16 |",
    "|---" * 9 + "|",
  ]
  for task, rows in results["tasks"].items():
    count, unit = (1, "steps") if task == "train" else (results["frames"], "frames")
    for name, row in rows.items():
      ratios = [""] * len(PEER_TYPES)
      if "ratios" in row:
        ratios = [
          "**{median:.2f}**, {best:.2f}, {cpu_median:.2f}".format(**row["ratios"][p])
          for p in PEER_TYPES
        ]
      lines.append(
        f"| {task} | {name} | {row['median']:.3f} | {row['best']:.3f} | "
        f"{row['cpu_median']:.3f} | {count / row['median']:.2f} {unit} | "
        f"{row.get('bytes', '')} | {' | '.join(ratios)} |"
      )
  return "\n".join(lines)


def explain_parameters(parameters):
  """Parameter counts, and why they differ."""
  theirs = parameters["ssf2020"]
  lines = []
  for name, count in parameters.items():
    rest = count["total"] - count["densities"]
    lines.append(
      f"{name}: {count['total']:,} parameters, {count['densities']:,} of them in the "
      f"factorised densities, {rest:,} in convolutions "
      f"({rest - theirs['total'] + theirs['densities']:+,})"
    )
  return "\n".join([*lines, WHY_PARAMETERS_DIFFER])


def describe_machine():
  """What the figures depend on."""
  cpu = platform.processor()
  if os.path.exists("/proc/cpuinfo"):
    info = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((x.split(":")[1].strip() for x in info if "model name" in x), cpu)
  return {
    "cpu": cpu,
    "cores": os.cpu_count(),
    "load_before": os.getloadavg()[0],
    "tensorflow": tf.__version__,
    "python": platform.python_version(),
  }


def run(sizes, threads, python):
  """Measures all; returns the figures and our codecs."""
  machine = describe_machine()
  with tempfile.TemporaryDirectory() as folder:
    frames, clips, files = make_input(folder, sizes)
    peer = worker.Worker(python, "ssf2020_worker.py")
    frames_file, clips_file = map(str, files)
    loaded = peer.ask(task="load", frames=frames_file, clips=clips_file)
    contenders = {}
    for count, bfloat16 in dict.fromkeys(
      [(threads, False), (1, False), (threads, True)]
    ):
      contenders[f"ssf2020 {PEER_TYPES[bfloat16]}, {count} threads"] = (
        lambda task, count=count, bfloat16=bfloat16: peer.ask(
          task=task, threads=count, bfloat16=bfloat16
        )
      )
    parameters, codecs = {"ssf2020": loaded["parameters"]}, {}
    for name in MODELS:
      for precision in PRECISIONS:
        log(f"Building and exporting {name}, {precision} ...")
        codec = codecs[name, precision] = OurCodec(name, precision, frames, clips)
        parameters[name] = codec.parameters()
        contenders[f"{name} {precision}, {threads} threads"] = (
          lambda task, codec=codec: getattr(codec, task)()
        )
    tasks = {}
    for task in TASKS:
      tasks[task] = measure(
        contenders, task, sizes.steps if task == "train" else sizes.turns
      )
      add_ratios(tasks[task])
    peer.close()
  results = {
    "machine": {**machine, **loaded["versions"], "load_after": os.getloadavg()[0]},
    "threads": threads,
    "frames": sizes.num_frames,
    "frame_size": sizes.frame_size,
    "clips": list(clips.shape),
    "parameters": parameters,
    "tasks": tasks,
  }
  return results, codecs


def write(path, results):
  """Writes a JSON file beside `path` and renames it."""
  path = Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  beside = path.with_name(path.name + ".writing")
  beside.write_text(json.dumps(results, indent=2) + "\n")
  beside.replace(path)


def main(_):
  logging.set_verbosity(logging.ERROR)
  threads = _THREADS.value
  if threads < 1:
    raise app.UsageError("--threads must be at least 1.")
  tf.config.threading.set_intra_op_parallelism_threads(threads)
  tf.config.threading.set_inter_op_parallelism_threads(threads)
  # As training runs are.
  tf.config.experimental.enable_op_determinism()
  tf.keras.utils.set_random_seed(0)
  python = worker.make_environment(
    Path(_PEER_ENV.value).absolute(), HERE / "requirements-peers.txt", "--no-deps"
  )
  results, codecs = run(SMALL if _QUICK.value else FULL, threads, python)
  size = "{}x{}".format(*results["frame_size"])
  print(json.dumps(results["machine"]))
  print(
    f"\nGroups of {results['frames']} pictures of {size}; train steps on batches of"
  )
  print(f"{results['clips']}: forward, backward, clipping, Adam.\n")
  print(table(results))
  print(
    "\nRatio: how many times as fast as the fastest setting of ssf2020 in float32, as"
  )
  print(
    "published, and under PyTorch's bfloat16 autocast. CPU s: time of all threads.\n"
  )
  print(explain_parameters(results["parameters"]))
  if _PROFILE.value:
    name = MODELS[0]
    profiles = {p: codecs[name, p].profile() for p in PRECISIONS}
    results["profile"] = {name: profiles}
    print(f"\nWhere the time of {name} goes, in ms for a P frame or a train step:\n")
    columns = {
      f"{task}, {precision}": profile
      for precision, tasks in profiles.items()
      for task, profile in tasks.items()
    }
    print(op_profile.table(columns))
  if _OUTPUT.value:
    write(_OUTPUT.value, results)
    print(f"\nWritten to {_OUTPUT.value}.")


if __name__ == "__main__":
  app.run(main)
