"""ActivationNormalization: an affine map of each channel, for Glow."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors.masked_autoregressive import check_event
from tfafs.layers.act_norm import ActNorm

tfb = tfp.bijectors


class ActivationNormalization(tfb.Bijector):
  """Normalises the channels of data by learned means and deviations.

  Over the last dimension, with y the noise and x the data,

      inverse:  y = (x + bias) * scale          data to noise, density
      forward:  x = y / scale - bias            noise to data, sampling
      log |det dy/dx| = sum of log scale, for each place of an image

  It starts as the identity. Inside of `layers.act_norm.data_dependent_start()`, `inverse`
  takes biases and scales from the data that it gets, such that its channels have mean 0 and
  variance 1: do so once, eagerly, before training.

  Source: Kingma and Dhariwal, Glow, 2018, section 3.1.
  """

  def __init__(
    self,
    norm: ActNorm,
    validate_args: bool = False,
    name: str = "activation_normalization",
  ):
    """Makes the bijector of a layer; `build` makes both.

    Args:
      norm: The layer, with weights for channels alone.
      validate_args: Unused; bad shapes are always reported.
      name: Name of the ops.
    """
    parameters = dict(locals())
    with tf.name_scope(name) as name:
      self._norm = norm
      super().__init__(
        forward_min_event_ndims=1,
        is_constant_jacobian=True,
        dtype=tf.as_dtype(norm.dtype),
        validate_args=validate_args,
        parameters=parameters,
        name=name,
      )

  @classmethod
  def build(
    cls, channels: int, dtype="float32", name: str = "activation_normalization"
  ):
    """Makes the bijector with its weights.

    Args:
      channels: Size of the last dimension.
      dtype: Of weights and events.
      name: Name of the ops.

    Raises:
      ValueError: If `channels` is below 1.
    """
    if channels < 1:
      raise ValueError(f"channels must be at least 1; got {channels}.")
    return cls(ActNorm(channels, dtype=dtype, name="act_norm"), name=name)

  @classmethod
  def _parameter_properties(cls, dtype):
    return {}

  def _forward(self, y):
    check_event(y, self._norm.bias.shape[-1])
    return self._norm.undo(y)

  def _inverse(self, x):
    check_event(x, self._norm.bias.shape[-1])
    return self._norm(x)

  def _inverse_log_det_jacobian(self, x):
    del x  # Constant: TFP repeats it for each place.
    return tf.reduce_sum(self._norm.log_scale)
