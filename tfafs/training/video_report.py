"""Figures and pictures of a trained density of video: of a run, and of several."""

import json
import pathlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfafs.coding import cli
from tfafs.datasets import clips
from tfafs.evaluation import files, strips, video_density, video_plots
from tfafs.layers import dequantization
from tfafs.training import checkpoints, curves, errors, run_directory

SAMPLES = 6
DRAWN_FRAMES = 15
TEMPERATURE = 0.7


class VideoEvaluation(NamedTuple):
  """What a model is worth.

  Attributes:
    test: `VideoFigures` of clips that training has not seen.
    train: The same of training clips.
  """

  test: video_density.VideoFigures
  train: video_density.VideoFigures


def evaluate(config, model, count=None, num_samples: int = 1) -> VideoEvaluation:
  """Measures a model on test and training clips of its data.

  Args:
    config: Config of the run.
    model: The trained `ClipDensity`.
    count: Clips of each; `config.data.eval_clips` by default.
    num_samples: Paths of latents for each.
  """
  data, seed = config.data, clips.EVALUATION_SEED
  figures = [
    video_density.measure(
      model,
      clips.evaluation_dataset(
        data, data.num_frames, count or data.eval_clips, split, seed
      ),
      seed,
      num_samples,
    )
    for split in ("test", "train")
  ]
  return VideoEvaluation(*figures)


def draw(config, model, evaluation: VideoEvaluation, folder, curve=None) -> dict:
  """Draws what the paper draws.

  Args:
    config: Config of the run.
    model: The trained `ClipDensity`.
    evaluation: Its figures.
    folder: Where to write; made if it is not there.
    curve: Dict from step to the noise's correlation during training, or None.

  Returns:
    Dict from what each file shows to its path.
  """
  folder.mkdir(parents=True, exist_ok=True)
  seed = clips.EVALUATION_SEED
  kind = config.model.dequantization
  name = config.model.name
  drawn = {}

  def put(label, file, content):
    files.write(folder / file, content)
    drawn[label] = folder / file

  data = list(
    clips.evaluation_dataset(config.data, config.data.num_frames, SAMPLES, "test", seed)
  )
  x = dequantization.dequantize(tf.stack(data), kind, (seed, 0))
  parts = {key: value[0].numpy() for key, value in model.pictures(x[:1]).items()}
  put("frames and their parts", "frames.png", video_plots.rows(parts, title=name))
  if "shift" in parts:
    content = video_plots.pixel_trace(parts, title=name)
    put("one pixel over time", "pixel.png", content)
  content = video_plots.histograms(
    evaluation.train.per_clip,
    evaluation.test.per_clip,
    f"{name}, {config.data.dataset}",
  )
  put("likelihoods, train and test", "histogram.png", content)
  if curve and model.flow is not None:
    content = video_plots.correlation_curve(
      curve, evaluation.test.data_correlation, name
    )
    put("correlation during training", "correlation.png", content)
  given = x[:, : context_frames(model.burn_in)]
  context = given.shape[1]  # Clips may be shorter than that.
  more = model.sample(given, DRAWN_FRAMES, (seed, 1), TEMPERATURE)
  given = dequantization.to_levels(tf.stack(data)[:, :context], "none")
  whole = np.concatenate([given, dequantization.to_levels(more, kind)], 1)
  for suffix in (".png", ".gif"):
    path = folder / f"samples{suffix}"
    strips.write(path, whole, context)
    label = f"samples after {context} frames, temperature {TEMPERATURE}, {suffix[1:]}"
    drawn[label] = path
  return drawn


def context_frames(burn_in: int) -> int:
  """Frames that samples go on from: 5, or more where the burn-in wants it, as paper 000."""
  return max(5, burn_in)


