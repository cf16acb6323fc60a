"""Networks that give shift and log-scale to TFP's MAF and Real NVP, log-scale bounded."""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp

LOG_SCALE_BOUND = 5.0


class AutoregressiveConditioner(tf.keras.layers.Layer):
  """Shift and log-scale of component i from components before it.

  A `tfp.bijectors.AutoregressiveNetwork`, built at once. Its masks are constraints on
  its weights: train it with a Keras optimizer, which applies them. Its activations are
  computed in float32, even in float64.
  """

  def __init__(
    self,
    event_size: int,
    hidden_units: Sequence[int] = (64, 64),
    dtype=None,
    name=None,
  ):
    """Creates the layer with its variables.

    Args:
      event_size: Number D of components of the event.
      hidden_units: Units of each hidden layer.
      dtype: Floating type of variables and results.
      name: Name of the layer.
    """
    dtype = dtype or tf.keras.backend.floatx()
    super().__init__(name=name, dtype=dtype, autocast=False)
    self._network = tfp.bijectors.AutoregressiveNetwork(
      params=2,
      event_shape=[event_size],
      hidden_units=list(hidden_units),
      activation="tanh",
      dtype=dtype,
    )
    self._network.build([None, event_size])
    self.built = True

  def call(self, x):
    """From [..., D] to shift and log-scale, both [..., D]."""
    shift, log_scale = tf.unstack(self._network(x), axis=-1)
    return shift, _bounded(log_scale)


class CouplingConditioner(tf.keras.layers.Layer):
  """Shift and log-scale of the transformed components from those that pass unchanged.

  Starts near the identity.
  """

  def __init__(
    self,
    size_in: int,
    size_out: int,
    hidden_units: Sequence[int] = (64, 64),
    dtype=None,
    name=None,
  ):
    """Creates the layer with its variables.

    Args:
      size_in: Number of components that pass unchanged.
      size_out: Number of components that are transformed.
      hidden_units: Units of each hidden layer.
      dtype: Floating type of variables and results.
      name: Name of the layer.
    """
    dtype = dtype or tf.keras.backend.floatx()
    super().__init__(name=name, dtype=dtype, autocast=False)
    self._layers = [
      tf.keras.layers.Dense(units, "tanh", dtype=dtype) for units in hidden_units
    ]
    small = tf.keras.initializers.RandomNormal(stddev=0.01)
    self._layers.append(
      tf.keras.layers.Dense(2 * size_out, kernel_initializer=small, dtype=dtype)
    )
    size = size_in
    for layer in self._layers:
      layer.build([None, size])
      size = layer.units
    self.built = True

  def call(self, x, size_out=None):
    """From [..., size_in] to shift and log-scale, both [..., size_out].

    Real NVP asks for `size_out` of them, which is what the layer has.
    """
    del size_out
    for layer in self._layers:
      x = layer(x)
    shift, log_scale = tf.split(x, 2, -1)
    return shift, _bounded(log_scale)


def _bounded(log_scale):
  """Softly within +-LOG_SCALE_BOUND: no scale explodes early in training."""
  return log_scale / (1.0 + tf.abs(log_scale) / LOG_SCALE_BOUND)
