"""Comparison of two rate-distortion curves: BD-rate, and single points on a curve.

A thin layer over the library `bjontegaard` that never fails on curves that cannot be
compared: it returns no value and the reason instead.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple, Optional

import bjontegaard
import numpy as np
from bjontegaard import interpolation

METHOD = "pchip"
MIN_POINTS = 4  # as in Bjontegaard's proposal, VCEG-M33


class Comparison(NamedTuple):
  """A number about two curves, or why there is none."""

  value: Optional[float]
  reason: Optional[str] = None
  overlap: Optional[float] = None
  """Part of the two curves' joint quality range that both cover, 0 to 1."""


class _UnusableError(Exception):
  """The curve cannot be interpolated; the message says why."""


def bd_rate(
  anchor_rates: Sequence[float],
  anchor_qualities: Sequence[float],
  rates: Sequence[float],
  qualities: Sequence[float],
) -> Comparison:
  """Mean rate difference at equal quality, in percent (Bjontegaard, VCEG-M33).

  The mean over the quality range that both curves cover of the difference of log rate,
  interpolated over quality by piecewise cubic Hermite polynomials ("pchip"), as a
  percentage: -20 means that the curve needs a fifth less rate than the anchor.

  Args:
    anchor_rates: [n] rates of the anchor, positive, in any unit and order.
    anchor_qualities: [n] dB, of the same points.
    rates: [m] rates of the curve that is judged.
    qualities: [m] dB, of the same points.

  Returns:
    A Comparison. No value if a curve has fewer than four points or is not monotone, or
    if the quality ranges do not overlap.
  """
  try:
    anchor_rates, anchor_qualities = _curve(
      "the anchor", anchor_rates, anchor_qualities
    )
    rates, qualities = _curve("the curve", rates, qualities)
    for name, points in (("the curve", rates), ("the anchor", anchor_rates)):
      if len(points) < MIN_POINTS:
        raise _UnusableError(
          f"{name} has {len(points)} point{'s' * (len(points) != 1)}; BD-rate needs "
          f"{MIN_POINTS}"
        )
    overlap = _overlap(anchor_qualities, qualities)
    if not overlap:
      raise _UnusableError("the two curves have no quality in common")
  except _UnusableError as problem:
    return Comparison(None, str(problem))
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about the overlap, which is part of the result
    value = bjontegaard.bd_rate(
      anchor_rates,
      anchor_qualities,
      rates,
      qualities,
      method=METHOD,
      require_matching_points=False,
      min_overlap=0,
    )
  return Comparison(float(value), None, overlap)


def rate_difference(
  anchor_rates: Sequence[float],
  anchor_qualities: Sequence[float],
  rate: float,
  quality: float,
) -> Comparison:
  """Rate of one point against the anchor at the same quality, in percent.

  The anchor's log rate is interpolated over quality as in `bd_rate`; -20 means that the
  point needs a fifth less rate. No value outside of the anchor's quality range.

  Args:
    anchor_rates: [n] rates of the anchor, positive.
    anchor_qualities: [n] dB, of the same points.
    rate: of the point, in the same unit.
    quality: dB, of the point.
  """
  try:
    rates, qualities = _curve("the anchor", anchor_rates, anchor_qualities)
    log_rate = _interpolate("quality", qualities, np.log(rates), quality)
  except _UnusableError as problem:
    return Comparison(None, str(problem))
  return Comparison(100 * float(rate / np.exp(log_rate) - 1))


def quality_difference(
  anchor_rates: Sequence[float],
  anchor_qualities: Sequence[float],
  rate: float,
  quality: float,
) -> Comparison:
  """Quality of one point minus the anchor's at the same rate, in dB.

  The counterpart of `rate_difference`: quality interpolated over log rate.
  """
  try:
    rates, qualities = _curve("the anchor", anchor_rates, anchor_qualities)
    value = _interpolate("rate", np.log(rates), qualities, np.log(rate))
  except _UnusableError as problem:
    return Comparison(None, str(problem))
  return Comparison(float(quality - value))


def decibels(similarity: float) -> float:
  """-10 log10(1 - similarity): the scale on which MS-SSIM curves are compared."""
  return float(-10 * np.log10(max(1 - similarity, 1e-10)))


def _curve(name, rates, qualities):
  """The points sorted by rate, checked."""
  points = np.array(sorted(zip(rates, qualities)), np.float64).reshape(-1, 2)
  if not len(points):
    raise _UnusableError(f"{name} has no points")
  rates, qualities = points.T
  if not (np.isfinite(points).all() and (rates > 0).all()):
    raise _UnusableError(f"{name} has a point that is not finite, or a rate of zero")
  if (np.diff(qualities) <= 0).any() or (np.diff(rates) <= 0).any():
    raise _UnusableError(f"{name} is not monotone: its quality must grow with its rate")
  return rates, qualities


def _overlap(first, second) -> float:
  low, high = max(first[0], second[0]), min(first[-1], second[-1])
  joint = max(first[-1], second[-1]) - min(first[0], second[0])
  return max(0.0, float((high - low) / joint))


def _interpolate(axis, x, y, position) -> float:
  if len(x) < 2:
    raise _UnusableError("the anchor has a single point")
  if not x[0] <= position <= x[-1]:
    side = "below" if position < x[0] else "above"
    raise _UnusableError(f"{side} the anchor's {axis} range")
  return float(interpolation.interpolate(x, y, METHOD)(position))
