"""Convolutions that see where the image ends: those of Glow and VideoFlow."""

from typing import Optional

import tensorflow as tf

from tfafs.layers.act_norm import ActNorm
from tfafs.layers.temporal_network import dims


class EdgeConvolution(tf.keras.layers.Layer):
  """(convolution(x) + bias) * exp(3 log_scale), of a padding that is marked.

  Outside of the image the inputs are 0, and one more input channel, which is 0 inside, is
  1. Images are [..., height, width, inputs]. With `steps` the convolution is one of time,
  too: of [batch, steps, height, width, inputs] each step reads itself and the step before,
  and what comes before the first step is padding.

  A convolution to be followed by something else starts with weights N(0, 0.05), and its
  bias and scale are an `ActNorm`. One that `starts_at_zero` has weights, biases and
  log-scales of 0, whatever data it meets.

  All weights are there after the constructor.

  Source: the code of Kumar et al., VideoFlow, 2020.

  Args:
    inputs: Channels of the inputs.
    filters: Channels of the outputs.
    kernel_size: Side of the kernel, odd. A side of 1 needs no padding, and reads no step
      but its own.
    dilation: Distance of the places that are read, in space.
    steps: Steps of time, or None for images.
    starts_at_zero: See above.
    **kwargs: `name`, `dtype` and what else a Keras layer takes.
  """

  def __init__(
    self,
    inputs: int,
    filters: int,
    kernel_size: int = 3,
    dilation: int = 1,
    steps: Optional[int] = None,
    starts_at_zero: bool = False,
    **kwargs,
  ):
    super().__init__(**kwargs)
    self._filters, self._steps = filters, steps
    self._size, self._dilation = kernel_size, dilation
    self._frames_read = 2 if steps is not None and kernel_size > 1 else 1

    def start():  # One for each weight: an initializer repeats its numbers.
      if starts_at_zero:
        return tf.keras.initializers.Zeros()
      return tf.keras.initializers.RandomNormal(0.0, 0.05)

    side = [kernel_size, kernel_size]
    with tf.name_scope(self.name):
      shape = [*side, self._frames_read * inputs, filters]
      self.kernel = self.add_weight("kernel", shape, initializer=start())
      self.edge_kernel = None
      if kernel_size > 1:
        shape = [*side, self._frames_read, filters]
        self.edge_kernel = self.add_weight("edge_kernel", shape, initializer=start())
      self.norm = ActNorm(
        filters,
        None if starts_at_zero else steps,
        data_dependent=not starts_at_zero,
        dtype=self.dtype,
        name="norm",
      )

  def call(self, inputs):
    """Convolves; the outputs are as many and as large as the inputs."""
    shape = dims(inputs)
    x = inputs
    if self._frames_read > 1:
      before = tf.pad(x[:, :-1], [[0, 0], [1, 0], [0, 0], [0, 0], [0, 0]])
      x = tf.concat([before, x], -1)
    x = tf.reshape(x, [-1, *shape[-3:-1], self.kernel.shape[2]])
    x = tf.nn.convolution(x, self.kernel, padding="SAME", dilations=self._dilation)
    x = tf.reshape(x, [*shape[:-1], self._filters])
    if self.edge_kernel is not None:
      x += self._of_the_padding(*shape[-3:-1])
    return self.norm(x)

  def _of_the_padding(self, height, width):
    """What the marked padding adds, the same for each image: [(steps,) H, W, filters]."""
    reach = self._dilation * (self._size - 1) // 2
    around = [[0, 0], [reach, reach], [reach, reach], [0, 0]]
    inside = tf.zeros([self._steps or 1, height, width, self._frames_read], self.dtype)
    marks = tf.pad(inside, around, constant_values=1)
    if self._frames_read > 1:  # Before the first step there is nothing but padding.
      first = tf.concat([tf.ones_like(marks[:1, ..., :1]), marks[:1, ..., 1:]], -1)
      marks = tf.concat([first, marks[1:]], 0)
    added = tf.nn.convolution(
      marks, self.edge_kernel, padding="VALID", dilations=self._dilation
    )
    return added if self._frames_read > 1 else added[0]


class GatedStack(tf.keras.layers.Layer):
  """Convolution, ReLU, gate, convolution that starts at zero: the block of VideoFlow.

  The gate is tanh of one 1x1 convolution times the sigmoid of another.

  Args:
    inputs: Channels of the inputs.
    width: Channels inside.
    outputs: Channels of the outputs, which are 0 at the start.
    dilation: Of both outer convolutions, see `EdgeConvolution`.
    steps: As there.
    **kwargs: `name`, `dtype` and what else a Keras layer takes.
  """

  def __init__(
    self,
    inputs: int,
    width: int,
    outputs: int,
    dilation: int = 1,
    steps: Optional[int] = None,
    **kwargs,
  ):
    super().__init__(**kwargs)
    shared = {"steps": steps, "dtype": self.dtype}
    outer = {"dilation": dilation, **shared}
    with tf.name_scope(self.name):
      self._first = EdgeConvolution(inputs, width, name="first", **outer)
      self._tanh = EdgeConvolution(width, width, 1, name="tanh", **shared)
      self._gate = EdgeConvolution(width, width, 1, name="gate", **shared)
      self._last = EdgeConvolution(
        width, outputs, starts_at_zero=True, name="last", **outer
      )

  def call(self, inputs):
    """Images as `EdgeConvolution` takes them, to the same with `outputs` channels."""
    x = tf.nn.relu(self._first(inputs))
    x = tf.tanh(self._tanh(x)) * tf.sigmoid(self._gate(x))
    return self._last(x)
