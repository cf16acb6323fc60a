"""NonlinearSquared (NLSq): a scalar map that can put several modes into a density."""

import math
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import dtype_util, tensor_util

tfb = tfp.bijectors

# Where |slope of the perturbation| peaks, at u = 1 / sqrt(3), it is 9 / (8 sqrt(3)).
_LARGEST_K = 8.0 / (3.0 * math.sqrt(3.0))


class _Limits(NamedTuple):
  """Where the closed form of a dtype must stop; see `root`."""

  linear: float  # beyond, w^3 loses what it is needed for, and u = w is as good
  square: float  # beyond, u^2 overflows, and 1 / (1 + u^2) is zero
  radius: float  # least s^2 by which the closed form divides


_LIMITS = {
  tf.float32: _Limits(1e4, 1e18, 1e-9),
  tf.float64: _Limits(1e6, 1e150, 1e-18),
}


class NonlinearSquared(tfb.AutoCompositeTensorBijector):
  """Computes `y = shift + scale x + amplitude / (1 + (frequency x + offset)^2)`.

  With `scale = exp(log_scale)` and `frequency = exp(log_frequency)`, and

      amplitude = 8 sqrt(3) / 9 * alpha * tanh(raw_perturbation) * scale / frequency

  the slope stays above `(1 - alpha) scale`: every value of every parameter gives an
  increasing bijection of the real line.

  `forward` is the formula, `inverse` the only real root of a cubic, in closed form and
  polished by Newton steps, with error near what the rounding of its arguments costs.
  Both have exact derivatives up to the third.

  **Which way.** A density takes `inverse`, and is many-peaked where `inverse` is steep.
  A flow that should be cheap where densities are evaluated, as in training, lets the
  formula run from data to noise: `tfb.Invert(NonlinearSquared(...))` maps noise to data.
  `MaskedAutoregressive` and `SplitCoupling` do this.

  Source: paper 002 (Ziegler and Rush, Latent Normalizing Flows for Discrete Sequences),
  section 4.3 and appendix B, whose critical points should read (-g +- sqrt(1/3)) / d.
  """

  def __init__(
    self,
    shift,
    log_scale,
    raw_perturbation,
    log_frequency,
    offset,
    alpha=0.95,
    validate_args=False,
    name="nonlinear_squared",
  ):
    """Makes the map of given parameters, whose shapes broadcast to the batch shape.

    Args:
      shift: Float tensor, added to the output.
      log_scale: Float tensor, logarithm of the slope far from the perturbation.
      raw_perturbation: Float tensor; its tanh is the share of the largest perturbation
        that keeps the map increasing, 0 makes it affine.
      log_frequency: Float tensor, minus the logarithm of the perturbation's width.
      offset: Float tensor; the perturbation is centred at -offset / frequency.
      alpha: Python float in (0, 1); the slope falls to `1 - alpha` times `scale` at most.
      validate_args: Accepted as by every TFP bijector; there is nothing to check.
      name: Name of the bijector.

    Raises:
      ValueError: If `alpha` is not inside (0, 1).
    """
    parameters = dict(locals())
    if not 0.0 < alpha < 1.0:
      raise ValueError(f"alpha must lie inside (0, 1), such as 0.95; got {alpha}.")
    with tf.name_scope(name) as name:
      arguments = (shift, log_scale, raw_perturbation, log_frequency, offset)
      dtype = dtype_util.common_dtype(arguments, dtype_hint=tf.float32)

      def convert(value, label):
        return tensor_util.convert_nonref_to_tensor(value, dtype=dtype, name=label)

      self._shift = convert(shift, "shift")
      self._log_scale = convert(log_scale, "log_scale")
      self._raw_perturbation = convert(raw_perturbation, "raw_perturbation")
      self._log_frequency = convert(log_frequency, "log_frequency")
      self._offset = convert(offset, "offset")
      self._alpha = alpha
      super().__init__(
        forward_min_event_ndims=0,
        validate_args=validate_args,
        dtype=dtype,
        parameters=parameters,
        name=name,
      )

  @classmethod
  def _parameter_properties(cls, dtype):
    names = ("shift", "log_scale", "raw_perturbation", "log_frequency", "offset")
    return {name: tfp.util.ParameterProperties() for name in names}

  @property
  def shift(self):
    """What is added to the output."""
    return self._shift

  @property
  def log_scale(self):
    """Logarithm of the slope far from the perturbation."""
    return self._log_scale

  @property
  def raw_perturbation(self):
    """Size and sign of the perturbation before tanh."""
    return self._raw_perturbation

  @property
  def log_frequency(self):
    """Minus the logarithm of the perturbation's width."""
    return self._log_frequency

  @property
  def offset(self):
    """Argument of the perturbation at x = 0."""
    return self._offset

  @property
  def alpha(self):
    """The slope falls to `1 - alpha` times `exp(log_scale)` at most."""
    return self._alpha

  @classmethod
  def _is_increasing(cls, **kwargs):
    return True

  def _forward(self, x):
    return forward(x, self._coefficients()).value

  def _inverse(self, y):
    return inverse(y, self._coefficients())

  def _forward_log_det_jacobian(self, x):
    return forward(x, self._coefficients()).log_slope

  def _coefficients(self):
    return coefficients(
      self._shift,
      self._log_scale,
      self._raw_perturbation,
      self._log_frequency,
      self._offset,
      self._alpha,
    )


