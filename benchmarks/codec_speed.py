#!/usr/bin/env python3
"""Speed of a train step, of encoding and of decoding, beside CompressAI's ssf2020.

    benchmarks/codec_speed.py [--quick] [--threads=2] [--profile] [--output=FILE.json]

All have the same layer sizes, the same input and the same threads, and run in turns,
one at a time, so that whatever else the machine does hits all alike: median and best of
the turns are printed, and how many times as fast as the peer's fastest setting ours are.
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
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

import op_profile
from tfafs import datasets
from tfafs.models import registry
from tfafs.training import optimizers

HERE = Path(__file__).resolve().parent
TASKS = ("encode", "decode", "train")
MODELS = ("stat_ssf_sp", "ssf")
PRECISIONS = ("float32", "mixed_bfloat16")
HEIGHT, WIDTH = 256, 384
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"

_QUICK = flags.DEFINE_bool("quick", False, "Smaller, fewer turns: shows that it runs.")
_THREADS = flags.DEFINE_integer("threads", os.cpu_count(), "Threads of either side.")
_PEER_ENV = flags.DEFINE_string(
  "peer_env", str(HERE.parent / "cache" / "peers"), "The peer's virtual environment."
)
_PROFILE = flags.DEFINE_bool("profile", False, "Also show where our time goes.")
_OUTPUT = flags.DEFINE_string("output", "", "JSON file to write the figures to.")


def log(message):
  print(f"[{time.strftime('%H:%M:%S')}] {message}", file=sys.stderr, flush=True)


def make_peer_env(folder: Path):
  """Makes the peer's virtual environment unless it is there; returns its Python."""
  python, done = folder / "bin" / "python", folder / "complete"
  requirements = HERE / "requirements-peers.txt"
  if done.exists() and done.read_text() == requirements.read_text():
    return python
  log(f"Making the peer's virtual environment in {folder} (some minutes) ...")
  subprocess.run([sys.executable, "-m", "venv", folder], check=True)
  install = [python, "-m", "pip", "install", "-q", "--no-deps", "-r", requirements]
  cpu_build = "import torch; assert torch.version.cuda is None"
  # A CPU build where pip is told of one; else from where PyTorch keeps them.
  for more in ([], ["--extra-index-url", TORCH_INDEX, "--force-reinstall"]):
    if subprocess.run([*install, *more]).returncode == 0 and (
      subprocess.run([python, "-c", cpu_build]).returncode == 0
    ):
      done.write_text(requirements.read_text())
      return python
  sys.exit(f"Cannot install {requirements}: see pip's messages above.")


