"""Convolutional, dense and recurrent networks for temporal autoregressive transforms."""

import math
from collections.abc import Sequence

import tensorflow as tf

from tfafs.layers import stacks
from tfafs.layers.temporal_network import (
  TemporalNetwork,
  TemporalParameters,
  WindowNetwork,
  dims,
  time_slice,
)


class ConvolutionalTemporalNetwork(WindowNetwork):
  """The network of temporal autoregressive flows on images (paper 000, Appendix).

  One encoder for every frame, codes of the window's frames side by side (oldest first),
  convolutions over them, and a linear head. Every convolution is 3x3 with stride 1, and
  all but the head are followed by batch normalisation and ReLU. With one channel it has
  335,042 trainable weights, with three 338,502.

  Batch normalisation takes the statistics of the batch where `training` is True, as in
  Keras' `fit`; a datum's density then depends on its batch. A frame that is not there
  has the code -1, which no frame has.

  Args:
    channels: Channels of a frame; its height and width may be any.
    window: Frames read for a prediction.
    filters: Channels inside.
    encoder_layers: Convolutions applied to each frame by itself, at least 1.
    fusion_layers: Convolutions over the window's codes.
    batch_normalization: Whether there is any.
    predict_change: Whether shifts are predicted as differences to the newest frame. A
      transform whose head is 0 is then frame differencing, otherwise the identity.
    head_initializer: Initial kernel of the head, zeros by default.
    **kwargs: `name`, `dtype` and what else a Keras layer takes.
  """

  def __init__(
    self,
    channels: int,
    window: int = 3,
    filters: int = 64,
    encoder_layers: int = 4,
    fusion_layers: int = 4,
    batch_normalization: bool = True,
    predict_change: bool = False,
    head_initializer="zeros",
    **kwargs,
  ):
    if encoder_layers < 1:
      raise ValueError(f"encoder_layers must be at least 1; got {encoder_layers}.")
    arguments = {
      "channels": channels,
      "filters": filters,
      "encoder_layers": encoder_layers,
      "fusion_layers": fusion_layers,
      "batch_normalization": batch_normalization,
      "head_initializer": head_initializer,
    }
    frame_shape = (None, None, channels)
    super().__init__(frame_shape, window, arguments, 3, predict_change, **kwargs)
    policy = self.dtype_policy

    def blocks(name, count, inputs):
      layers = []
      for i in range(count):
        layers.append(_convolution(filters, "he_normal", policy, f"{name}_{i}"))
        if batch_normalization:  # The constants are those of the original code.
          layers.append(
            tf.keras.layers.BatchNormalization(
              momentum=0.9, epsilon=1e-5, dtype=policy, name=f"{name}_{i}_norm"
            )
          )
        layers.append(tf.keras.layers.ReLU(dtype=policy))
      return stacks.built(layers, [None, None, None, inputs])

    fused = window * filters
    self._encoder = blocks("encoder", encoder_layers, channels)
    self._fusion = blocks("fusion", fusion_layers, fused)
    head = _convolution(2 * channels, head_initializer, policy, "head")
    inputs = filters if fusion_layers else fused
    self._head = stacks.built([head], [None, None, None, inputs])

  def _encode(self, frames, present, training):
    codes = stacks.on_images(self._encoder, frames, training)
    if present is not None:  # ReLU makes no code of -1.
      codes = tf.where(present[..., None, None, None], codes, -1)
    return codes

  def _decode(self, codes, training, axes_of_time):
    del axes_of_time
    return tf.split(
      stacks.on_images([*self._fusion, *self._head], codes, training), 2, -1
    )


