"""Checks of a bijector's mathematics, most of them in float64."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.testing import numerics
from tfafs.testing.case import FORWARD, INVERSE, BijectorCase, evaluate

tfd = tfp.distributions

DTYPES = (tf.float32, tf.float64)


def check_round_trip(case: BijectorCase):
  """`inverse` undoes `forward` and the reverse, in both dtypes, at several ranks."""
  if not case.invertible:
    return check_refuses_inverse(case)
  for dtype in DTYPES:
    bijector = case.fresh(dtype)
    for sample_shape in ((), (3,), (2, 3)):
      kwargs = case.arguments(dtype, *sample_shape)
      for direction, back in ((FORWARD, INVERSE), (INVERSE, FORWARD)):
        point = case.point(bijector, direction, dtype, *sample_shape)
        value = getattr(bijector, direction)(point, **kwargs)
        assert value.dtype == dtype, f"{direction} of {dtype} returns {value.dtype}."
        # The copy keeps the cache from answering with `point` itself.
        again = getattr(bijector, back)(tf.identity(value), **kwargs)
        case.close(again, point, f"{back} of {direction}, samples {sample_shape}")
  return None


def check_refuses_inverse(case: BijectorCase):
  """A bijector without an inverse says so."""
  bijector = case.fresh(tf.float32)
  try:
    bijector.inverse(case.x(tf.float32, 2), **case.arguments(tf.float32, 2))
  except NotImplementedError:
    return
  raise AssertionError("inverse returned, of a bijector declared not invertible.")


def check_log_det(case: BijectorCase):
  """The log-determinants are those of the Jacobian, and of opposite sign."""
  dtype = tf.float64
  bijector = case.fresh(dtype)
  kwargs = case.arguments(dtype, 2)
  for direction in case.directions:
    point = case.point(bijector, direction, dtype, 2)
    value, log_det = evaluate(bijector, direction, point, kwargs)
    jacobian = numerics.autodiff_jacobian(case, bijector, direction, point, kwargs)
    sign, expected = np.linalg.slogdet(jacobian)
    assert np.all(sign != 0), f"The Jacobian of {direction} is singular."
    total = getattr(bijector, f"{direction}_log_det_jacobian")(
      tf.identity(point), event_ndims=len(case.event_shape), **kwargs
    )
    total = np.reshape(_of_each(bijector, total, (2, *case.batch_shape)), [-1])
    case.close(total, expected, f"{direction} log-det against slogdet")
    if case.invertible:
      back = INVERSE if direction == FORWARD else FORWARD
      _, opposite = evaluate(bijector, back, value, kwargs)
      case.close(
        opposite, -log_det, f"{back} log-det against minus {direction} log-det"
      )


def _of_each(bijector, log_det, shape):
  """Log-determinants of samples; a constant Jacobian's need not repeat itself."""
  if bijector.is_constant_jacobian:
    return tf.broadcast_to(log_det, shape)
  assert log_det.shape == shape, f"Log-det has shape {log_det.shape}, not {shape}."
  return log_det


def check_low_precision(case: BijectorCase):
  """Values and log-determinants in float32 are those in float64."""
  double, single = case.fresh(tf.float64), case.fresh(tf.float32)
  for source, target in zip(double.variables, single.variables):
    rounded = tf.cast(source, target.dtype)
    target.assign(rounded)
    source.assign(tf.cast(rounded, source.dtype))
  kwargs = case.arguments(tf.float32, 3)
  wide = {k: _widen(v) for k, v in kwargs.items()}
  for direction in case.directions:
    point = case.point(single, direction, tf.float32, 3)
    pairs = zip(
      evaluate(single, direction, point, kwargs),
      evaluate(double, direction, _widen(point), wide),
    )
    for what, (low, high) in zip(("value", "log-det"), pairs):
      message = f"{direction} {what} in float32 against float64"
      case.close(low, tf.cast(high, tf.float32), message)


def _widen(value):
  value = tf.convert_to_tensor(value)
  return tf.cast(value, tf.float64) if value.dtype == tf.float32 else value


def check_jacobian(case: BijectorCase):
  """Gradients to the input are the slopes; the two directions' Jacobians are inverse."""
  dtype = tf.float64
  bijector = case.fresh(dtype)
  kwargs = case.arguments(dtype, 2)
  point = case.x(dtype, 2)
  jacobian = numerics.autodiff_jacobian(case, bijector, FORWARD, point, kwargs)
  _close_slopes(
    jacobian,
    numerics.difference_jacobian(case, bijector, FORWARD, point, kwargs),
    "Jacobian of forward by gradients against differences",
  )
  if case.jacobian_mask is not None:
    outside = np.abs(jacobian) * ~np.asarray(case.jacobian_mask, bool)
    assert outside.max() <= 1e-12, (
      f"forward's Jacobian is {outside.max():.3g} where jacobian_mask promises zero."
    )
  if case.invertible:
    value = tf.identity(bijector.forward(point, **kwargs))
    inverse = numerics.autodiff_jacobian(case, bijector, INVERSE, value, kwargs)
    _close_slopes(
      inverse,
      numerics.difference_jacobian(case, bijector, INVERSE, value, kwargs),
      "Jacobian of inverse by gradients against differences",
    )
    product = jacobian @ inverse
    identity = np.broadcast_to(np.eye(case.event_size), product.shape)
    case.close(
      product, identity, "Jacobian of forward times that of inverse", factor=10
    )


def _close_slopes(actual, desired, what):
  scale = 1.0 + np.abs(desired).max()
  np.testing.assert_allclose(actual / scale, desired / scale, 0, 1e-6, err_msg=what)