class PeerWorker:
  """CompressAI's ssf2020 in a process of its own; see ssf2020_worker.py."""

  def __init__(self, python, frames_file, clips_file):
    self._process = subprocess.Popen(
      [python, HERE / "ssf2020_worker.py"],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    loaded = self.ask(task="load", frames=str(frames_file), clips=str(clips_file))
    self.parameters, self.versions = loaded["parameters"], loaded["versions"]

  def ask(self, **command):
    """Sends a command and waits for its answer."""
    self._process.stdin.write(json.dumps(command) + "\n")
    self._process.stdin.flush()
    answer = json.loads(self._process.stdout.readline() or '{"error": "it ended"}')
    if "error" in answer:
      sys.exit(f"ssf2020 failed at {command}: {answer['error']}")
    return answer

  def close(self):
    """Ends the process."""
    self._process.stdin.close()
    self._process.wait()


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
    start = time.perf_counter()
    coded, state = [], {}
    for t, frame in enumerate(self.frames):
      kind = "encode_inter" if t else "encode_intra"
      out = self.signatures[kind](frame=tf.constant(frame), **state)
      state = {"reference": out["reference"]}
      coded.append((out["strings"].numpy(), out["reference"].numpy()))
    seconds = time.perf_counter() - start
    self.coded = coded
    return {"seconds": seconds, "bytes": sum(len(s) for f, _ in coded for s in f)}

  def decode(self):
    """Times decoding it; the frames must be the encoder's, bit for bit."""
    start = time.perf_counter()
    decoded, state = [], {"size": tf.constant(self.frames.shape[1:3])}
    for t, (strings, _) in enumerate(self.coded):
      kind = "decode_inter" if t else "decode_intra"
      out = self.signatures[kind](strings=tf.constant(strings), **state)
      state = {"reference": out["reference"]}
      decoded.append(out["reference"].numpy())
    seconds = time.perf_counter() - start
    for frame, (_, expected) in zip(decoded, self.coded):
      np.testing.assert_array_equal(frame, expected)
    return {"seconds": seconds}

  def train(self):
    """Times a step: the function that Keras' `fit` calls."""
    start = time.perf_counter()
    logs = self._step(self._clips)
    loss = float(logs["loss"])
    return {"seconds": time.perf_counter() - start, "loss": loss}

  def parameters(self):
    """Number of trained parameters, and those of the factorised densities alone."""
    densities = sum(
      weight.shape.num_elements()
      for prior in (
        self.model.intra.prior,
        self.model.inter.motion_prior,
        self.model.inter.residual_prior,
      )
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


def make_input(folder, num_frames, batch_size, crop_size):
  """A group of pictures and a batch of clips, the same for all; also as files."""
  frames = datasets.synthetic_clip(0, num_frames, HEIGHT, WIDTH)
  config = registry.load_config("ssf", "paper").data
  clips = next(iter(datasets.make_dataset(config, batch_size, 3, crop_size))).numpy()
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
      row = rows.setdefault(name, {"seconds": []})
      if turn:
        row["seconds"].append(round(answer["seconds"], 4))
      row.update((k, v) for k, v in answer.items() if k != "seconds")
    log(f"{task}: turn {turn} of {turns}")
  for row in rows.values():
    row["median"], row["best"] = statistics.median(row["seconds"]), min(row["seconds"])
  return {name: rows[name] for name in contenders}


def add_ratios(rows):
  """Adds to each row of ours how many times as fast as the peer at its fastest it is."""
  peers = [row for name, row in rows.items() if name.startswith("ssf2020")]
  for name, row in rows.items():
    if not name.startswith("ssf2020"):
      for figure in ("median", "best"):
        fastest = min(peer[figure] for peer in peers)
        row[f"{figure}_ratio"] = round(fastest / row[figure], 2)


def table(results):
  """Results as a Markdown table."""
  frames = results["frames"]
  lines = [
    "| task | codec | median s | best s | per second | bytes | ratio of medians, bests |",
    "|---|---|---|---|---|---|---|",
  ]
  for task, rows in results["tasks"].items():
    for name, row in rows.items():
      speed = 1 / row["median"] * (1 if task == "train" else frames)
      ratio = ""
      if "median_ratio" in row:
        ratio = f"**{row['median_ratio']:.2f}**, {row['best_ratio']:.2f}"
      lines.append(
        f"| {task} | {name} | {row['median']:.3f} | {row['best']:.3f} | {speed:.2f} "
        f"{'steps' if task == 'train' else 'frames'} | {row.get('bytes', '')} | {ratio} |"
      )
  return "\n".join(lines)


def explain_parameters(parameters):
  """Parameter counts, and why they differ."""
  peer = parameters["ssf2020"]
  lines = []
  for name, count in parameters.items():
    rest = count["total"] - count["densities"]
    lines.append(
      f"{name}: {count['total']:,} parameters, {count['densities']:,} of them in the "
      f"factorised densities, {rest:,} in convolutions "
      f"({rest - peer['total'] + peer['densities']:+,})"
    )
  return "\n".join(
    [
      *lines,
      "CompressAI's densities have four hidden layers of 3 and three quantiles for each",
      "channel, ours two hidden layers and no quantiles, which the tables find without.",
      "stat_ssf_sp has a gain (3 channels more from its motion decoder) and a structured",
      "prior: mean and index networks that read both hyper-latents and then the motion",
      "latent, through two 3x3 layers each.",
    ]
  )


def profile_table(profiles):
  """Profiles of one codec at several precisions, as a Markdown table in ms."""
  columns = [(p, task) for p in profiles for task in TASKS]
  parts = dict.fromkeys(part for p, t in columns for part in profiles[p][t]["parts"])

  def line(title, value):
    cells = " | ".join(f"{1e3 * value(profiles[p][t]):.1f}" for p, t in columns)
    return f"| {title} | {cells} |"

  return "\n".join(
    [
      f"| part | {' | '.join(f'{t}, {p}' for p, t in columns)} |",
      "|---" * (len(columns) + 1) + "|",
      *(line(part, lambda x, part=part: x["parts"].get(part, 0.0)) for part in parts),
      line("sum of ops, side by side or not", lambda x: sum(x["parts"].values())),
      line("wall time under the profiler", lambda x: x["wall"]),
    ]
  )


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


def run(quick, threads, python):
  """Measures all; returns the figures and our codecs."""
  machine = describe_machine()
  num_frames, turns = (2, 2) if quick else (6, 7)
  batch_size, crop_size, steps = (1, 128, 1) if quick else (4, 256, 3)
  with tempfile.TemporaryDirectory() as folder:
    frames, clips, files = make_input(folder, num_frames, batch_size, crop_size)
    peer = PeerWorker(python, *files)
    contenders = {}
    for count, bfloat16 in dict.fromkeys(
      [(threads, False), (1, False), (threads, True)]
    ):
      label = "bfloat16 autocast" if bfloat16 else "float32"
      contenders[f"ssf2020 {label}, {count} threads"] = (
        lambda task, count=count, bfloat16=bfloat16: peer.ask(
          task=task, threads=count, bfloat16=bfloat16
        )
      )
    parameters, codecs = {"ssf2020": peer.parameters}, {}
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
      tasks[task] = measure(contenders, task, steps if task == "train" else turns)
      add_ratios(tasks[task])
    peer.close()
  results = {
    "machine": {**machine, **peer.versions, "load_after": os.getloadavg()[0]},
    "threads": threads,
    "frames": num_frames,
    "frame_size": [HEIGHT, WIDTH],
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
  python = make_peer_env(Path(_PEER_ENV.value).absolute())
  results, codecs = run(_QUICK.value, threads, python)
  size = "{}x{}".format(*results["frame_size"])
  print(json.dumps(results["machine"]))
  print(
    f"\nGroups of {results['frames']} pictures of {size}; train steps on batches of"
  )
  print(f"{results['clips']}: forward, backward, clipping, Adam.\n")
  print(table(results))
  print("\nRatio: how many times as fast as ssf2020 in its fastest setting.\n")
  print(explain_parameters(results["parameters"]))
  if _PROFILE.value:
    name = MODELS[0]
    profiles = {p: codecs[name, p].profile() for p in PRECISIONS}
    results["profile"] = {name: profiles}
    print(f"\nWhere the time of {name} goes, in ms for a P frame or a train step:\n")
    print(profile_table(profiles))
  if _OUTPUT.value:
    write(_OUTPUT.value, results)
    print(f"\nWritten to {_OUTPUT.value}.")


if __name__ == "__main__":
  app.run(main)