class DenseTemporalNetwork(WindowNetwork):
  """Predicts frames of any fixed shape from a window by fully connected layers.

  Of each frame the network reads all values and whether the frame is there.

  Args:
    frame_shape: Shape of one frame, such as [channels].
    window: Frames read for a prediction.
    hidden_units: Sizes of the hidden layers.
    activation: Activation of the hidden layers.
    conditional_size: Length of a vector `conditional_input` [..., conditional_size]
      that every prediction reads too; 0 for none.
    predict_change: Whether shifts are predicted as differences to the newest frame. A
      transform whose head is 0 is then frame differencing, otherwise the identity.
    head_initializer: Initial kernel of the last layer, zeros by default.
    **kwargs: `name`, `dtype` and what else a Keras layer takes.
  """

  def __init__(
    self,
    frame_shape: Sequence[int],
    window: int = 3,
    hidden_units: Sequence[int] = (64, 64),
    activation="relu",
    conditional_size: int = 0,
    predict_change: bool = False,
    head_initializer="zeros",
    **kwargs,
  ):
    arguments = {
      "frame_shape": list(frame_shape),
      "hidden_units": list(hidden_units),
      "activation": activation,
      "conditional_size": conditional_size,
      "head_initializer": head_initializer,
    }
    super().__init__(frame_shape, window, arguments, 1, predict_change, **kwargs)
    size = _frame_size(self.frame_shape)
    self._conditional_size = conditional_size
    layers = [
      _dense(units, "he_normal", self.dtype_policy, f"hidden_{i}", activation)
      for i, units in enumerate(hidden_units)
    ]
    layers.append(_dense(2 * size, head_initializer, self.dtype_policy, "head"))
    self._dense = stacks.built(layers, [None, window * (size + 1) + conditional_size])

  def _encode(self, frames, present, training):
    del training
    return _flat_frames(frames, present, self.frame_shape)

  def _decode(self, codes, training, axes_of_time, conditional_input=None):
    inputs = _with_condition(
      codes, conditional_input, self._conditional_size, axes_of_time
    )
    outputs = _run_on_vectors(self._dense, inputs)
    return _frame_parameters(outputs, self.frame_shape)


class RecurrentTemporalNetwork(TemporalNetwork):
  """Predicts a frame of any fixed shape from all frames before it by LSTMs or GRUs.

  Of each frame the network reads all values and whether the frame is there.

  Args:
    frame_shape: Shape of one frame, such as [channels].
    units: Size of each recurrent layer.
    cell: "lstm" or "gru".
    window: Frames that stand before the first one predicted; one is enough, the memory
      does not end with it.
    conditional_size: Length of a vector `conditional_input` [..., conditional_size]
      that every step reads too; 0 for none.
    predict_change: Whether shifts are predicted as differences to the newest frame. A
      transform whose head is 0 is then frame differencing, otherwise the identity.
    head_initializer: Initial kernel of the last layer, zeros by default.
    **kwargs: `name`, `dtype` and what else a Keras layer takes.
  """

  unlimited_memory = True

  def __init__(
    self,
    frame_shape: Sequence[int],
    units: Sequence[int] = (64,),
    cell: str = "lstm",
    window: int = 1,
    conditional_size: int = 0,
    predict_change: bool = False,
    head_initializer="zeros",
    **kwargs,
  ):
    kinds = {"lstm": tf.keras.layers.LSTM, "gru": tf.keras.layers.GRU}
    if cell not in kinds:
      raise ValueError(f"cell must be 'lstm' or 'gru'; got {cell!r}.")
    if not units:
      raise ValueError("units must name the size of at least one recurrent layer.")
    arguments = {
      "frame_shape": list(frame_shape),
      "units": list(units),
      "cell": cell,
      "conditional_size": conditional_size,
      "predict_change": predict_change,
      "head_initializer": head_initializer,
    }
    super().__init__(frame_shape, window, arguments, **kwargs)
    size = _frame_size(self.frame_shape)
    self._conditional_size = conditional_size
    self._predict_change = predict_change
    layers = [
      kinds[cell](
        count,
        return_sequences=True,
        return_state=True,
        dtype=self.dtype_policy,
        name=f"{cell}_{i}",
      )
      for i, count in enumerate(units)
    ]
    self._recurrent = stacks.built(layers, [None, None, size + 1 + conditional_size])
    head = _dense(2 * size, head_initializer, self.dtype_policy, "head")
    self._head = stacks.built([head], [None, units[-1]])

  def call(self, frames, present=None, training=None, conditional_input=None):
    """See base class."""
    outputs, _ = self._read(frames, present, training, conditional_input)
    outputs = time_slice(outputs, 1, self.window - 1, None)
    newest = time_slice(frames, self.event_ndims - 1, self.window - 1, None)
    return self._predict(outputs, newest)

  def initial_state(self, frames, present=None, training=None, conditional_input=None):
    """See base class."""
    frames = tf.cast(frames, self.compute_dtype)
    outputs, states = self._read(frames, present, training, conditional_input)
    leading = dims(outputs)[:-2]
    states = tf.nest.map_structure(
      lambda x: tf.reshape(x, [*leading, x.shape[-1]]), states
    )
    newest = time_slice(frames, self.event_ndims - 1, -1, None)
    return states, tf.squeeze(newest, -self.event_ndims)

  def parameters(self, state, training=None, conditional_input=None):
    """See base class."""
    del training, conditional_input  # They were read with the newest frame.
    states, newest = state
    return self._predict(states[-1][0], newest)

  def next_state(
    self, state, frame, present=None, training=None, conditional_input=None
  ):
    """See base class."""
    frame = tf.cast(frame, self.compute_dtype)
    inputs = self._inputs(frame, present, conditional_input, 0)
    leading = dims(inputs)[:-1]
    flow = tf.reshape(inputs, [-1, inputs.shape[-1]])
    states = []
    for layer, old in zip(self._recurrent, state[0]):
      old = [tf.reshape(x, [-1, x.shape[-1]]) for x in old]
      flow, new = layer.cell(flow, old, training=training)
      new = tf.nest.flatten(new)
      states.append(tuple(tf.reshape(x, [*leading, x.shape[-1]]) for x in new))
    return tuple(states), frame

  def _inputs(self, frames, present, conditional_input, axes_of_time):
    flat = _flat_frames(frames, present, self.frame_shape)
    size = self._conditional_size
    return _with_condition(flat, conditional_input, size, axes_of_time)

  def _read(self, frames, present, training, conditional_input):
    inputs = self._inputs(frames, present, conditional_input, 1)
    leading = dims(inputs)[:-1]
    flow = tf.reshape(inputs, [-1, leading[-1], inputs.shape[-1]])
    states = []
    for layer in self._recurrent:
      flow, *state = layer(flow, training=training)
      states.append(tuple(state))
    return tf.reshape(flow, [*leading, flow.shape[-1]]), tuple(states)

  def _predict(self, outputs, newest):
    outputs = _run_on_vectors(self._head, outputs)
    shift, log_scale = _frame_parameters(outputs, self.frame_shape)
    return TemporalParameters(
      shift + newest if self._predict_change else shift, log_scale
    )


