"""Networks that couple one half of an image's channels to the other."""

import tensorflow as tf

from tfafs.layers.edge_convolution import GatedStack
from tfafs.layers.temporal_network import dims


class ConvolutionalCouplingNetwork(tf.keras.layers.Layer):
  """Parameters of a scalar map for each value of an image, from another image.

  The network of Glow's coupling as VideoFlow has it: a 3x3 convolution with ReLU, a gated
  1x1 convolution and a 3x3 convolution that starts at zero (`GatedStack`).

  Attributes:
    event_size: Channels that are read.
    outputs: Channels that get parameters.
    parameters: How many each of their values gets.
    event_ndims: 3; an event is an image.

  Args:
    event_size: See above.
    outputs: See above.
    parameters: See above.
    width: Channels inside.
    **kwargs: `name`, `dtype` and what else a Keras layer takes.
  """

  event_ndims = 3

  def __init__(
    self, event_size: int, outputs: int, parameters: int, width: int, **kwargs
  ):
    super().__init__(**kwargs)
    self.event_size, self.outputs, self.parameters = event_size, outputs, parameters
    with tf.name_scope(self.name):
      self._stack = GatedStack(
        event_size, width, outputs * parameters, dtype=self.dtype, name="stack"
      )

  def call(self, inputs):
    """[..., height, width, event_size] to [..., height, width, outputs, parameters]."""
    shape = [*dims(inputs)[:-1], self.outputs, self.parameters]
    return tf.reshape(self._stack(inputs), shape)

  def bind(self, context=None):
    """The function from images to parameters, as `SplitCoupling` asks for it.

    Raises:
      ValueError: If there is a context: this network reads none.
    """
    if context is not None:
      raise ValueError(f"{self.name} is not conditional; leave context away.")
    return self
