"""Invertible maps of a scalar whose parameters a network gives, for flows to choose from.

All of them are cheap from data to noise, the direction of densities and of training.
"""

import math
from typing import NamedTuple, Union

import tensorflow as tf

from tfafs.bijectors import nonlinear_squared

# Networks may say what they like: no scale leaves [1e-3, 1e3].
_LARGEST_LOG_SCALE = math.log(1e3)


class Noise(NamedTuple):
  """Noise of data, and log of the slope of noise in data, of the same shape."""

  value: tf.Tensor
  log_slope: tf.Tensor


class AffineMap:
  """noise = (data - shift) / scale, `scale` between 1e-3 and 1e3."""

  num_parameters = 2

  def to_noise(self, data, parameters) -> Noise:
    """Noise and log-slope of `data` [...] under `parameters` [..., 2]."""
    shift, log_scale = self._split(parameters)
    return Noise((data - shift) * tf.exp(-log_scale), -log_scale)

  def to_data(self, noise, parameters):
    """Data of `noise` [...] under `parameters` [..., 2]."""
    shift, log_scale = self._split(parameters)
    return shift + tf.exp(log_scale) * noise

  def _split(self, parameters):
    shift, log_scale = tf.unstack(parameters, axis=-1)
    return shift, _bound(log_scale)


class SigmoidAffineMap:
  """noise = (data + shift) * sigmoid(score + 2), a slope between 0 and 1.

  Source: the code of Kingma and Dhariwal, Glow, 2018.
  """

  num_parameters = 2

  def to_noise(self, data, parameters) -> Noise:
    """Noise and log-slope of `data` [...] under `parameters` [..., 2]."""
    shift, score = tf.unstack(parameters, axis=-1)
    log_slope = tf.math.log_sigmoid(score + 2.0)
    return Noise((data + shift) * tf.exp(log_slope), log_slope)

  def to_data(self, noise, parameters):
    """Data of `noise` [...] under `parameters` [..., 2]."""
    shift, score = tf.unstack(parameters, axis=-1)
    return noise * (1.0 + tf.exp(-(score + 2.0))) - shift


class NonlinearSquaredMap:
  """noise = NLSq(data): the formula towards noise, the cubic's root towards data.

  Source: paper 002, appendix B; the gains of the network's outputs are its code's.
  """

  num_parameters = 5

  def __init__(self, alpha: float = 0.95):
    """Makes the map.

    Args:
      alpha: In (0, 1), how near the slope of the noise may come to zero.

    Raises:
      ValueError: If `alpha` is not inside (0, 1).
    """
    if not 0.0 < alpha < 1.0:
      raise ValueError(f"alpha must lie inside (0, 1), such as 0.95; got {alpha}.")
    self.alpha = alpha

  def to_noise(self, data, parameters) -> Noise:
    """Noise and log-slope of `data` [...] under `parameters` [..., 5]."""
    return Noise(*nonlinear_squared.forward(data, self._coefficients(parameters)))

  def to_data(self, noise, parameters):
    """Data of `noise` [...] under `parameters` [..., 5]."""
    return nonlinear_squared.inverse(noise, self._coefficients(parameters))

  def _coefficients(self, parameters):
    shift, log_scale, perturbation, log_frequency, offset = tf.unstack(
      parameters, axis=-1
    )
    return nonlinear_squared.coefficients(
      shift,
      _bound(0.4 * log_scale),
      0.3 * perturbation,
      _bound(0.4 * log_frequency),
      offset,
      self.alpha,
    )


ScalarMap = Union[AffineMap, SigmoidAffineMap, NonlinearSquaredMap]
_BY_NAME = {
  "affine": AffineMap,
  "sigmoid_affine": SigmoidAffineMap,
  "nonlinear_squared": NonlinearSquaredMap,
}


def get(scalar: Union[str, ScalarMap]) -> ScalarMap:
  """The map called `scalar`, or `scalar` itself if it is one.

  Raises:
    ValueError: If there is no map of that name.
  """
  if not isinstance(scalar, str):
    return scalar
  if scalar not in _BY_NAME:
    raise ValueError(
      f"scalar must be one of {sorted(_BY_NAME)} or a map; got {scalar!r}."
    )
  return _BY_NAME[scalar]()


def _bound(log_scale):
  """Bounds smoothly, with slope 1 at zero."""
  return log_scale / (1.0 + tf.abs(log_scale) / _LARGEST_LOG_SCALE)