def check_gradients(case: BijectorCase):
  """Gradients reach the input and every variable, and are right, in both directions."""
  dtype = tf.float64
  bijector = case.fresh(dtype)
  kwargs = case.arguments(dtype, 3)
  for direction in case.directions:
    point = tf.Variable(case.point(bijector, direction, dtype, 3))
    variables = [point, *bijector.trainable_variables]

    def total(direction=direction, point=point):
      return numerics.weighted_sum(bijector, direction, point, kwargs)

    with tf.GradientTape() as tape:
      value = total()
    gradients = tape.gradient(value, variables)
    for variable, gradient in zip(variables, gradients):
      assert gradient is not None, f"{direction}: no gradient to {variable.name}."
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    for variable, gradient in zip(variables, gradients):
      assert np.all(np.isfinite(gradient)), f"{direction}: {variable.name} not finite."
    pairs = list(zip(variables, gradients))
    # All at once; one by one only to name the culprit.
    error = _slope_error(case, total, pairs)
    if error > 1e-6:
      errors = {v.name: _slope_error(case, total, [(v, g)]) for v, g in pairs}
      raise AssertionError(
        f"{direction}: gradients miss the slope by {error:.3g}; by variable: {errors}"
      )


def _slope_error(case, total, pairs):
  """Error of the gradients along a random way, relative to 1 + |slope|."""
  ways = [
    tf.random.stateless_normal(v.shape, [3, i], dtype=v.dtype)
    for i, (v, _) in enumerate(pairs)
  ]

  def move(amount):
    for (variable, _), way in zip(pairs, ways):
      variable.assign_add(amount * way)

  expected = numerics.slope(total, move, case.difference_step)
  actual = sum(float(tf.reduce_sum(g * way)) for (_, g), way in zip(pairs, ways))
  return abs(actual - expected) / (1.0 + abs(expected))


def check_event_ndims(case: BijectorCase):
  """More event dimensions than the minimum: log-determinants add up."""
  bijector = case.fresh(tf.float64)
  sample_shape = (2,) if case.batch_shape else (2, 3)
  kwargs = case.arguments(tf.float64, *sample_shape)
  for direction in case.directions:
    point = case.point(bijector, direction, tf.float64, *sample_shape)
    method = getattr(bijector, f"{direction}_log_det_jacobian")
    least = getattr(bijector, f"{direction}_min_event_ndims")
    single = method(tf.identity(point), event_ndims=least, **kwargs)
    double = method(tf.identity(point), event_ndims=least + 1, **kwargs)
    single = _of_each(bijector, single, (*sample_shape, *case.batch_shape))
    total = tf.reduce_sum(single, -1)
    double = _of_each(bijector, double, total.shape)
    case.close(double, total, f"{direction}: event_ndims one more")


def check_scalar(case: BijectorCase):
  """A scalar bijector tells its direction; cdf and quantile of a distribution follow."""
  bijector = case.fresh(tf.float64)
  if bijector.forward_min_event_ndims != 0:
    return
  kwargs = case.arguments(tf.float64, 5)
  x = case.x(tf.float64, 5)
  with tf.GradientTape() as tape:
    tape.watch(x)
    y = bijector.forward(x, **kwargs)
  slope = tape.gradient(y, x)
  increasing = np.broadcast_to(bijector._internal_is_increasing(**kwargs), slope.shape)
  np.testing.assert_array_equal(increasing, slope > 0, "_is_increasing")
  base = tfd.Normal(tf.zeros([], tf.float64), 1.0)
  transformed = tfd.TransformedDistribution(base, bijector)
  cdf = transformed.cdf(tf.identity(y), bijector_kwargs=kwargs)
  expected = np.where(increasing, base.cdf(x), base.survival_function(x))
  case.close(cdf, expected, "cdf")
  again = transformed.quantile(cdf, bijector_kwargs=kwargs)
  case.close(again, y, "quantile of cdf", factor=100)


def check_sample_log_prob(case: BijectorCase):
  """log_prob of samples is that of the noise less the log-determinant, cached or not."""
  dtype = tf.float64
  bijector = case.fresh(dtype)
  normal = tfd.Normal(tf.zeros(case.shape(), dtype), 1.0)
  base = tfd.Independent(normal, len(case.event_shape))
  distribution = tfd.TransformedDistribution(base, bijector)
  kwargs = case.arguments(dtype, 4)
  sample = distribution.sample(4, seed=(1, 2), bijector_kwargs=kwargs)
  assert sample.shape == case.shape(4), f"sample(4) has shape {sample.shape}."
  cached = distribution.log_prob(sample, bijector_kwargs=kwargs)
  assert cached.shape == (4, *case.batch_shape), f"log_prob has shape {cached.shape}."
  if case.invertible:
    # The sample's own noise, whichever seed the distribution gave its base.
    noise = bijector.inverse(tf.identity(sample), **kwargs)
    _, log_det = evaluate(bijector, FORWARD, noise, kwargs)
    extra = len(case.event_shape) - bijector.forward_min_event_ndims
    log_det = tf.reduce_sum(log_det, list(range(-extra, 0))) if extra else log_det
    expected = base.log_prob(noise) - log_det
    fresh = distribution.log_prob(tf.identity(sample), bijector_kwargs=kwargs)
    case.close(fresh, expected, "log_prob of a copy of the sample", factor=10)
    case.close(cached, expected, "log_prob of the sample", factor=10)
  else:
    assert np.all(np.isfinite(cached)), "log_prob of a sample is not finite."
