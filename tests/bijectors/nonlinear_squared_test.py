"""NonlinearSquared against the formula of paper 002, bisection and finite differences."""

import importlib.util
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors import NonlinearSquared, nonlinear_squared

tfb, tfd = tfp.bijectors, tfp.distributions
PATH = pathlib.Path(__file__).parents[2] / "benchmarks/nonlinear_squared_accuracy.py"


@pytest.fixture(scope="module")
def accuracy():
  spec = importlib.util.spec_from_file_location("accuracy", PATH)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def random_bijector(count, dtype, seed=0, alpha=0.95):
  rng = np.random.default_rng(seed)
  params = rng.normal(size=[5, count])
  return NonlinearSquared(*tf.unstack(tf.constant(params, dtype)), alpha=alpha)


def test_it_is_the_formula_of_the_paper():
  a, b, c, d, g, alpha = 0.5, 1.3, 0.8, 2.0, -0.7, 0.9
  bijector = NonlinearSquared(a, math.log(b), c, math.log(d), g, alpha)
  x = np.linspace(-3, 3, 7, dtype=np.float32)
  amplitude = 8 * np.sqrt(3) / (9 * d) * b * alpha * np.tanh(c)
  expected = a + b * x + amplitude / (1 + (d * x + g) ** 2)
  np.testing.assert_allclose(bijector.forward(x), expected, 1e-5)


def test_the_slope_falls_to_1_minus_alpha_and_no_further():
  """At u = (-g + sqrt(1/3)) / d; the paper's sign of g is a slip."""
  d, g, alpha = 2.0, -0.7, 0.99
  bijector = NonlinearSquared(
    0.0, tf.constant(0.5, tf.float64), 30.0, np.log(d), g, alpha
  )
  x = tf.constant((-g + np.sqrt(1 / 3)) / d + np.linspace(-1, 1, 2001), tf.float64)
  slopes = np.exp(bijector.forward_log_det_jacobian(x) - 0.5)
  np.testing.assert_allclose(slopes.min(), 1 - alpha, 1e-6)
  assert slopes.argmin() == 1000


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("alpha", [0.95, 0.9999])
def test_inverse_is_as_good_as_rounding_allows(accuracy, dtype, alpha):
  bad, errors = accuracy.measure(40_000, dtype, alpha)
  assert bad == 0
  assert errors.max() < 2.0


def test_the_yardstick_can_fail(accuracy):
  params = accuracy.parameters(40_000, np.float32)
  y = accuracy.points(params, 0.9999)
  expected, floor = accuracy.reference(y, params, 0.9999, np.float64)
  wrong = expected * (1 + 1e-5)
  errors = np.abs(wrong - expected) / (np.finfo(np.float32).eps * floor)
  assert errors.max() > 2


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_huge_and_special_arguments_stay_finite(dtype, jit):
  root3 = np.sqrt(3.0)
  w = np.array([0.0, root3, -root3, 1e4, -1e4, 1e6, 1e30, -1e30, 1e-30, 38.0])
  k = np.array([-1.5396, 0.0, 1.5396])
  w, k = (tf.reshape(tf.constant(v, dtype), s) for v, s in ((w, [-1, 1]), (k, [1, -1])))

  @tf.function(jit_compile=jit)
  def root_and_slopes(w, k):
    w, k = (tf.broadcast_to(v, [10, 3]) for v in (w, k))
    with tf.GradientTape() as tape:
      tape.watch([w, k])
      u = nonlinear_squared.root(w, k)
    return u, tape.gradient(u, [w, k])

  u, slopes = root_and_slopes(w, k)
  for result in (u, *slopes):
    assert np.all(np.isfinite(result))
  u, w, k = (np.asarray(v, np.float64) for v in (u, w, k))
  near = np.abs(w[:, 0]) < 1e10
  residual = (u + k / (1 + u * u) - w)[near]
  assert (
    np.abs(residual / (1 + np.abs(w[near]))).max()
    < 4 * np.finfo(dtype.as_numpy_dtype).eps
  )
  bijector = NonlinearSquared(*tf.constant([0.0, 0.0, 2.0, 3.0, 0.0], dtype))
  y = tf.constant([1e30, -1e30], dtype)
  np.testing.assert_allclose(bijector.inverse(y), y, 1e-6)
  np.testing.assert_allclose(bijector.forward(y), y, 1e-6)


