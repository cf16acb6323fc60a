"""Linear dependence of successive frames (paper 000, Appendix, eq. 22 and 23).

    corr = mean over i, j, k of E[ (x_t - mu)(x_t+1 - mu) ] / sigma^2

at each place and channel, with mean and standard deviation of the place over the whole data
set. A flow that takes out what the past predicts brings it from near 1 towards 0.
"""

from typing import NamedTuple

import numpy as np


class Correlation(NamedTuple):
  """Temporal correlation of a data set.

  Attributes:
    value: Mean over all places that vary; NaN if none does.
    magnitude: Mean of the absolute values, in which places of either sign do not cancel.
      Of independent frames it is not 0, but falls with the root of their number.
    per_place: [height, width, channels]; NaN where nothing varies.
    skipped: Places where nothing varies.
  """

  value: float
  magnitude: float
  per_place: np.ndarray
  skipped: int


class TemporalCorrelation:
  """Takes sequences as they come, in one pass; sums are of float64.

  Only frames that are there go in: no burn-in, no padding.
  """

  def __init__(self):
    self._origin = None
    self._frames = self._pairs = 0
    self._sum = self._squares = self._products = self._neighbours = 0.0

  def update(self, sequences) -> None:
    """Adds sequences, [batch, time, ...]; a sequence of one frame has no pair."""
    x = np.asarray(sequences, np.float64)
    if x.ndim < 2:
      raise ValueError(f"sequences must be [batch, time, ...]; got shape {x.shape}.")
    if self._origin is None:  # Any point near the mean keeps the sums exact.
      self._origin = x.mean((0, 1))
    x = x - self._origin
    first, second = x[:, :-1], x[:, 1:]
    self._frames += x.shape[0] * x.shape[1]
    self._pairs += first.shape[0] * first.shape[1]
    self._sum += x.sum((0, 1))
    self._squares += (x**2).sum((0, 1))
    self._products += (first * second).sum((0, 1))
    self._neighbours += (first + second).sum((0, 1))

  def result(self) -> Correlation:
    """The correlation of all that was added.

    Raises:
      ValueError: If there was no pair of frames.
    """
    if not self._pairs:
      raise ValueError("there are no two successive frames to correlate")
    mean = self._sum / self._frames
    variance = self._squares / self._frames - mean**2
    covariance = self._products - mean * self._neighbours + self._pairs * mean**2
    covariance /= self._pairs
    # What is left of a constant by rounding is no variance.
    varies = variance > 1e-12 * (self._squares / self._frames + 1e-12)
    per_place = np.where(varies, covariance / np.where(varies, variance, 1.0), np.nan)
    skipped = int(np.sum(~varies))
    varying = per_place[varies] if varies.any() else np.array([np.nan])
    magnitude = float(np.mean(np.abs(varying)))
    return Correlation(float(np.mean(varying)), magnitude, per_place, skipped)
