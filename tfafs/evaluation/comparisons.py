"""Codecs against baselines: BD-rate of curves, differences at single points."""

from collections.abc import Sequence
from typing import NamedTuple

from tfafs.evaluation import bd_rate, classical, rd_curves

METRICS = ("psnr", "ms_ssim")


class PointComparison(NamedTuple):
  """One point of a curve against the anchor's curve, interpolated."""

  setting: str
  rate: bd_rate.Comparison
  """Percent of rate at equal quality; negative is better than the anchor."""
  quality: bd_rate.Comparison
  """dB at equal rate; positive is better than the anchor."""


class CurveComparison(NamedTuple):
  """A codec's curve against an anchor's, on one clip or in the mean of all."""

  codec: str
  anchor: str
  clip: str
  metric: str
  """"psnr", or "ms_ssim" on the scale -10 log10(1 - MS-SSIM)."""
  bd_rate: bd_rate.Comparison
  points: list[PointComparison]


def compare_all(curves: Sequence[rd_curves.Curve]) -> list[CurveComparison]:
  """Compares models with every baseline, and baselines with x265.

  Args:
    curves: any number of curves; only those of the same clip are compared.

  Returns:
    One CurveComparison for each pair, clip and metric that both curves have.
  """
  result = []
  for curve in curves:
    for anchor in curves:
      is_model = curve.codec not in classical.ENCODERS
      wanted = (
        anchor.codec in classical.ENCODERS if is_model else anchor.codec == "x265"
      )
      if wanted and anchor.clip == curve.clip and anchor.codec != curve.codec:
        metrics = shared_metrics(curve, anchor)
        result += [compare(curve, anchor, metric) for metric in metrics]
  return result


def shared_metrics(curve: rd_curves.Curve, other: rd_curves.Curve) -> list[str]:
  """Those of `METRICS` that all points of both curves have."""
  return [name for name in METRICS if _has(curve, name) and _has(other, name)]


def compare(
  curve: rd_curves.Curve, anchor: rd_curves.Curve, metric: str = "psnr"
) -> CurveComparison:
  """Compares a curve with an anchor.

  Args:
    curve: of the codec that is judged.
    anchor: of the codec it is judged by.
    metric: "psnr" or "ms_ssim".

  Returns:
    A CurveComparison; what is undefined has no value and a reason.
  """
  anchor_rates, anchor_qualities = _axes(anchor, metric)
  rates, qualities = _axes(curve, metric)
  points = [
    PointComparison(
      point.setting,
      bd_rate.rate_difference(anchor_rates, anchor_qualities, rate, quality),
      bd_rate.quality_difference(anchor_rates, anchor_qualities, rate, quality),
    )
    for point, rate, quality in zip(curve.points, rates, qualities)
  ]
  return CurveComparison(
    curve.codec,
    anchor.codec,
    curve.clip,
    metric,
    bd_rate.bd_rate(anchor_rates, anchor_qualities, rates, qualities),
    points,
  )


def _has(curve, metric) -> bool:
  return all(getattr(point, metric) is not None for point in curve.points)


def _axes(curve, metric):
  qualities = [getattr(point, metric) for point in curve.points]
  if metric == "ms_ssim":
    qualities = [bd_rate.decibels(quality) for quality in qualities]
  return [point.bpp for point in curve.points], qualities
