#!/usr/bin/env python3
"""Streams written under many configurations of TensorFlow, each decoded under all.

    benchmarks/portability.py VIDEO --model_dir=runs/mine [--frames=6] [--drift_frames=120]

A configuration is threads x oneDNN x instruction set x how the codec runs: eagerly, as a
graph, or with all its networks under XLA (the range coder has no XLA kernels and stays
outside). In a process of its own each writes a stream of the video's first frames, one
group of pictures. Then a fresh process of each decodes all streams and compares: the
symbols with those that were coded, the frames with what the encoder saw, in levels of 8
bits; and also a longer group from the first configuration, for the drift along it.

Tables and integers are made once, as an export does, and given to all.

    --float_index   the same weights without exact integers, to show what they are for
    --quick         two configurations only

Exit code 1 if any symbol differs, or a frame by more than one level. Where oneDNN is off
the instruction set, which is told to oneDNN, changes nothing: 18 of 24 differ.
"""

import argparse
import itertools
import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class Configuration(NamedTuple):
  """How a process computes."""

  threads: int
  onednn: int
  isa: str
  mode: str

  def environment(self):
    """Environment variables of the process."""
    isa = {} if self.isa == "native" else {"ONEDNN_MAX_CPU_ISA": self.isa}
    return {**os.environ, "TF_ENABLE_ONEDNN_OPTS": str(self.onednn), **isa}

  def __str__(self):
    onednn = "oneDNN" if self.onednn else "no oneDNN"
    threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
    return f"{threads}, {onednn}, {self.isa}, {self.mode}"


CONFIGURATIONS = [
  Configuration(*values)
  for values in itertools.product(
    (2, 1), (1, 0), ("native", "SSE41"), ("graph", "eager", "xla")
  )
]
QUICK = (CONFIGURATIONS[0], CONFIGURATIONS[-1])


class Coder:
  """Codes with a trained model in one of the three modes; also tells the symbols."""

  def __init__(self, model, fixed, mode):
    """Takes a trained model and what `fix` made of it."""
    import tensorflow as tf

    from tfafs.models.codec import frame_coder

    self._tf, self._coder = tf, frame_coder.FrameCoder(model)
    for coder, numbers in zip(self._coder.coders.values(), fixed):
      install(coder, numbers)
      if mode == "xla":
        compile_methods(coder.prior, "index", "mean")
    if mode == "xla":
      compile_methods(model.intra, "call", "reconstruct")
      compile_methods(model.inter, "call", "reconstruct")

    def graph(function):
      def at_middle_quality(*arguments):
        with model.rates.at(None):  # Which only codecs of variable rate have.
          return function(*arguments)

      # Shapes are static in these calls: frames have one size.
      return tf.function(at_middle_quality) if mode == "graph" else at_middle_quality

    coder, unpack = self._coder, self._coder.state_format.unpack
    self._encode_intra = graph(lambda x: self._told(coder.encode_intra(x)))
    self._encode_inter = graph(
      lambda x, p: self._told(coder.encode_inter(x, unpack(p)))
    )
    self._decode_intra = graph(lambda x, n: self._told(coder.decode_intra(x, n)))
    self._decode_inter = graph(
      lambda x, p: self._told(coder.decode_inter(x, unpack(p)))
    )

  def _told(self, coded):
    symbols = [s for x in coded.latents.values() for s in (x.symbols, x.hyper_symbols)]
    return coded.strings, symbols, self._coder.state_format.pack(coded.state)

  def encode(self, frames):
    """List of (strings, symbols, reconstruction) of one group of pictures."""
    coded, state = [], None
    for frame in frames:
      frame = self._tf.constant(frame[None] / 255.0, self._tf.float32)
      if state is None:
        strings, symbols, state = self._encode_intra(frame)
      else:
        strings, symbols, state = self._encode_inter(frame, state)
      image = state["reference"].numpy()
      coded.append((strings.numpy().tolist(), _plain(symbols), image))
    return coded

  def decode(self, strings, size):
    """List of (symbols, frame)."""
    decoded, state = [], None
    for frame_strings in strings:
      tensor = self._tf.constant(frame_strings)
      if state is None:
        _, symbols, state = self._decode_intra(tensor, self._tf.constant(size))
      else:
        _, symbols, state = self._decode_inter(tensor, state)
      decoded.append((_plain(symbols), state["reference"].numpy()))
    return decoded


def compile_methods(layer, *names):
  """Puts methods of a layer under XLA."""
  import tensorflow as tf

  for name in names:
    setattr(layer, name, tf.function(getattr(layer, name), jit_compile=True))


def _plain(symbols):
  return [x.numpy().astype("int32") for x in symbols]


def install(coder, numbers):
  """Gives a range coder the tables and integers of `fix`."""
  tables, coder._integers = numbers
  for model, (cdf, offset) in zip(coder.entropy_models, tables):
    model._cdf.assign(cdf)
    model._cdf_offset.assign(offset)


def fix(model):
  """What an export fixes of a model, for each range coder: tables and integers."""
  from tfafs.models.codec import frame_coder

  return [
    (
      [(m.cdf.numpy(), m.cdf_offset.numpy()) for m in coder.entropy_models],
      coder._integers,
    )
    for coder in frame_coder.FrameCoder(model).coders.values()
  ]


