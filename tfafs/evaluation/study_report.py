"""A study of several codecs as one page: curves, BD-rates, sizes, times.

Counterpart of Figures 3, 5 and 6 of paper 001. `write` makes, in its folder,

- `study.json`: everything but the single frames; `study.csv`: a row for each file;
- `rd.png`: the R-D curves of the mean of all clips; `index.html`: the page.
"""

import os
from typing import NamedTuple, Optional

from tfafs.evaluation import (
  bd_rate,
  classical,
  comparisons,
  complexity,
  files,
  plots,
  rd_curves,
  report,
)


class TrainedModel(NamedTuple):
  """What a codec is and what its training took."""

  name: str
  complexity: complexity.Complexity
  seed: int
  steps: list[int]
  """Of each training, in the order of `betas`; each but the first goes on from the
  weights of the one before."""
  betas: list
  steps_per_second: Optional[float]
  """Of the first training."""


class Study(NamedTuple):
  """All results of a study."""

  about: dict
  """Command line, date, versions, machine and settings."""
  models: list[TrainedModel]
  anchor: str
  """The codec that the others are compared with, beside the baselines."""
  results: list[rd_curves.ClipResult]
  curves: list[rd_curves.Curve]
  comparisons: list[comparisons.CurveComparison]


class ClipPlot(NamedTuple):
  """The curves of one clip."""

  about: rd_curves.ClipResult
  plot: str


def make_study(about, models, anchor, results) -> Study:
  """Draws the curves and compares them.

  Args:
    about: dict, see `Study`.
    models: a `TrainedModel` for each codec.
    anchor: name of the codec that the others are compared with.
    results: a `rd_curves.ClipResult` for each codec, setting and clip.

  Returns:
    A `Study`.
  """
  curves = rd_curves.clip_curves(results)
  if len({result.clip for result in results}) > 1:
    curves = rd_curves.mean_curves(results) + curves
  anchors = {curve.clip: curve for curve in curves if curve.codec == anchor}
  compared = [
    comparisons.compare(curve, anchors[curve.clip], metric)
    for curve in curves
    if curve.clip in anchors and report.is_model(curve.codec) and curve.codec != anchor
    for metric in comparisons.shared_metrics(curve, anchors[curve.clip])
  ]
  compared += [
    item for item in comparisons.compare_all(curves) if report.is_model(item.codec)
  ]
  return Study(about, list(models), anchor, list(results), curves, compared)


def write(study: Study, folder: str) -> None:
  """Writes the files of a study.

  Args:
    study: all results.
    folder: made if it does not exist.
  """
  os.makedirs(folder, exist_ok=True)
  plot = plots.rd_plot(_curves_of(study, study.curves[0].clip))
  frameless = [result._replace(frames=[]) for result in study.results]
  content = files.to_json(study._replace(results=frameless))
  files.write(os.path.join(folder, "study.json"), content)
  files.write(os.path.join(folder, "study.csv"), files.to_csv(study.results))
  files.write(os.path.join(folder, "rd.png"), plot)
  files.write(os.path.join(folder, "index.html"), html(study))


def html(study: Study) -> str:
  """The page, which needs no other file."""
  title = study.curves[0].clip
  clips = {}
  for result in study.results:
    clips.setdefault(result.clip, result)
  return report.render(
    "study.html",
    study=study,
    title=title,
    rd_plot=report.embed(plots.rd_plot(_curves_of(study, title))),
    curves=_curves_of(study, title),
    bd_rates=report.bd_rate_table([c for c in study.comparisons if c.clip == title]),
    clip_bd_rates=report.bd_rate_table(
      [c for c in study.comparisons if c.clip != title]
    ),
    clips=[
      ClipPlot(about, report.embed(plots.rd_plot(_curves_of(study, name))))
      for name, about in clips.items()
      if len(clips) > 1
    ],
    milliseconds=_milliseconds(study),
    has_ms_ssim=all(result.ms_ssim is not None for result in study.results),
    mismatched=sum(result.mismatched_frames or 0 for result in study.results),
    num_frames=sum(r.num_frames for r in study.results if report.is_model(r.codec)),
    min_points=bd_rate.MIN_POINTS,
  )


def text(study: Study) -> str:
  """The points and the BD-rates as lines of text."""
  title = study.curves[0].clip
  lines = [f"{'codec':<22}{'setting':<16}{'bpp':>9}{'PSNR':>8}"]
  for curve in _curves_of(study, title):
    for point in curve.points:
      label = plots.label(curve.codec)
      lines.append(f"{label:<22}{point.setting:<16}{point.bpp:9.4f}{point.psnr:8.2f}")
  lines.append("")
  for item in study.comparisons:
    value = item.bd_rate.value
    figure = f"{value:+.1f} %" if value is not None else f"- ({item.bd_rate.reason})"
    lines.append(
      f"BD-rate of {item.codec} against {plots.label(item.anchor)}, "
      f"{report.METRIC_LABELS[item.metric]}, {item.clip}: {figure}"
    )
  return "\n".join(lines)


def _curves_of(study, clip):
  return [curve for curve in study.curves if curve.clip == clip]


def _milliseconds(study) -> dict[str, dict[str, tuple[float, float]]]:
  """By codec and clip: milliseconds per frame of encoding and decoding, fastest run."""
  table: dict[str, dict[str, tuple[float, float]]] = {}
  for result in study.results:
    if result.codec in classical.ENCODERS:
      continue
    row = table.setdefault(result.codec, {})
    now = (1e3 / result.encode_fps, 1e3 / result.decode_fps)
    best = row.get(result.clip, now)
    row[result.clip] = (min(now[0], best[0]), min(now[1], best[1]))
  return table