def rows(model, evaluation: VideoEvaluation) -> list:
  """Pairs of name and text for a table of a model's figures."""
  test, train = evaluation
  bound = "at most " if test.is_bound else ""
  error = "" if test.standard_error is None else f" +- {test.standard_error:.4f}"
  noise = f"{test.dequantization} dequantisation"
  result = [
    (
      "negative log-likelihood, test",
      f"{bound}{test.nats_per_dimension:.4f} nats per dimension{error}, "
      f"{test.num_clips} clips",
    ),
    ("the same in bits", f"{bound}{test.bits_per_dimension:.4f} bits per dimension"),
    (
      "of a frame, of a sequence",
      f"{bound}{test.nats_per_frame:.1f}, {test.nats_per_sequence:.1f} nats of densities "
      f"on [0, 1], {test.scored_frames} frames",
    ),
    ("of training clips", f"{bound}{train.nats_per_dimension:.4f} nats per dimension"),
    (
      "least that is possible",
      f"{dequantization.FLOORS[test.dequantization]:.4f}, {noise}",
    ),
  ]
  if test.importance_weighted is not None:
    text = f"at most {test.importance_weighted:.4f} nats per dimension, all frames"
    result.append((f"importance weighted, {test.num_samples} samples", text))
  if test.is_bound:
    result.append(("divergence of the posterior", f"{test.kl:.1f} nats per frame"))
  correlations = [("successive frames", "data")]
  if model.flow is not None:
    correlations.append(("the noise", "noise"))
  for what, name in correlations:
    value = getattr(test, f"{name}_correlation")
    magnitude = getattr(test, f"{name}_correlation_magnitude")
    result.append((f"correlation of {what}", f"{value:.4f}, magnitude {magnitude:.4f}"))
  return result


def load_config(model_dir):
  """Config of a run of a density of video, for a command: it ends where there is none."""
  try:
    config = run_directory.load_config(run_directory.run_paths(model_dir))
  except errors.RunError as error:
    cli.fail(str(error))
  if config is None or "image_size" not in config.data:
    cli.fail(f"{model_dir} holds no run of a density of video: give that of bin/train")
  return config


def run(model_dirs, output_dir, count=None, num_samples: int = 1) -> None:
  """The command `bin/evaluate_video`: measures runs, draws, and writes a table.

  Args:
    model_dirs: Directories of runs of `bin/train`.
    output_dir: Folder for `evaluation.json`, written anew after each run, and a folder
      of pictures for each, of the name of its directory.
    count: Clips of each split; by default as the run's config says.
    num_samples: Paths of latents for each clip.
  """
  for name, value in (("model_dir", model_dirs), ("output_dir", output_dir)):
    if not value:
      cli.fail(f"--{name} is missing; --help shows the flags")
  folders = {}
  for model_dir in model_dirs:
    name = pathlib.Path(model_dir).resolve().name
    if name in folders:
      cli.fail(
        f"--model_dir={folders[name]} and --model_dir={model_dir} would write to one "
        f"folder, {name}: measure them with an --output_dir each"
      )
    folders[name] = model_dir
    load_config(model_dir)
  try:
    pathlib.Path(output_dir).mkdir(parents=True, exist_ok=True)
  except OSError as error:
    cli.fail(f"--output_dir={output_dir}: {error.strerror}")
  results = {}
  for model_dir in model_dirs:
    try:
      model = checkpoints.load_trained(model_dir)
    except errors.RunError as error:
      cli.fail(str(error))
    paths = run_directory.run_paths(model_dir)
    config = model.config
    evaluation = evaluate(config, model, count, num_samples)
    folder = pathlib.Path(output_dir) / paths.model_dir.resolve().name
    curve = curves.read_scalars(paths.tensorboard, "train/noise_correlation")
    draw(config, model, evaluation, folder, curve)
    results[str(model_dir)] = {
      "model": config.model.name,
      "dataset": config.data.dataset,
      "parameters": sum(int(tf.size(v)) for v in model.trainable_variables),
      **{split: figures._asdict() for split, figures in evaluation._asdict().items()},
    }
    # After each: what has been measured is not lost if the next one fails.
    text = json.dumps(results, indent=1) + "\n"
    files.write(pathlib.Path(output_dir) / "evaluation.json", text)
    print(f"\n{model_dir}: {config.model.name} on {config.data.dataset}")
    for name, text in rows(model, evaluation):
      print(f"  {name:<36}{text}")
    print(f"  {'pictures':<36}{folder}", flush=True)
