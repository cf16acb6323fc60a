"""Pictures of a density of video, as PNG files in memory (figures of paper 000)."""

from typing import Optional

import numpy as np
from matplotlib import figure, ticker

from tfafs.evaluation import plots

LABELS = {
  "frame": "$x_t$",
  "shift": "shift",
  "log_scale": "scale",
  "shift_2": "shift, level 2",
  "log_scale_2": "scale, level 2",
  "prediction": "prediction",
  "latents": "latents $z_t$",
  "noise": "noise $y_t$",
  "mean": "mean of $p(y_t|z_t)$",
  "log_std": "deviation of $p(y_t|z_t)$",
}


def rows(pictures: dict, columns: int = 10, title: str = "") -> bytes:
  """Frames over time, one row for each part of the model (Figures 6, 11 and 12).

  Each row has a grey scale of its own, from its 1st to its 99th percentile, as in the
  paper; scales are drawn by their logarithm.

  Args:
    pictures: Dict from a name of `LABELS` to [time, height, width, 1 or 3].
    columns: At most so many frames, the last.
    title: Above the picture.

  Returns:
    A PNG file.
  """
  count = min(columns, len(next(iter(pictures.values()))))
  width, height = 1.1 * count + 1.1, 1.12 * len(pictures) + 0.3
  fig = figure.Figure((width, height))
  top = 1 - (0.28 if title else 0.03) / height
  fig.subplots_adjust(1.08 / width, 0.03 / height, 1 - 0.03 / width, top, 0.04, 0.04)
  axes = fig.subplots(len(pictures), count, squeeze=False)
  for row, (name, frames) in zip(axes, pictures.items()):
    frames = np.asarray(frames)[-count:]
    low, high = (0, 1) if name == "frame" else np.quantile(frames, (0.01, 0.99))
    grey = np.clip((frames - low) / max(high - low, 1e-12), 0, 1)
    for axis, image in zip(row, grey):
      image = image[..., 0] if image.shape[-1] == 1 else image
      axis.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
      axis.set_xticks([])
      axis.set_yticks([])
    label = LABELS.get(name, name).replace(" of", "\nof").replace(", ", ",\n")
    row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
  if title:
    fig.suptitle(title, fontsize=9, y=0.995)
  return plots.png(fig)


def pixel_trace(pictures: dict, place=None, title: str = "") -> bytes:
  """One pixel over time: its value with shift and scale, and the noise (Figure 1).

  Args:
    pictures: As `rows` takes them, with frame, shift, log_scale and noise; with mean and
      log_std of the noise where the base is no white noise.
    place: (row, column); by default where the value varies most.
    title: Above the plot.

  Returns:
    A PNG file.
  """
  values = {name: np.asarray(value)[..., 0] for name, value in pictures.items()}
  frame = values["frame"]
  if place is None:
    place = np.unravel_index(np.argmax(frame.std(0)), frame.shape[1:])
  trace = {name: value[:, place[0], place[1]] for name, value in values.items()}
  time = np.arange(1, len(frame) + 1)
  fig = figure.Figure((6.4, 4.6), layout="constrained")
  above, below = fig.subplots(2, 1, sharex=True)
  scale = np.exp(trace["log_scale"])
  above.fill_between(
    time, trace["shift"] - scale, trace["shift"] + scale, color="#4a6fa5", alpha=0.25
  )
  above.plot(time, trace["shift"], "--", color="#4a6fa5", label="shift $\\pm$ scale")
  above.plot(time, trace["frame"], color="#222222", label="$x_t$")
  above.set_ylabel(f"pixel {int(place[0])}, {int(place[1])}")
  mean = trace.get("mean", np.zeros(len(time)))
  deviation = np.exp(trace.get("log_std", np.zeros(len(time))))
  below.fill_between(
    time, mean - deviation, mean + deviation, color="#c0392b", alpha=0.2
  )
  below.plot(
    time, mean, "--", color="#c0392b", label="mean $\\pm$ deviation of the base"
  )
  below.plot(time, trace["noise"], color="#222222", label="$y_t$")
  below.set_ylabel("noise")
  below.set_xlabel("frame after the burn-in")
  below.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
  for axes in (above, below):
    plots.frame(axes)
    axes.legend(frameon=False, fontsize=8)
  if title:
    fig.suptitle(title, fontsize=10)
  return plots.png(fig)


def histograms(train, test, title: str = "") -> bytes:
  """Histograms of the clips' nats per dimension, training beside test (Figure 8).

  Args:
    train: Values of training clips.
    test: Values of test clips.
    title: Above the plot.

  Returns:
    A PNG file.
  """
  edges = np.histogram_bin_edges(np.concatenate([train, test]), 50)
  fig = figure.Figure((6.4, 3.2), layout="constrained")
  axes = fig.subplots()
  for values, label, color in ((train, "train", "#4a6fa5"), (test, "test", "#c0392b")):
    label = f"{label}, mean {np.mean(values):.3f}"
    axes.hist(values, edges, density=True, alpha=0.55, color=color, label=label)
  axes.set_xlabel("nats per dimension")
  axes.set_ylabel("density")
  return _finished(fig, axes, title)


def correlation_curve(
  curve: dict, data_correlation: Optional[float] = None, title: str = ""
) -> bytes:
  """Temporal correlation of the noise during training (Figure 5b).

  Args:
    curve: Dict from step to correlation.
    data_correlation: That of the data, a line to compare with.
    title: Above the plot.

  Returns:
    A PNG file.
  """
  fig = figure.Figure((6.4, 3.2), layout="constrained")
  axes = fig.subplots()
  steps = sorted(curve)
  axes.plot(steps, [curve[step] for step in steps], color="#c0392b", label="noise")
  if data_correlation is not None:
    axes.axhline(data_correlation, color="#222222", linestyle="--", label="data")
  axes.set_xlabel("step")
  axes.set_ylabel("correlation of successive frames")
  return _finished(fig, axes, title)


def _finished(fig, axes, title) -> bytes:
  plots.frame(axes)
  axes.legend(frameon=False, fontsize=8)
  if title:
    fig.suptitle(title, fontsize=10)
  return plots.png(fig)
