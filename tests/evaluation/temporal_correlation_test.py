"""Temporal correlation against processes whose correlation is known."""

import numpy as np
import pytest

from tfafs.evaluation.temporal_correlation import TemporalCorrelation


def process(rho, count=400, time=12, shape=(3, 2, 1), seed=0):
  """AR(1) of variance 1 from its stationary start, [count, time, *shape]."""
  random = np.random.default_rng(seed)
  x = [random.normal(size=(count, *shape))]
  for _ in range(time - 1):
    noise = np.sqrt(1 - rho**2) * random.normal(size=(count, *shape))
    x.append(rho * x[-1] + noise)
  return np.stack(x, 1)


def correlation(x, pieces=1):
  measure = TemporalCorrelation()
  for piece in np.array_split(x, pieces):
    measure.update(piece)
  return measure.result()


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.95, -0.7])
def test_autoregressive_process(rho):
  """White noise is the one with rho = 0."""
  assert abs(correlation(process(rho)).value - rho) < 0.02


def test_definition():
  """Equations 22 and 23, written out place by place."""
  x = process(0.6, count=5, time=4) * 3 + 7
  expected = np.zeros(x.shape[2:])
  for place in np.ndindex(*x.shape[2:]):
    values = x[(..., *place)]
    mean, variance = values.mean(), values.var()
    pairs = (values[:, :-1] - mean) * (values[:, 1:] - mean) / variance
    expected[place] = pairs.mean()
  result = correlation(x)
  np.testing.assert_allclose(result.per_place, expected, 1e-10)
  np.testing.assert_allclose(result.value, expected.mean(), 1e-10)


def test_the_magnitude_sees_dependence_of_either_sign():
  x = np.concatenate([process(0.8, shape=(3, 1, 1)), process(-0.8, shape=(3, 1, 1))], 3)
  result = correlation(x)
  assert abs(result.value) < 0.02 and abs(result.magnitude - 0.8) < 0.02


def test_pieces_and_a_far_mean_change_nothing():
  x = process(0.8, count=30)
  whole = correlation(x)
  for pieces in (2, 7):
    np.testing.assert_allclose(correlation(x, pieces).per_place, whole.per_place, 1e-9)
  # 1e6 standard deviations away, float64 has ten digits left.
  far = correlation(x + 1e6, 7)
  np.testing.assert_allclose(far.per_place, whole.per_place, 1e-6)


def test_statistics_are_of_the_data_set_not_of_a_batch():
  """Sequences that are constant in time, each at a level of its own."""
  levels = np.random.default_rng(0).normal(size=(50, 1, 2, 2, 1))
  x = np.repeat(levels, 5, 1)
  assert abs(correlation(x, pieces=50).value - 1) < 1e-9


def test_differences_of_a_random_walk_are_white():
  walk = np.cumsum(np.random.default_rng(0).normal(size=(300, 30, 2, 2, 1)), 1)
  assert correlation(walk).value > 0.8
  assert abs(correlation(np.diff(walk, axis=1)).value) < 0.02


def test_places_that_do_not_vary_are_skipped():
  x = process(0.5)
  x[:, :, 0, 0] = 0.1
  result = correlation(x, 3)
  assert result.skipped == 1 and np.isnan(result.per_place[0, 0, 0])
  assert abs(result.value - 0.5) < 0.02
  constant = correlation(np.full([3, 4, 2, 2, 1], 0.3))
  assert np.isnan(constant.value) and constant.skipped == 4


def test_without_pairs():
  measure = TemporalCorrelation()
  with pytest.raises(ValueError, match="no two successive frames"):
    measure.result()
  measure.update(np.zeros([3, 1, 2, 2, 1]))
  with pytest.raises(ValueError, match="no two successive frames"):
    measure.result()
  with pytest.raises(ValueError, match=r"\[batch, time, ...\]; got shape \(3,\)"):
    measure.update(np.zeros([3]))
