"""Where a TensorFlow call spends its time: TensorFlow's own profiler, summed by part."""

import collections
import glob
import os
import re
import tempfile
import time

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

# Events of the executor are called "op name:op type"; these types only call others.
_OP = re.compile(r"^(?P<name>[^:#]+):(?P<type>_?[A-Z]\w+)$")
_CALLS = re.compile(r"(PartitionedCall|While|If|Case|IteratorGetNext)$")

# The first pattern found in "op name:op type" says which part of a codec an op is of.
CODEC_PARTS = (
  (
    "optimizer, gradient norm",
    r":Resource(Apply|Scatter)|[Aa]dam|clip_by_global|global_norm",
  ),
  ("range coding", r"Entropy|RangeCod|entropy_model|_coder/"),
  ("priors: hyper-analysis", r"prior/analysis/"),
  ("priors: mean network", r"(^|/)mean/"),
  ("priors: index network", r"(^|/)index/"),
  ("priors: rates, quantisation", r"prior/|[Nn]oisy|deep_factorized|stateless_"),
  ("analysis of frame, motion, residual", r"_analysis/|intra/analysis/"),
  ("synthesis of motion", r"motion_synthesis/"),
  ("features of the reference (TP+)", r"reference_condition/"),
  ("shift and scale networks (TAT, STAT)", r"transform/(down|up|head)/"),
  ("synthesis of frame, residual", r"(^|/|_)synthesis/"),
  ("scale-space volume", r"transform/(depthwise|truediv|AvgPool|resize|concat|ones)"),
  ("scale-space warp, gain", r"transform/"),
)


def profile(call, repeats: int = 3):
  """Profiles a call.

  Args:
    call: Function of no arguments, already warm.
    repeats: How often it is called.

  Returns:
    Seconds of wall time per call and a dict from "op name:op type" to seconds per call.
    Ops that run side by side may take more together than the wall time.
  """
  with tempfile.TemporaryDirectory() as folder:
    tf.profiler.experimental.start(folder)
    start = time.perf_counter()
    for _ in range(repeats):
      call()
    wall = (time.perf_counter() - start) / repeats
    tf.profiler.experimental.stop()
    times = collections.Counter()
    for file in glob.glob(os.path.join(folder, "**", "*.xplane.pb"), recursive=True):
      space = xplane_pb2.XSpace()
      with open(file, "rb") as opened:
        space.ParseFromString(opened.read())
      _add_ops(space, times)
  return wall, {name: seconds / repeats for name, seconds in times.items()}


def _add_ops(space, times):
  for plane in space.planes:
    names = {number: entry.name for number, entry in plane.event_metadata.items()}
    for line in plane.lines:
      for event in line.events:
        match = _OP.match(names[event.metadata_id])
        if match and not _CALLS.search(match["type"]):
          times[match[0]] += event.duration_ps * 1e-12


def by_part(times, parts=CODEC_PARTS):
  """Sums op times by part; what no pattern knows is "other"."""
  sums = collections.Counter()
  for name, seconds in times.items():
    part = next((p for p, pattern in parts if re.search(pattern, name)), "other")
    sums[part] += seconds
  return dict(sums.most_common())


def table(profiles):
  """Markdown table in milliseconds.

  Args:
    profiles: Dict from title of a column to {"wall": seconds, "parts": as `by_part`}.
  """
  parts = dict.fromkeys(part for p in profiles.values() for part in p["parts"])
  rows = [(part, lambda p, part=part: p["parts"].get(part, 0.0)) for part in parts]
  rows.append(("sum of ops, some side by side", lambda p: sum(p["parts"].values())))
  rows.append(("wall time under the profiler", lambda p: p["wall"]))
  lines = [f"| part | {' | '.join(profiles)} |", "|---" * (len(profiles) + 1) + "|"]
  for title, value in rows:
    cells = " | ".join(f"{1e3 * value(p):.1f}" for p in profiles.values())
    lines.append(f"| {title} | {cells} |")
  return "\n".join(lines)