def _convolution(filters, initializer, policy, name):
  return tf.keras.layers.Conv2D(
    filters,
    3,
    padding="same",
    kernel_initializer=initializer,
    dtype=policy,
    name=name,
  )


def _dense(units, initializer, policy, name, activation=None):
  return tf.keras.layers.Dense(
    units, activation, kernel_initializer=initializer, dtype=policy, name=name
  )


def _run_on_vectors(layers, x):
  """Applies dense layers to [..., any], also without a batch."""
  if x.shape.rank > 1:
    return stacks.run(layers, x, None)
  return stacks.run(layers, x[tf.newaxis], None)[0]


def _frame_size(frame_shape):
  if None in frame_shape:
    raise ValueError(
      f"frame_shape must be known for a dense or recurrent network; got {frame_shape}. "
      "Give every size, or take a ConvolutionalTemporalNetwork."
    )
  return math.prod(frame_shape)


def _flat_frames(frames, present, frame_shape):
  """[..., size + 1]: the values of each frame, and 1 where it is there."""
  leading = dims(frames)[: -len(frame_shape) or None]
  flat = tf.reshape(frames, [*leading, math.prod(frame_shape)])
  if present is None:
    there = tf.ones([*leading, 1], flat.dtype)
  else:
    there = tf.broadcast_to(tf.cast(present, flat.dtype)[..., None], [*leading, 1])
  return tf.concat([flat, there], -1)


def _with_condition(x, conditional_input, size, axes_of_time):
  """Appends a vector [..., size] to x [..., any], or to each step [..., n, any]."""
  if (conditional_input is None) == bool(size):
    raise ValueError(
      f"conditional_input must be given if and only if conditional_size is positive; "
      f"conditional_size is {size} and conditional_input {conditional_input}."
    )
  if not size:
    return x
  condition = tf.cast(tf.convert_to_tensor(conditional_input), x.dtype)
  if not condition.shape[-1:].is_compatible_with([size]):
    raise ValueError(
      f"conditional_input must be [..., {size}], as conditional_size says; got "
      f"{condition.shape}."
    )
  if axes_of_time:
    condition = condition[..., None, :]
  condition = tf.broadcast_to(condition, [*dims(x)[:-1], size])
  return tf.concat([x, condition], -1)


def _frame_parameters(outputs, frame_shape):
  shape = [*dims(outputs)[:-1], *frame_shape]
  shift, log_scale = tf.split(outputs, 2, -1)
  return tf.reshape(shift, shape), tf.reshape(log_scale, shape)
