"""What a density model does when it is trained: export, figures, pictures.

The figures are of the exported SavedModel where it can give them: likelihood or
divergence on draws that training has not seen, the integral of the density over the
plane, and samples. Half of a flow's directions may be numeric; that they fit together
is among the figures.
"""

import io
import json
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf
from matplotlib import figure

from tfafs.datasets import density_2d
from tfafs.evaluation import files
from tfafs.training import reports, run_directory

# Training draws from `config.training.seed`.
FIRST_SEED = 1_000_003
HALF_WIDTH = 8.0
"""Of the square that the fine grid covers."""
PICTURED = 4.0
FARTHEST = 1e6
CHUNK = 20_000


class Evaluation(NamedTuple):
  """Figures of a density model.

  Attributes:
    dataset: Name of the density or energy.
    num_points: Points that likelihood or divergence is a mean over.
    nll: Negative log-likelihood in nats of held-out samples; None for an energy.
    entropy: The least that `nll` can be, where it is known.
    kl: Divergence from the energy's density in nats; None if samples were given.
    standard_error: Of `nll` or `kl`.
    integral: Of the density over the plane.
    num_samples: Samples that were drawn, all finite.
    round_trip: Largest |flow(flow^-1(x)) - x| / (1 + |x|) of 1000 of them.
  """

  dataset: str
  num_points: int
  nll: Optional[float]
  entropy: Optional[float]
  kl: Optional[float]
  standard_error: float
  integral: float
  num_samples: int
  round_trip: float


class Grid(NamedTuple):
  """Density on a grid.

  Attributes:
    integral: Over the plane.
    fine: [n, n], the densities on the square of `HALF_WIDTH`; rows are y, upward.
  """

  integral: float
  fine: np.ndarray


def finish(config, result) -> Evaluation:
  """Exports a trained density, measures it, draws it and prints the table.

  Args:
    config: Config of the run.
    result: The `TrainingResult`.

  Returns:
    The `Evaluation`.
  """
  paths = result.paths
  print(f"Exporting to {paths.saved_model} ...", flush=True)
  result.model.export_density(paths.saved_model)
  print("Measuring and drawing ...", flush=True)
  evaluation = evaluate(config, result.model, paths)
  training = reports.training_figures(result)
  summary = {"training": training, "evaluation": evaluation._asdict()}
  run_directory.write_text(paths.summary, json.dumps(summary, indent=2) + "\n")
  print(table(training, evaluation))
  print(directions(paths), flush=True)
  return evaluation


def evaluate(config, model, paths) -> Evaluation:
  """Measures a model, and draws density and samples into `paths.demo`.

  Args:
    config: Config of the run; `data.eval_points` says on how many points, and how fine
      the grid is.
    model: The trained `DensityModel`.
    paths: Paths of the run; the exported model is there.

  Returns:
    The `Evaluation`.
  """
  loaded = tf.saved_model.load(str(paths.saved_model))
  dataset, count = config.data.dataset, config.data.eval_points
  seed = (config.training.seed + FIRST_SEED, 0)
  points = density_2d.sample(dataset, count, seed)
  log_prob = _in_chunks(lambda x: loaded.log_prob(x)["log_prob"])
  if model.energy:
    terms = _in_chunks(tf.function(model.divergence))(points)
  else:
    terms = -log_prob(points)
  value, error = float(np.mean(terms)), float(np.std(terms) / np.sqrt(count))
  # An inverse takes tens of evaluations, so a coarser grid has to do.
  nodes = max(160, round((1.5 if model.energy else 4.0) * np.sqrt(count)))
  grid = integrate(log_prob, nodes)
  samples = loaded.sample(count, seed)["x"].numpy()
  some = tf.constant(samples[:1000])
  back = model.flow.forward(tf.identity(model.flow.inverse(some)))
  round_trip = tf.reduce_max(tf.abs(back - some) / (1.0 + tf.abs(some)))
  paths.demo.mkdir(exist_ok=True)
  draw_density(grid, dataset, paths.demo / "density.png")
  draw_samples(samples, dataset, paths.demo / "samples.png")
  return Evaluation(
    dataset=dataset,
    num_points=count,
    nll=None if model.energy else value,
    entropy=None if model.energy else density_2d.entropy(dataset),
    kl=value if model.energy else None,
    standard_error=error,
    integral=grid.integral,
    num_samples=int(np.all(np.isfinite(samples), -1).sum()),
    round_trip=float(round_trip),
  )


