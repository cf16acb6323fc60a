"""Planar flow, with an inverse."""

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import (
  cache_util,
  dtype_util,
  tensor_util,
)

from tfafs.bijectors import autoregressive_inverse

tfb = tfp.bijectors


class Planar(tfb.Bijector):
  """Computes `y = x + u tanh(weight . x + bias)`, a shift along one direction.

  For it to be one-to-one `weight . u` has to exceed -1. So `u` is `direction` with its
  part along `weight` replaced: `weight . u = softplus(weight . direction) - 1`. Any
  values of the parameters make a bijection.

  `forward` is the formula; `inverse` finds the scalar `weight . x + bias` numerically
  and is differentiable. A posterior that is sampled uses the flow as it is, density
  estimation its `tfb.Invert`.

  Source: Rezende and Mohamed, Variational Inference with Normalizing Flows (2015),
  section 4.1 and appendix A.1; comparator in paper 003.
  """

  _cache = cache_util.BijectorCacheWithGreedyAttrs(
    forward_name="_augmented_forward", inverse_name="_augmented_inverse"
  )

  def __init__(self, direction, weight, bias, validate_args=False, name="planar"):
    """Creates the bijector.

    Args:
      direction: Floating [..., D].
      weight: Floating [..., D].
      bias: Floating [...].
      validate_args: As of every bijector.
      name: As of every bijector.
    """
    parameters = dict(locals())
    with tf.name_scope(name) as name:
      dtype = dtype_util.common_dtype(
        [direction, weight, bias], dtype_hint=tf.keras.backend.floatx()
      )
      self._direction = tensor_util.convert_nonref_to_tensor(
        direction, dtype=dtype, name="direction"
      )
      self._weight = tensor_util.convert_nonref_to_tensor(
        weight, dtype=dtype, name="weight"
      )
      self._bias = tensor_util.convert_nonref_to_tensor(bias, dtype=dtype, name="bias")
      super().__init__(
        forward_min_event_ndims=1,
        validate_args=validate_args,
        dtype=dtype,
        parameters=parameters,
        name=name,
      )

  @classmethod
  def _parameter_properties(cls, dtype):
    return {
      "direction": tfp.util.ParameterProperties(event_ndims=1),
      "weight": tfp.util.ParameterProperties(event_ndims=1),
      "bias": tfp.util.ParameterProperties(event_ndims=0),
    }

  def _forward(self, x):
    return self._augmented_forward(x)[0]

  def _inverse(self, y):
    return self._augmented_inverse(y)[0]

  def _forward_log_det_jacobian(self, x):
    return -self._augmented_forward(x)[1]["ildj"]

  def _augmented_forward(self, x):
    u, slope, weight = self._constrained()
    activation = tf.tanh(tf.reduce_sum(weight * x, -1) + self._bias)
    log_det = _log_det(activation, slope)
    return x + u * activation[..., None], {"ildj": -log_det}

  def _augmented_inverse(self, y):
    u, slope, weight = self._constrained()
    # weight . y + bias = a + (weight . u) tanh(a), increasing in a.
    target = tf.reduce_sum(weight * y, -1) + self._bias
    target = (target + tf.zeros_like(slope))[..., None]

    def function(a):
      activation = tf.tanh(a)
      return a + slope[..., None] * activation, _log_det(activation, slope[..., None])

    report = autoregressive_inverse.solve(function, tf.stop_gradient(target))
    a = autoregressive_inverse.with_gradient(report.value, function, target)
    activation = tf.tanh(a)
    log_det = _log_det(activation[..., 0], slope)
    return y - u * activation, {"ildj": -log_det}

  def _constrained(self):
    """Returns u [..., D], weight . u [...] and weight [..., D]."""
    weight = tf.convert_to_tensor(self._weight)
    direction = tf.convert_to_tensor(self._direction)
    raw = tf.reduce_sum(weight * direction, -1)
    slope = tf.nn.softplus(raw) - 1.0
    squared = tf.reduce_sum(weight**2, -1)
    # At weight 0 the map is a shift by tanh(bias) u, whatever u is.
    slope = tf.where(squared > 0, slope, tf.zeros_like(slope))
    squared = tf.where(squared > 0, squared, tf.ones_like(squared))
    return direction + ((slope - raw) / squared)[..., None] * weight, slope, weight


def _log_det(activation, slope):
  return tf.math.log1p(slope * (1.0 - activation**2))
