"""An evaluation as text for the terminal and as one self-contained HTML page."""

import base64
import math
import pathlib
from collections.abc import Sequence
from typing import NamedTuple, Optional

import jinja2

from tfafs.evaluation import bd_rate, classical, comparisons, plots, rd_curves, samples

METRIC_LABELS = {"psnr": "PSNR", "ms_ssim": "MS-SSIM"}


class Evaluation(NamedTuple):
  """All results of a run."""

  about: dict
  """Command line, date, versions, machine and settings."""
  results: list[rd_curves.ClipResult]
  curves: list[rd_curves.Curve]
  """For each codec: one for each clip and, with several clips, first of their mean."""
  comparisons: list[comparisons.CurveComparison]
  conversion_psnr: dict[str, float]
  """For each clip: dB left by the conversion to Y'CbCr 4:2:0 and back alone."""


class Pictures(NamedTuple):
  """Sample frames of a run."""

  originals: dict[str, samples.Sample]
  """By clip."""
  decoded: dict[tuple[str, str, str], samples.Sample]
  """By clip, codec and setting."""


class BdRateTable(NamedTuple):
  """BD-rates: one row for each clip, codec and metric, one column for each anchor."""

  anchors: list[str]
  rows: dict[tuple[str, str, str], dict[str, bd_rate.Comparison]]


class ClipSection(NamedTuple):
  """What the page shows of one clip."""

  name: str
  about: rd_curves.ClipResult
  conversion_psnr: Optional[float]
  rd_plot: Optional[str]
  frames_plot: str
  original: samples.Sample
  shown: list[tuple[rd_curves.ClipResult, samples.Sample]]
  """Each codec at the rate next to that of the first model."""
  results: list[rd_curves.ClipResult]
  models: list[rd_curves.ClipResult]


def headline(evaluation: Evaluation) -> tuple[list[rd_curves.Curve], str]:
  """The curves that sum up the run (the mean, or the only clip), and their title."""
  clip = evaluation.curves[0].clip
  return [curve for curve in evaluation.curves if curve.clip == clip], clip


def html(evaluation: Evaluation, pictures: Pictures) -> str:
  """The report: a page that needs no other file.

  Args:
    evaluation: all results.
    pictures: sample frames for all of `evaluation.results`.
  """
  curves, title = headline(evaluation)
  names = dict.fromkeys(result.clip for result in evaluation.results)
  return render(
    "report.html",
    evaluation=evaluation,
    about=evaluation.about,
    title=title,
    rd_plot=embed(plots.rd_plot(curves)),
    curves=curves,
    bd_rates=bd_rate_table([c for c in evaluation.comparisons if c.clip == title]),
    clip_bd_rates=bd_rate_table([c for c in evaluation.comparisons if c.clip != title]),
    points=[c for c in evaluation.comparisons if c.clip == title and is_model(c.codec)],
    sections=[_section(name, evaluation, pictures, len(names) > 1) for name in names],
    has_ms_ssim=all(result.ms_ssim is not None for result in evaluation.results),
    min_points=bd_rate.MIN_POINTS,
  )


def render(template: str, **values) -> str:
  """Fills in one of the pages beside this file, with the filters that they share."""
  environment = jinja2.Environment(
    loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
  )
  environment.filters.update(
    {
      "label": plots.label,
      "embed": embed,
      "rate": lambda value: f"{value:.4f}",
      "decibel": lambda value: f"{value:.2f}",
      "similarity": lambda value: "-" if value is None else f"{value:.4f}",
      "fps": lambda value: f"{value:.1f}" if value < 100 else f"{value:.0f}",
      "count": lambda value: f"{value:,}".replace(",", "\u202f"),
    }
  )
  environment.globals.update({"is_model": is_model, "metric_labels": METRIC_LABELS})
  return environment.get_template(template).render(**values)