def integrate(log_prob, nodes: int) -> Grid:
  """Integrates a density over the plane.

  Midpoints on the square of `HALF_WIDTH`, and beyond it, up to `FARTHEST`, midpoints in
  the logarithm of the coordinate: the tails of a flow may be thin and very long.

  Args:
    log_prob: Function from [N, 2] to [N].
    nodes: Of the square, along each axis.

  Returns:
    The `Grid`.
  """
  step = 2.0 * HALF_WIDTH / nodes
  core = -HALF_WIDTH + step * (np.arange(nodes) + 0.5)
  num_tail = max(60, nodes // 8)
  log_step = np.log(FARTHEST / HALF_WIDTH) / num_tail
  tail = HALF_WIDTH * np.exp(log_step * (np.arange(num_tail) + 0.5))
  axis = np.concatenate([-tail[::-1], core, tail])
  weights = np.concatenate(
    [tail[::-1] * log_step, np.full(nodes, step), tail * log_step]
  )
  points = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2).astype(np.float32)
  density = np.exp(log_prob(points).astype(np.float64)).reshape(len(axis), -1)
  integral = float(weights @ density @ weights)
  inner = slice(num_tail, num_tail + nodes)
  return Grid(integral, density[inner, inner])


def draw_density(grid: Grid, dataset: str, path) -> None:
  """Draws the learned density as a PNG, beside the true one where that is known."""
  nodes = len(grid.fine)
  core = HALF_WIDTH * (2.0 * (np.arange(nodes) + 0.5) / nodes - 1.0)
  inside = np.abs(core) <= PICTURED
  pictures = {"learned density": grid.fine[np.ix_(inside, inside)]}
  points = tf.constant(np.stack(np.meshgrid(core[inside], core[inside]), -1))
  truth = density_2d.log_density(dataset, points)
  if truth is not None:
    pictures[f"{dataset}"] = np.exp(truth.numpy())
  _draw(pictures, path)


def draw_samples(samples, dataset: str, path) -> None:
  """Draws a histogram of the model's samples as a PNG, beside one of the data."""
  pictures = {"samples of the model": samples}
  if dataset in density_2d.DENSITIES:
    truth = density_2d.sample(dataset, len(samples), (FIRST_SEED, 1))
    pictures[f"samples of {dataset}"] = truth.numpy()
  edges = np.linspace(-PICTURED, PICTURED, 1 + max(40, round(len(samples) ** 0.45)))
  _draw(
    {
      title: np.histogram2d(points[:, 1], points[:, 0], (edges, edges))[0]
      for title, points in pictures.items()
    },
    path,
  )


def table(training, evaluation: Evaluation) -> str:
  """The printed table.

  Args:
    training: Dict with "steps" and "steps_per_second" (or None).
    evaluation: The `Evaluation`.

  Returns:
    Several lines.
  """
  e = evaluation
  rows = [("trained for, steps", reports.steps_text(training))]
  error = f"+- {e.standard_error:.4f} nats, {e.num_points} points"
  if e.kl is not None:
    rows.append((f"KL(model || {e.dataset})", f"{e.kl:.4f} {error}"))
  else:
    rows.append((f"negative log-likelihood, {e.dataset}", f"{e.nll:.4f} {error}"))
  if e.entropy is not None:
    rows.append(("entropy of the data, the least possible", f"{e.entropy:.4f} nats"))
  rows += [
    ("integral of the density over the plane", f"{e.integral:.5f}"),
    ("samples drawn", str(e.num_samples)),
    ("largest error of a round trip, relative", f"{e.round_trip:.1e}"),
  ]
  return reports.table(rows)


def directions(paths) -> str:
  """Where everything lies and how to use it."""
  rows = [
    ("density (TensorFlow SavedModel)", paths.saved_model),
    ("picture of the density", paths.demo / "density.png"),
    ("picture of samples", paths.demo / "samples.png"),
    ("checkpoints", paths.checkpoints),
    ("curves", paths.tensorboard),
    ("the figures above", paths.summary),
  ]
  return reports.places(
    rows,
    [
      f'density = tf.saved_model.load("{paths.saved_model}")  # in Python',
      'density.log_prob(tf.zeros([1, 2]))["log_prob"]',
      'density.sample(100, seed=[0, 1])["x"]',
      f"tensorboard --logdir={paths.tensorboard}",
    ],
  )


def _in_chunks(function):
  """Applies a function of points in pieces that fit any memory; returns an array."""

  def apply(points):
    parts = [
      function(tf.convert_to_tensor(points[i : i + CHUNK])).numpy()
      for i in range(0, len(points), CHUNK)
    ]
    return np.concatenate(parts)

  return apply


def _draw(pictures, path) -> None:
  """Writes named images, rows upward, side by side as a PNG, on the last one's scale."""
  brightest = np.quantile(list(pictures.values())[-1], 0.999)
  sheet = figure.Figure((4.0 * len(pictures), 4.3), dpi=120)
  axes = np.ravel(sheet.subplots(1, len(pictures), squeeze=False))
  for axis, (title, image) in zip(axes, pictures.items()):
    axis.imshow(
      image,
      origin="lower",
      extent=[-PICTURED, PICTURED] * 2,
      cmap="viridis",
      vmax=brightest,
    )
    axis.set_title(title, fontsize=9)
    axis.tick_params(labelsize=7)
  sheet.tight_layout(pad=0.5)
  content = io.BytesIO()
  sheet.savefig(content, format="png")
  files.write(path, content.getvalue())
