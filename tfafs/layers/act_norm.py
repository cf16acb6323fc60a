"""ActNorm: an affine map of each channel that starts by normalising what it meets."""

import contextlib
import threading
from typing import Optional

import tensorflow as tf

LOG_SCALE_GAIN = 3.0  # Of Glow's code: learned log-scales move so much faster.
_EPSILON = 1e-6
_start = threading.local()


@contextlib.contextmanager
def data_dependent_start():
  """Within it each `ActNorm` that is called takes its start from what it is called with.

  One eager pass of a model then starts all of them, each on what those before it give:

      with data_dependent_start():
        model(batch)

  What was called several times keeps the start of the last call. A bijector of TFP is not
  called for a tensor that it has met before and remembers: give it `tf.identity(batch)`.
  """
  before, _start.on = getattr(_start, "on", False), True
  try:
    yield
  finally:
    _start.on = before


class ActNorm(tf.keras.layers.Layer):
  """y = (x + bias) * exp(3 log_scale), for each channel (Kingma and Dhariwal, Glow, 2018).

  Biases and log-scales are 0 until `data_dependent_start` makes mean 0 and variance 1 of
  the channels of a batch. All weights are there after the constructor.

  Args:
    channels: Size of the last axis.
    steps: If given, inputs are [..., steps, height, width, channels], and each step has
      weights of its own; else they are [..., channels].
    data_dependent: Whether `data_dependent_start` has an effect.
    **kwargs: `name`, `dtype` and what else a Keras layer takes.
  """

  def __init__(
    self,
    channels: int,
    steps: Optional[int] = None,
    data_dependent: bool = True,
    **kwargs,
  ):
    super().__init__(**kwargs)
    self._data_dependent = data_dependent
    shape = [channels] if steps is None else [steps, 1, 1, channels]
    with tf.name_scope(self.name):
      self.bias = self.add_weight("bias", shape, initializer="zeros")
      self._log_scale = self.add_weight("log_scale", shape, initializer="zeros")

  @property
  def log_scale(self):
    """Logarithm of what the channels are multiplied by."""
    return LOG_SCALE_GAIN * self._log_scale

  def call(self, inputs):
    """Normalises."""
    if self._data_dependent and getattr(_start, "on", False):
      self._start_from(inputs)
    return (inputs + self.bias) * tf.exp(self.log_scale)

  def undo(self, outputs):
    """What `call` would make these outputs of."""
    return outputs * tf.exp(-self.log_scale) - self.bias

  def _start_from(self, x):
    shape = self.bias.shape
    own = [size > 1 or i == len(shape) - 1 for i, size in enumerate(shape)]
    kept = [x.shape.rank - len(shape) + i for i, keep in enumerate(own) if keep]
    others = [axis for axis in range(x.shape.rank) if axis not in kept]
    mean, variance = tf.nn.moments(x, others)
    log_scale = -tf.math.log(tf.sqrt(variance) + _EPSILON) / LOG_SCALE_GAIN
    self.bias.assign(tf.reshape(-mean, shape))
    self._log_scale.assign(tf.reshape(log_scale, shape))
