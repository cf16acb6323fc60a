"""The command `bin/sample`: goes on with videos by an exported density."""

import itertools
import pathlib

import numpy as np
import tensorflow as tf

from tfafs.coding import cli
from tfafs.datasets import clips, sequences
from tfafs.evaluation import strips
from tfafs.layers import dequantization
from tfafs.training import run_directory, video_report


def run(
  model_dir,
  output,
  video=None,
  count: int = 6,
  num_context=None,
  num_frames: int = 15,
  temperature: float = 1.0,
  seed: int = 0,
) -> None:
  """Draws what comes after a few frames and writes it.

  Args:
    model_dir: Directory of a run of `bin/train`.
    output: File to write: .png shows time from left to right, .gif and .mp4 move.
    video: Video file or folder whose first frames are the context of all samples; by
      default, each sample goes on with another test clip of the run's data.
    count: Samples.
    num_context: Frames given; `video_report.context_frames` by default.
    num_frames: Frames drawn.
    temperature: Factor of the deviations from the mean of every draw.
    seed: Of the draws and of the test clips.
  """
  for name, value in (("model_dir", model_dir), ("output", output)):
    if not value:
      cli.fail(f"--{name} is missing; --help shows the flags")
  if pathlib.Path(output).suffix.lower() not in strips.SUFFIXES:
    cli.fail(
      f"--output={output}: the ending must be one of {', '.join(strips.SUFFIXES)}"
    )
  if temperature < 0:
    cli.fail(f"--temperature={temperature} must not be negative")
  paths = run_directory.run_paths(model_dir)
  config = video_report.load_config(model_dir)
  if not paths.saved_model.exists():
    cli.fail(f"{paths.saved_model} is missing: let bin/train finish this run")
  loaded = tf.saved_model.load(str(paths.saved_model))
  burn_in = int(loaded.burn_in)
  if num_context is None:
    num_context = video_report.context_frames(burn_in)
  if num_context < burn_in:
    cli.fail(
      f"--context={num_context}: {config.model.name} goes on from {burn_in} frames or "
      "more"
    )
  try:
    context = _context(config.data, video, count, num_context, seed)
  except ValueError as error:
    cli.fail(f"--context={num_context}: {error}")
  kind = config.model.dequantization
  x = loaded.dequantize(context, [seed + clips.EVALUATION_SEED, 0])["x"]
  drawn = loaded.sample(x, num_frames, float(temperature), [seed, 1])["x"]
  given = dequantization.to_levels(context, "none")
  whole = np.concatenate([given, dequantization.to_levels(drawn, kind)], 1)
  strips.write(output, whole, num_context)
  print(output)


def _context(data, video, count, num_context, seed):
  """float32 [count, num_context, size, size, channels]."""
  if not video:
    seed += clips.EVALUATION_SEED
    frames = list(clips.evaluation_dataset(data, num_context, count, "test", seed))
    return np.stack(list(itertools.islice(itertools.cycle(frames), count)))
  frames = sequences.first_frames(video, num_context, data)
  return np.repeat(np.stack(frames)[None] / np.float32(255), count, 0)