@pytest.mark.parametrize("direction", ["forward", "inverse", "log_det"])
def test_first_second_and_third_derivatives(direction):
  """Against closed forms got by differentiating f(x) = y, and against differences."""
  bijector = random_bijector(200, tf.float64)
  x = tf.constant(np.random.default_rng(1).normal(size=200))
  function = {
    "forward": bijector.forward,
    "inverse": bijector.inverse,
    "log_det": bijector.inverse_log_det_jacobian,
  }[direction]
  derivatives = _derivatives(function, x, 3)
  step = 1e-4
  for order, higher in enumerate(derivatives[1:]):
    above = _derivatives(function, x + step, order)[-1]
    below = _derivatives(function, x - step, order)[-1]
    slope = (above - below) / (2 * step)
    scale = 1 + np.abs(slope).max()
    np.testing.assert_allclose(higher / scale, slope / scale, 0, 1e-5)
  if direction == "inverse":
    y, value = x, tf.identity(bijector.inverse(x))
    f1, f2 = _derivatives(bijector.forward, value, 2)[1:]
    np.testing.assert_allclose(derivatives[1], 1 / f1, 1e-10)
    np.testing.assert_allclose(derivatives[2], -f2 / f1**3, 1e-8, 1e-10)
    np.testing.assert_allclose(bijector.forward(value), y, 1e-12, 1e-12)


def _derivatives(function, x, order):
  if order == 0:
    return [function(tf.identity(x))]
  with tf.GradientTape() as tape:
    tape.watch(x)
    values = _derivatives(function, x, order - 1)
    total = tf.reduce_sum(values[-1])
  return [*values, tape.gradient(total, x)]


def test_mixed_second_derivatives_to_parameters():
  """d/dp of dx/dy by gradients against differences, for every parameter."""
  params = [tf.constant(np.random.default_rng(i).normal(size=50)) for i in range(5)]
  y = tf.constant(np.random.default_rng(9).normal(size=50))

  def slope(params):
    with tf.GradientTape() as tape:
      tape.watch(y)
      x = NonlinearSquared(*params).inverse(y)
    return tape.gradient(x, y)

  with tf.GradientTape() as tape:
    tape.watch(params)
    total = tf.reduce_sum(slope(params))
  for i, gradient in enumerate(tape.gradient(total, params)):
    step = 1e-5
    moved = [
      slope([p + sign * step * (i == j) for j, p in enumerate(params)])
      for sign in (1, -1)
    ]
    expected = (moved[0] - moved[1]) / (2 * step)
    scale = 1 + np.abs(expected).max()
    np.testing.assert_allclose(gradient / scale, expected / scale, 0, 1e-7)


def test_float32_gradients_at_the_degenerate_cubic():
  w = tf.constant(np.sqrt(3.0) * np.array([1, -1, 1 - 1e-6, 1 + 1e-6]), tf.float32)
  k = tf.constant([0.8, -0.8, 1.5, -1.5], tf.float32)
  with tf.GradientTape() as tape:
    tape.watch(w)
    u = nonlinear_squared.root(w, k)
  slope = tape.gradient(u, w)
  u, k = (np.asarray(v, np.float64) for v in (u, k))
  np.testing.assert_allclose(slope, 1 / (1 - 2 * k * u / (1 + u * u) ** 2), 1e-5)


def test_cdf_and_quantile_of_a_distribution_with_two_modes():
  noise_map = NonlinearSquared(0.0, 0.0, 1.5, 1.0, tf.constant(0.0, tf.float64))
  base = tfd.Normal(tf.constant(0.0, tf.float64), 1.0)
  distribution = tfd.TransformedDistribution(base, tfb.Invert(noise_map))
  z = np.linspace(-8, 8, 20001)
  density = distribution.prob(tf.constant(z)).numpy()
  cumulative = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
  np.testing.assert_allclose(
    distribution.cdf(tf.constant(z)), cumulative * 8e-4, 0, 1e-6
  )
  probabilities = tf.constant([0.01, 0.3, 0.5, 0.99], tf.float64)
  quantiles = distribution.quantile(probabilities)
  np.testing.assert_allclose(distribution.cdf(quantiles), probabilities, 1e-12)
  peaks = (density[1:-1] > density[:-2]) & (density[1:-1] > density[2:])
  assert peaks.sum() == 2


def test_it_passes_through_functions_as_a_composite_tensor():
  bijector = random_bijector(3, tf.float32)
  x = tf.constant([0.1, 0.2, 0.3])

  @tf.function
  def forward(bijector, x):
    return bijector.forward(x), bijector

  y, returned = forward(bijector, x)
  np.testing.assert_allclose(y, bijector.forward(x + 0), 1e-6)
  assert isinstance(returned, NonlinearSquared)
  assert returned.alpha == bijector.alpha
  chain = tfb.Chain([bijector, tfb.Shift(1.0)])
  assert isinstance(chain, tf.__internal__.CompositeTensor)
  sliced = tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), bijector)[:2]
  assert sliced.batch_shape == [2]


def test_alpha_is_checked():
  with pytest.raises(ValueError, match=r"alpha must lie inside \(0, 1\)"):
    NonlinearSquared(0.0, 0.0, 0.0, 0.0, 0.0, alpha=1.0)