def text(evaluation: Evaluation) -> str:
  """The tables as lines of text."""
  rows = [
    ("clip", "codec", "setting", "bpp", "PSNR", "MS-SSIM", "enc fps", "dec fps"),
    *(
      (
        curve.clip,
        plots.label(curve.codec),
        point.setting,
        f"{point.bpp:.4f}",
        f"{point.psnr:.2f}",
        "-" if point.ms_ssim is None else f"{point.ms_ssim:.4f}",
        f"{point.encode_fps:.1f}",
        f"{point.decode_fps:.1f}",
      )
      for curve in evaluation.curves
      for point in curve.points
    ),
  ]
  lines = [_table(rows, left=3)]
  notes = {r.ms_ssim_note: r.clip for r in evaluation.results if r.ms_ssim_note}
  lines += [f"no MS-SSIM of {clip}: {note}" for note, clip in notes.items()]
  _, title = headline(evaluation)
  lines += _comparison_lines(
    [
      item
      for item in evaluation.comparisons
      if (item.clip, item.metric) == (title, "psnr") and is_model(item.codec)
    ]
  )
  return "\n".join(lines)


def is_model(codec: str) -> bool:
  """Whether this is one of our codecs, not a baseline."""
  return codec not in classical.ENCODERS


def nearest_rates(
  results: Sequence[rd_curves.ClipResult],
) -> list[rd_curves.ClipResult]:
  """Of each codec, the result whose rate is next to that of the first one's middle.

  Args:
    results: of one clip. The first codec is the one the others are measured against.
  """
  groups: dict[str, list[rd_curves.ClipResult]] = {}
  for result in sorted(results, key=lambda result: not is_model(result.codec)):
    groups.setdefault(result.codec, []).append(result)
  first = sorted(next(iter(groups.values())), key=lambda result: result.bpp)
  target = first[(len(first) - 1) // 2]
  return [
    min(group, key=lambda result: abs(math.log(result.bpp / target.bpp)))
    for group in groups.values()
  ]


def bd_rate_table(
  compared: Sequence[comparisons.CurveComparison],
) -> BdRateTable:
  """Arranges the BD-rates of comparisons, in order of appearance."""
  rows: dict[tuple[str, str, str], dict[str, bd_rate.Comparison]] = {}
  for item in compared:
    row = rows.setdefault((item.clip, item.codec, item.metric), {})
    row[item.anchor] = item.bd_rate
  return BdRateTable(list(dict.fromkeys(item.anchor for item in compared)), rows)


def _section(name, evaluation, pictures, with_plot) -> ClipSection:
  results = [result for result in evaluation.results if result.clip == name]
  curves = [curve for curve in evaluation.curves if curve.clip == name]
  shown = nearest_rates(results)
  return ClipSection(
    name=name,
    about=results[0],
    conversion_psnr=evaluation.conversion_psnr.get(name),
    rd_plot=embed(plots.rd_plot(curves)) if with_plot else None,
    frames_plot=embed(plots.frames_plot(shown)),
    original=pictures.originals[name],
    shown=[
      (result, pictures.decoded[result.clip, result.codec, result.setting])
      for result in shown
    ],
    results=results,
    models=[result for result in results if result.part_bytes],
  )


def embed(png: bytes) -> str:
  """A PNG file as the address of a picture in a page."""
  return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _comparison_lines(compared) -> list[str]:
  """A table of the models' points against the baselines, and notes on what it lacks."""
  if not compared:
    return []
  rows = [
    (
      "codec",
      "setting",
      "against",
      "BD-rate",
      "rate at equal PSNR",
      "PSNR at equal rate",
    )
  ]
  notes = {}
  for item in compared:
    for number, point in enumerate(item.points):
      cells = []
      for what, comparison, digits, unit in (
        (f"BD-rate of {item.codec}", item.bd_rate, 1, "%"),
        (rows[0][4], point.rate, 1, "%"),
        (rows[0][5], point.quality, 2, "dB"),
      ):
        cells.append(_signed(comparison.value, digits, unit))
        if comparison.value is None:
          notes[f"no {what}: {comparison.reason}"] = None
      if number > 0:
        cells[0] = ""
      rows.append((item.codec, point.setting, plots.label(item.anchor), *cells))
  return ["", _table(rows, left=3), *notes]


def _signed(value: Optional[float], digits: int, unit: str) -> str:
  return "-" if value is None else f"{value:+.{digits}f} {unit}"


def _table(rows: Sequence[Sequence[str]], left: int) -> str:
  widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
  lines = [
    "  ".join(
      cell.ljust(width) if column < left else cell.rjust(width)
      for column, (cell, width) in enumerate(zip(row, widths))
    ).rstrip()
    for row in rows
  ]
  return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])
