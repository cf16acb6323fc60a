import numpy as np
import pytest
import tensorflow as tf
from scipy import optimize

from tfafs.bijectors import autoregressive_inverse
from tfafs.layers.block_masked import BlockAutoregressiveNetwork


def cubic(scale):
  """y_i = x_i^3 + scale x_i + sum of sines of those before: steep, flat, coupled."""

  def function(x):
    before = tf.math.cumsum(5.0 * tf.sin(3.0 * x), -1, exclusive=True)
    value = x**3 + scale * x + before
    return value, tf.math.log(3.0 * x**2 + scale)

  return function


def test_solution_is_that_of_a_scalar_root_finder_in_turn():
  y = np.random.default_rng(0).normal(0, 20, [4, 5])
  function = cubic(tf.constant(1e-3, tf.float64))
  report = autoregressive_inverse.solve(function, tf.constant(y))
  for row, solution in zip(y, report.value.numpy()):
    before = 0.0
    for target, x in zip(row, solution):
      coefficients = [1.0, 0.0, 1e-3, before - target]
      root = optimize.brentq(np.poly1d(coefficients), -50, 50, xtol=1e-13)
      np.testing.assert_allclose(x, root, 1e-7, 1e-7)
      before += 5.0 * np.sin(3.0 * x)
  assert np.all(report.found) and np.all(report.residual < 1e-10)


SIZES = [(2, (50, 50)), (6, (40, 40)), (21, (20, 20)), (43, (10,)), (64, (4,))]


@pytest.mark.parametrize("size, hidden", SIZES)
@pytest.mark.parametrize("dtype, bound", [("float32", 1e-5), ("float64", 1e-10)])
def test_round_trips_and_number_of_calls(size, hidden, dtype, bound):
  tf.keras.utils.set_random_seed(size)
  net = BlockAutoregressiveNetwork(size, hidden, residual="gated", dtype=dtype)
  weights = net.normalized()

  @tf.function
  def solve(y):
    return autoregressive_inverse.solve(lambda x: net(x, weights=weights), y)

  x = 2.0 * tf.random.normal([100, size], dtype=dtype)
  report = solve(net(x).value)
  scale = 1.0 + np.abs(x)
  assert np.max(np.abs(report.value - x) / scale) < bound
  noise = tf.random.normal([100, size], dtype=dtype)
  again = solve(noise)
  error = np.abs(net(again.value).value - noise) / (1.0 + np.abs(noise))
  assert np.max(error) < bound
  assert np.all(report.found) and np.all(again.found)
  # One component after the other would take about 5 for each.
  assert max(int(report.num_calls), int(again.num_calls)) <= 60


def test_far_flat_tails_are_found():
  tf.keras.utils.set_random_seed(0)
  net = BlockAutoregressiveNetwork(6, (20,), dtype="float64")
  y = 10.0 * tf.random.normal([50, 6], dtype=tf.float64)
  solve = tf.function(lambda y: autoregressive_inverse.solve(net, y))
  report = solve(y)
  assert np.all(report.found) and np.max(np.abs(report.value)) > 1e3
  np.testing.assert_allclose(net(report.value).value, y, 1e-9, 1e-9)


def test_a_bounded_map_is_told_and_others_are_solved():
  def function(x):
    return tf.tanh(x), tf.math.log1p(-(tf.tanh(x) ** 2))

  y = tf.constant([[0.5], [1.5], [np.nan], [-0.9], [-np.inf]], tf.float64)
  report = autoregressive_inverse.solve(function, y)
  np.testing.assert_array_equal(report.found, [True, False, False, True, False])
  np.testing.assert_allclose(report.value[::3, 0], np.arctanh([0.5, -0.9]), 1e-9)
  assert np.all(np.isnan(report.value.numpy()[[1, 2, 4]]))
  assert int(report.num_calls) < 200


def test_max_calls_is_kept():
  y = tf.ones([2, 3], tf.float64)
  report = autoregressive_inverse.solve(cubic(1e-3), y, max_calls=3)
  assert int(report.num_calls) == 3
  assert not np.any(report.found)


def test_gradients_are_those_of_differences():
  y = tf.constant([[0.3, -2.0, 1.0]], tf.float64)
  parameter = tf.constant(0.7, tf.float64)
  weights = tf.constant([1.0, -2.0, 0.5], tf.float64)

  def inverse(y, parameter):
    function = cubic(parameter)
    report = autoregressive_inverse.solve(function, y)
    return autoregressive_inverse.with_gradient(report.value, function, y)

  def total(y, parameter):
    return tf.reduce_sum(weights * tf.sin(inverse(y, parameter)))

  with tf.GradientTape() as outer:
    outer.watch([y, parameter])
    with tf.GradientTape() as inner:
      inner.watch([y, parameter])
      value = total(y, parameter)
    gradients = inner.gradient(value, [y, parameter])
    first = gradients[0][0, 0]
  second = outer.gradient(first, [y, parameter])
  step = 1e-5

  def first_at(y, parameter):
    with tf.GradientTape() as tape:
      tape.watch(y)
      value = total(y, parameter)
    return tape.gradient(value, y)[0, 0]

  for i in range(3):
    move = step * tf.one_hot([i], 3, dtype=tf.float64)
    slope = (total(y + move, parameter) - total(y - move, parameter)) / (2 * step)
    np.testing.assert_allclose(gradients[0][0, i], slope, 1e-6)
    slope = (first_at(y + move, parameter) - first_at(y - move, parameter)) / (2 * step)
    np.testing.assert_allclose(second[0][0, i], slope, 1e-5, 1e-7)
  slope = (total(y, parameter + step) - total(y, parameter - step)) / (2 * step)
  np.testing.assert_allclose(gradients[1], slope, 1e-6)
  slope = (first_at(y, parameter + step) - first_at(y, parameter - step)) / (2 * step)
  np.testing.assert_allclose(second[1], slope, 1e-5)