def work(folder, index):
  """What the process of a configuration does: encodes, or decodes what there is."""
  job = pickle.loads((folder / "job").read_bytes())
  configuration = job["configurations"][index]
  import tensorflow as tf

  tf.config.threading.set_intra_op_parallelism_threads(configuration.threads)
  tf.config.threading.set_inter_op_parallelism_threads(configuration.threads)
  from tfafs.models import registry

  model = registry.build(job["config"])
  model.set_weights(job["weights"])
  coder = Coder(model, job["fixed"], configuration.mode)
  if job["encode"]:
    coded = coder.encode(job["frames"][: job["num_frames"]])
    (folder / f"stream{index}").write_bytes(pickle.dumps(coded))
    if not index:
      coded = coder.encode(job["frames"])
      (folder / "long").write_bytes(pickle.dumps(coded))
    return
  names = [*(f"stream{i}" for i in range(len(job["configurations"]))), "long"]
  size = job["frames"][0].shape[:2]
  answer = {
    name: judge(coder, pickle.loads((folder / name).read_bytes()), size)
    for name in names
  }
  (folder / f"decoded{index}.json").write_text(json.dumps(answer))


def judge(coder, coded, size):
  """Decodes what `Coder.encode` gave; tells which symbols and frames come out wrong."""
  import numpy as np
  import tensorflow as tf

  row = {"frames_with_other_symbols": 0, "first": None, "drift": []}
  try:
    decoded = coder.decode([strings for strings, _, _ in coded], size)
  except tf.errors.OpError as error:
    return {**row, "error": str(error).splitlines()[0]}
  for t, ((_, there, sent), (here, frame)) in enumerate(zip(coded, decoded)):
    if not all(np.array_equal(a, b) for a, b in zip(there, here)):
      row["frames_with_other_symbols"] += 1
      row["first"] = t if row["first"] is None else row["first"]
    row["drift"].append(int(np.abs(sent.astype(int) - frame.astype(int)).max()))
  return row


def run_all(folder, configurations):
  """Runs the processes of a stage, as many at a time as there are processors."""
  running, failed = [], []
  for index, configuration in enumerate(configurations):
    command = [sys.executable, __file__, "--worker", str(folder), str(index)]
    process = subprocess.Popen(command, env=configuration.environment())
    running.append((configuration, process))
    while len(running) >= (os.cpu_count() or 1) or (
      running and index == len(configurations) - 1
    ):
      configuration, process = running.pop(0)
      if process.wait():
        failed.append(str(configuration))
      print(f"  {configuration}", file=sys.stderr, flush=True)
  if failed:
    sys.exit(f"Processes failed: {failed}")


def measure(model, config, frames, num_frames, configurations):
  """Returns {decoding configuration: {stream: figures}}."""
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    job = {
      "configurations": configurations,
      "config": config,
      "weights": model.get_weights(),
      "fixed": fix(model),
      "frames": frames,
      "num_frames": num_frames,
    }
    for stage in ("encode", "decode"):
      print(f"{stage}:", file=sys.stderr, flush=True)
      (folder / "job").write_bytes(pickle.dumps({**job, "encode": stage == "encode"}))
      run_all(folder, configurations)
    return {
      str(configuration): json.loads((folder / f"decoded{i}.json").read_text())
      for i, configuration in enumerate(configurations)
    }


def summarise(answers):
  """Counts over all pairs: streams, wrong ones, largest drifts."""
  short = [
    row for rows in answers.values() for name, row in rows.items() if name != "long"
  ]
  long = [rows["long"] for rows in answers.values()]

  def wrong(rows):
    return [r for r in rows if r.get("error") or r["frames_with_other_symbols"]]

  def drift(rows):
    return max((max(r["drift"]) for r in rows if r["drift"]), default=None)

  return {
    "pairs": len(short),
    "pairs_with_other_symbols": len(wrong(short)),
    "largest_difference": drift(short),
    "pairs_bit_exact": sum(r["drift"] != [] and max(r["drift"]) == 0 for r in short),
    "long_frames": max(len(r["drift"]) for r in long),
    "long_with_other_symbols": len(wrong(long)),
    "long_largest_difference": drift(long),
  }


def main():
  if sys.argv[1:2] == ["--worker"]:
    work(Path(sys.argv[2]), int(sys.argv[3]))
    return
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("video")
  parser.add_argument("--model_dir", required=True)
  parser.add_argument("--frames", type=int, default=6)
  parser.add_argument("--drift_frames", type=int, default=120)
  parser.add_argument("--precision", default="float32")
  parser.add_argument("--float_index", action="store_true")
  parser.add_argument("--quick", action="store_true")
  parser.add_argument("--output")
  options = parser.parse_args()
  from tfafs.coding import open_video
  from tfafs.models import registry
  from tfafs.training import checkpoints

  trained = checkpoints.load_trained(options.model_dir)
  config = trained.config.copy_and_resolve_references()
  with config.unlocked():
    config.model.precision = options.precision
    config.model.hyper.exact_index = not options.float_index
  model = registry.build(config)
  model.set_weights(trained.get_weights())
  with open_video(options.video) as video:
    frames = list(itertools.islice(video, options.drift_frames))
  configurations = QUICK if options.quick else CONFIGURATIONS
  answers = measure(model, config, frames, options.frames, configurations)
  summary = summarise(answers)
  print(json.dumps(summary, indent=2))
  if options.output:
    text = json.dumps({"summary": summary, "decoded": answers}, indent=1)
    Path(options.output).write_text(text + "\n")
  wrong = summary["pairs_with_other_symbols"] + summary["long_with_other_symbols"]
  if (
    wrong or max(summary["largest_difference"], summary["long_largest_difference"]) > 1
  ):
    sys.exit(1)


if __name__ == "__main__":
  main()