class Coefficients(NamedTuple):
  """The map in the units it is computed in; k in (-8 sqrt(3) / 9, 8 sqrt(3) / 9)."""

  shift: tf.Tensor
  scale: tf.Tensor
  log_scale: tf.Tensor
  k: tf.Tensor
  frequency: tf.Tensor
  offset: tf.Tensor


class ForwardResult(NamedTuple):
  """Value of the map and logarithm of its slope, of the same shape."""

  value: tf.Tensor
  log_slope: tf.Tensor


def coefficients(
  shift, log_scale, raw_perturbation, log_frequency, offset, alpha
) -> Coefficients:
  """Coefficients of the map with the parameters of `NonlinearSquared`."""
  log_scale = tf.convert_to_tensor(log_scale)
  return Coefficients(
    shift=tf.convert_to_tensor(shift),
    scale=tf.exp(log_scale),
    log_scale=log_scale,
    k=_LARGEST_K * alpha * tf.tanh(raw_perturbation),
    frequency=tf.exp(log_frequency),
    offset=tf.convert_to_tensor(offset),
  )


def forward(x, c: Coefficients) -> ForwardResult:
  """The map and its log-slope at `x`, any shape that broadcasts with the coefficients."""
  u = _clip(c.frequency * x + c.offset, _LIMITS[x.dtype].square)
  bump = 1.0 / (1.0 + u * u)
  # log_scale takes part in the slope only by its own value: exact however small it is.
  return ForwardResult(
    c.shift + c.scale * (x + c.k / c.frequency * bump),
    c.log_scale + tf.math.log1p(-2.0 * c.k * u * bump * bump),
  )


def inverse(y, c: Coefficients):
  """The `x` that the map takes to `y`.

  In u = frequency x + offset and w = frequency (y - shift) / scale + offset the equation
  is `u + k / (1 + u^2) = w`: one parameter, no scales that could overflow.
  """
  linear = (y - c.shift) / c.scale
  u = root(c.frequency * linear + c.offset, c.k)
  # Not (u - offset) / frequency, which cancels where the offset is large.
  return linear - c.k / c.frequency / (1.0 + u * u)


def root(w, k):
  """The real root u of `u + k / (1 + u^2) = w` for |k| < 8 sqrt(3) / 9.

  The closed form carries no gradient: acosh has none at 1, and branches not taken would
  bring NaN. The two Newton steps that follow polish the value, and since each step makes
  twice as many terms of a Taylor series right, their plain differentiation gives exact
  derivatives up to the third.
  """
  w, k = tf.convert_to_tensor(w), tf.convert_to_tensor(k)
  w = _clip(w, _LIMITS[w.dtype].square)
  u = tf.stop_gradient(_closed_form(w, k))
  for _ in range(2):
    bump = 1.0 / (1.0 + u * u)
    u -= (u - w + k * bump) / (1.0 - 2.0 * k * u * bump * bump)
  return u


def _closed_form(w, k):
  """Root of u^3 - w u^2 + u + k - w by hyperbolic functions (Holmes, 2002)."""
  limits = _LIMITS[w.dtype]
  near = _clip(w, limits.linear)
  p = 1.0 - near * near / 3.0
  q = k - 2.0 * near / 3.0 - 2.0 * near * near * near / 27.0
  s = tf.sqrt(tf.maximum(tf.abs(p) / 3.0, limits.radius))
  # |q|: asinh of a large negative number would cancel.
  ratio = tf.abs(q) / (2.0 * s * s * s)
  flat = tf.sinh(tf.asinh(ratio) / 3.0)
  steep = tf.cosh(tf.acosh(tf.maximum(ratio, tf.ones([], w.dtype))) / 3.0)
  u = near / 3.0 - tf.sign(q) * 2.0 * s * tf.where(p >= 0.0, flat, steep)
  return tf.where(tf.abs(w) > limits.linear, w, u)


def _clip(value, limit: float):
  return tf.clip_by_value(value, -limit, limit)
