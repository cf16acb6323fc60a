"""Examples per second of the input pipelines alone, without a model.

  python benchmarks/input_speed.py [--path=FOLDER]

Prints the speed of the synthetic clips and, with --path, of decoding videos, of making
the cache and of reading examples out of it.
"""

import itertools
import os
import tempfile
import time

from absl import app, flags

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import ml_collections

from tfafs.coding.video_reader import open_video, parse_size
from tfafs.datasets import make_dataset
from tfafs.datasets.video import find_videos
from tfafs.models import registry

_PATH = flags.DEFINE_string("path", "", "Videos: a file, a folder or a glob pattern.")
_RAW_SIZE = flags.DEFINE_string("raw_size", "", "WIDTHxHEIGHT of raw .yuv files.")
_CACHE_DIR = flags.DEFINE_string("cache_dir", "", "Cache to use; empty: a new one.")
_DOWNSCALE = flags.DEFINE_integer("downscale", 2, "Reduction of the videos, by area.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Examples of a batch.")
_NUM_FRAMES = flags.DEFINE_integer("num_frames", 3, "Frames of an example.")
_CROP_SIZE = flags.DEFINE_integer("crop_size", 128, "Rows and columns of an example.")
_SECONDS = flags.DEFINE_float("seconds", 5.0, "Time to measure each pipeline for.")


def measure(dataset, batch_size: int, seconds: float):
  """Returns examples per second of wall time and CPU seconds per example."""
  batches = iter(dataset)
  for _ in range(3):  # Fill the prefetch buffer.
    next(batches)
  start, start_cpu, count = time.perf_counter(), time.process_time(), 0
  while time.perf_counter() - start < seconds:
    next(batches)
    count += batch_size
  wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
  return count / wall, cpu / count


def decode_speed(files, raw_size, seconds: float):
  """Returns frames per second of decoding to RGB and CPU seconds per frame."""
  start, start_cpu, count = time.perf_counter(), time.process_time(), 0
  for file in itertools.cycle(files):
    with open_video(
      file, raw_size if file.suffix.lower() == ".yuv" else None
    ) as reader:
      for _ in reader:
        count += 1
        wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        if wall > seconds:
          return count / wall, cpu / count


def main(_):
  shape = (_BATCH_SIZE.value, _NUM_FRAMES.value, _CROP_SIZE.value)
  print("examples of {1}x{2}x{2}, batches of {0}".format(*shape))
  config = ml_collections.ConfigDict({"dataset": "synthetic"})
  speed, cpu = measure(make_dataset(config, *shape), shape[0], _SECONDS.value)
  print(f"synthetic: {speed:9.1f} examples/s, {1e3 * cpu:6.2f} ms of CPU each")
  if not _PATH.value:
    return
  raw_size = parse_size(_RAW_SIZE.value)
  files = find_videos(_PATH.value, raw_size)
  speed, cpu = decode_speed(files, raw_size, _SECONDS.value)
  print(f"decoding:  {speed:9.1f} frames/s,   {1e3 * cpu:6.2f} ms of CPU each")
  with tempfile.TemporaryDirectory() as folder:
    config = registry.load_config("stat_ssf_sp").data
    config.update(
      dataset="video",
      path=_PATH.value,
      raw_size=_RAW_SIZE.value,
      frame_interval=3,
      pan=6,
      downscale=_DOWNSCALE.value,
      cache_dir=_CACHE_DIR.value or folder,
    )
    start = time.perf_counter()
    dataset = make_dataset(config, *shape)
    print(f"cache:     {time.perf_counter() - start:9.1f} s to make or open")
    speed, cpu = measure(dataset, shape[0], _SECONDS.value)
  print(f"video:     {speed:9.1f} examples/s, {1e3 * cpu:6.2f} ms of CPU each")


if __name__ == "__main__":
  app.run(main)
