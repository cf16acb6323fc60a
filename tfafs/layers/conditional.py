"""Conditional layers: one network that works at several levels of quality.

Level B scales each channel that a convolution gives and moves it (Choi et al. 2019, as
paper 001, section 2.8, takes it up):

    outputs = activation(exp(log_scale[B]) * (kernel * inputs + bias) + shift[B])

Between two levels logarithms of scales, and shifts, are interpolated. All start at zero:
an untrained conditional network is the same at every level.
"""

import contextlib
import threading

import tensorflow as tf


def level_weights(quality, num_levels: int):
  """Weight of each level at some quality: 1 at its own, falling to 0 at its neighbours.

  Args:
    quality: float of any shape, in [0, num_levels - 1]; level n is quality n.
    num_levels: Number of levels.

  Returns:
    float32 [..., num_levels], exact for multiples of a small power of two.
  """
  distance = tf.cast(quality, tf.float32)[..., None] - tf.range(float(num_levels))
  return tf.maximum(1.0 - tf.abs(distance), 0.0)


class Condition(threading.local):
  """What quality the conditional layers of a model work at.

  It is set around a computation rather than handed from layer to layer, so that models
  with one level and with many are the same code:

      with condition.at(level_weights(quality, condition.num_levels)):
        latent = network(frames)

  Each thread has its own, as the replicas of `tf.distribute` want it.

  Attributes:
    num_levels: Number of levels.
  """

  def __init__(self, num_levels: int):
    self.num_levels = num_levels
    self._weights = None

  @contextlib.contextmanager
  def at(self, weights):
    """Works at some quality inside the block.

    Args:
      weights: float32 [batch or 1, num_levels], as `level_weights` gives them.
    """
    before, self._weights = self._weights, weights
    try:
      yield
    finally:
      self._weights = before

  def select(self, table):
    """Rows of a table at the present quality.

    Args:
      table: float32 [num_levels, channels].

    Returns:
      float32 [batch or 1, 1, 1, channels]. Where the table holds integers and quality
      is a multiple of a sixteenth all products and sums are exact, in any order.

    Raises:
      ValueError: no quality is set.
    """
    if self._weights is None:
      raise ValueError("A conditional layer is called outside of `Condition.at`.")
    return tf.reduce_sum(self._weights[:, :, None] * table, 1)[:, None, None, :]


class LevelAffine(tf.keras.layers.Layer):
  """Scales and moves channels as the level wants it, before an activation."""

  def __init__(self, condition: Condition, activation, name: str):
    """Makes the layer.

    Args:
      condition: Where it reads the level.
      activation: What Keras takes for one, None for none.
      name: Name of the layer.
    """
    super().__init__(name=name, dtype="float32", autocast=False)
    self._condition = condition
    self._activation = tf.keras.activations.get(activation)

  def build(self, input_shape):
    """Creates the tables."""
    shape = (self._condition.num_levels, input_shape[-1])
    self.log_scale = self.add_weight("log_scale", shape, initializer="zeros")
    self.shift = self.add_weight("shift", shape, initializer="zeros")
    super().build(input_shape)

  def call(self, inputs):
    """Maps [batch, height, width, channels], of any floating type, to the same."""
    scale = tf.exp(self._condition.select(self.log_scale))
    shift = self._condition.select(self.shift)
    outputs = inputs * tf.cast(scale, inputs.dtype) + tf.cast(shift, inputs.dtype)
    return self._activation(outputs)


class Chain(tf.keras.layers.Layer):
  """Layers one behind the other.

  Not a `tf.keras.Sequential`, which would call them outside of the block that sets their
  level in order to learn their shapes.
  """

  def __init__(self, layers, name: str):
    super().__init__(name=name, autocast=False)
    self._chain = list(layers)

  def call(self, inputs):
    """Calls the layers in turn."""
    for layer in self._chain:
      inputs = layer(inputs)
    return inputs
