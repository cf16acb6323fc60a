"""LSTM that sums up, for each frame of a sequence, the frames before it."""

from typing import NamedTuple, Optional

import tensorflow as tf
from tensorflow_probability.python.internal import prefer_static as ps


class Positions(NamedTuple):
  """Where frames stand in their sequences, both int32 [batch, T] or broadcastable.

  Attributes:
    index: Frames before this one.
    left: Frames after this one.
  """

  index: tf.Tensor
  left: tf.Tensor


class RecurrentContext(tf.keras.layers.Layer):
  """Context h_t of frame t from frames before t, by LSTM layers.

  With `max_length`, h_t also depends on how far frame t is from the beginning and from
  the end of its sequence (two one-hot vectors, paper 002, appendix C): a flow of known
  length needs this, since nothing in it marks an end.

  Two ways to the same numbers: `call` reads whole sequences, `initial_state`, `output`
  and `next_state` go frame by frame.
  """

  def __init__(
    self,
    frame_size: int,
    units: int = 64,
    layers: int = 1,
    max_length: Optional[int] = None,
    dtype="float32",
    name: Optional[str] = None,
  ):
    """Makes the layer and its variables.

    Args:
      frame_size: Size H of a frame.
      units: Units of each LSTM layer, and size of the context.
      layers: Number of LSTM layers.
      max_length: Length of the longest sequence if positions count, else None.
      dtype: Floating type of variables and results.
      name: Name of the layer.

    Raises:
      ValueError: If a size is not positive.
    """
    super().__init__(name=name, dtype=dtype, autocast=False)
    if min(frame_size, units, layers, 1 if max_length is None else max_length) < 1:
      raise ValueError(
        "frame_size, units, layers and max_length must be at least 1; got "
        f"{frame_size}, {units}, {layers}, {max_length}."
      )
    self.frame_size, self.units, self.max_length = frame_size, units, max_length
    self._cells = [tf.keras.layers.LSTMCell(units, dtype=dtype) for _ in range(layers)]
    for i, cell in enumerate(self._cells):
      cell.build([None, units if i else frame_size])
    self._start = self.add_weight("start", (units,), None, "zeros")
    self._positions = None
    if max_length is not None:
      self._positions = [
        self.add_weight(name, (max_length, units), None, "glorot_uniform")
        for name in ("from_beginning", "from_end")
      ]
    self.built = True

  def initial_state(self, count):
    """State before the first frame of `count` sequences."""
    zeros = tf.zeros([count, self.units], self.dtype)
    start = tf.broadcast_to(self._start, [count, self.units])
    # The output of the top layer comes first in the state of its cell.
    states = [(zeros, zeros) for _ in self._cells]
    states[-1] = (start, zeros)
    return tuple(states)

  def output(self, state, positions: Optional[Positions] = None):
    """Context [batch, units] of the next frame; `positions` are that frame's, [batch]."""
    return self._with_positions(state[-1][0], positions)

  def next_state(self, state, frame, present=None):
    """State after `frame` [batch, H]; where `present` [batch] is False, the old one."""
    value, new = frame, []
    for cell, old in zip(self._cells, state):
      value, states = cell(value, list(old))
      new.append(tuple(states))
    if present is not None:
      keep = present[:, tf.newaxis]
      new = tf.nest.map_structure(lambda a, b: tf.where(keep, a, b), tuple(new), state)
    return tuple(new)

  def call(self, frames, present=None, positions: Optional[Positions] = None):
    """Contexts of all frames in one pass of the LSTM.

    Args:
      frames: Tensor [batch, T, H].
      present: Bool tensor [batch, T], False for frames that are not there, or None.
      positions: Needed if the layer was made with `max_length`.

    Returns:
      Tensor [batch, T, units]; entry t depends on the frames before t.
    """
    count, length = ps.shape(frames)[0], ps.shape(frames)[1]
    inputs = tf.TensorArray(frames.dtype, length).unstack(
      tf.transpose(frames, [1, 0, 2])
    )
    masks = None
    if present is not None:
      masks = tf.TensorArray(tf.bool, length).unstack(tf.transpose(present))
    outputs = tf.TensorArray(
      frames.dtype, length, element_shape=[frames.shape[0], self.units]
    )

    def body(t, state, outputs):
      outputs = outputs.write(t, state[-1][0])
      here = None if masks is None else masks.read(t)
      new = self.next_state(state, inputs.read(t), here)
      tf.nest.map_structure(lambda a, b: b.set_shape(a.shape), state, new)
      return t + 1, new, outputs

    *_, outputs = tf.while_loop(
      lambda t, *_: t < length,
      body,
      (tf.constant(0), self.initial_state(count), outputs),
      maximum_iterations=length,
    )
    return self._with_positions(tf.transpose(outputs.stack(), [1, 0, 2]), positions)

  def _with_positions(self, output, positions):
    if self._positions is None:
      return output
    for table, place in zip(self._positions, positions):
      # Positions of frames that are not there may lie anywhere.
      place = tf.clip_by_value(place, 0, self.max_length - 1)
      output += tf.gather(table, place)
    return output
