import math

import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers import dequantization


@pytest.mark.parametrize("kind", ["gaussian", "uniform"])
def test_noise_keeps_the_levels_apart_and_is_a_function_of_the_seed(kind):
  levels = np.tile(np.arange(256), 400).reshape(400, 256)
  x = tf.constant(levels / 255, tf.float64)
  noisy = dequantization.dequantize(x, kind, (1, 2)).numpy()
  np.testing.assert_array_equal(noisy, dequantization.dequantize(x, kind, (1, 2)))
  assert np.all(noisy != dequantization.dequantize(x, kind, (1, 3)))
  low, high = dequantization.RANGES[kind]
  assert low <= noisy.min() < low + 0.02 and high - 0.02 < noisy.max() <= high
  if kind == "uniform":
    np.testing.assert_array_equal(np.floor(noisy * 256), levels)
  else:
    assert abs(np.std(noisy - x) * 256 - 1) < 0.01
    assert abs(np.mean(noisy - x)) < 1e-4


@pytest.mark.parametrize("kind", dequantization.KINDS)
def test_levels_come_back(kind):
  levels = np.tile(np.arange(256), 20).reshape(20, 256)
  x = tf.constant(levels / 255, tf.float32)
  noisy = dequantization.dequantize(x, kind, (1, 2))
  back = dequantization.to_levels(noisy, kind).numpy()
  assert back.dtype == np.uint8
  if kind == "gaussian":  # Its noise takes most further than half a step.
    nearest = np.abs(noisy.numpy()[..., np.newaxis] - np.arange(256) / 255).argmin(-1)
    np.testing.assert_array_equal(back, nearest)
    assert 0.55 < np.mean(back != levels) < 0.65
  else:
    np.testing.assert_array_equal(back, levels)
  out = tf.constant([-1.0, -1e-6, 1.0, 1.004, 5.0])
  np.testing.assert_array_equal(
    dequantization.to_levels(out, kind), [0, 0, 255, 255, 255]
  )


@pytest.mark.parametrize("kind", ["gaussian", "uniform"])
def test_floor_is_what_a_model_that_knows_the_levels_has(kind):
  """Mean negative log-density of the noise itself, by Monte Carlo, in nats + ln 256."""
  x = tf.zeros([200_000], tf.float64)
  noisy = dequantization.dequantize(x, kind, (3, 4)).numpy()
  if kind == "gaussian":
    log_p = -0.5 * (noisy * 256) ** 2 - 0.5 * math.log(2 * math.pi) + math.log(256)
  else:
    log_p = np.where((noisy >= 0) & (noisy < 1 / 256), math.log(256), -np.inf)
  figures = dequantization.likelihood(-np.mean(log_p), 10, 1, kind)
  assert abs(figures.nats_per_dimension - dequantization.FLOORS[kind]) < 0.01


def test_uniform_noise_bounds_the_discrete_code():
  """A density that is flat on each of 4 levels: exactly the entropy of the levels."""
  p = np.array([0.5, 0.25, 0.125, 0.125])
  nats = np.sum(p * -np.log(p * 256))
  figures = dequantization.likelihood(nats, 3, 1, "uniform")
  assert abs(figures.bits_per_dimension - 1.75) < 1e-12
  assert abs(figures.nats_per_dimension - 1.75 * math.log(2)) < 1e-12
  assert figures.nats_per_sequence == 3 * figures.nats_per_frame == 3 * nats


def test_none_leaves_data_alone_and_others_are_refused():
  x = tf.constant([0.25])
  np.testing.assert_array_equal(dequantization.dequantize(x, "none", (0, 0)), x)
  with pytest.raises(ValueError, match="dequantization must be one of gaussian, unif"):
    dequantization.dequantize(x, "normal", (0, 0))
