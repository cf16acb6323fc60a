"""What a network must offer to drive a temporal autoregressive transform.

The transform needs the shift and log-scale of a frame, given the frames before it, in
two ways: for all frames of a known sequence at once (density), and for one frame after
another while the sequence is being made (sampling). A `TemporalNetwork` offers both
with the same weights.
"""

import abc
from collections.abc import Sequence
from typing import NamedTuple, Optional

import tensorflow as tf


class TemporalParameters(NamedTuple):
  """Parameters of an affine map of frames.

  Attributes:
    shift: Tensor shaped as the frames it belongs to.
    log_scale: Tensor of the same shape.
  """

  shift: tf.Tensor
  log_scale: tf.Tensor


class TemporalNetwork(tf.keras.layers.Layer, abc.ABC):
  """Base of networks that predict frames from the frames before them.

  All weights are there after the constructor. Frames that are not there (before the
  start of a sequence, or masked) must come as zeros; `present` tells them from frames
  that are black.

  Attributes:
    window: Frames that must come before the first frame that is predicted.
    unlimited_memory: Whether a prediction reads all frames before it, not only the last
      `window`.
    frame_shape: Shape of one frame; None in it where any size will do.
    event_ndims: Rank of a sequence, 1 + rank of a frame.

  Args:
    frame_shape: See above.
    window: See above.
    arguments: The subclass' own arguments of the constructor, for `get_config`.
    **kwargs: `name`, `dtype` and what else a Keras layer takes.

  Raises:
    ValueError: If `window` is below 1.
  """

  unlimited_memory = False

  def __init__(
    self,
    frame_shape: Sequence[Optional[int]],
    window: int,
    arguments: dict,
    **kwargs,
  ):
    super().__init__(**kwargs)
    if window < 1:
      raise ValueError(f"window must be at least 1 frame; got {window}.")
    self.window = int(window)
    self.frame_shape = tuple(frame_shape)
    self.event_ndims = 1 + len(self.frame_shape)
    self._arguments = {**arguments, "window": self.window}

  @abc.abstractmethod
  def call(self, frames, present=None, training=None, **conditions):
    """Predicts all frames of a sequence at once.

    Args:
      frames: Tensor [..., n, *frame_shape], n at least `window`.
      present: Bool tensor [..., n], False where there is no frame; by default all are.
      training: Whether batch statistics are taken and updated.
      **conditions: What else the network reads.

    Returns:
      `TemporalParameters` [..., n - window + 1, *frame_shape]. Entry j belongs to the
      frame that follows frames[j + window - 1] and reads no frame after that one.
    """

  @abc.abstractmethod
  def initial_state(self, frames, present=None, training=None, **conditions):
    """State after reading `frames`, at least `window` of them; arguments as `call`."""

  @abc.abstractmethod
  def parameters(self, state, training=None, **conditions):
    """`TemporalParameters` [..., *frame_shape] of the frame that comes next."""

  @abc.abstractmethod
  def next_state(self, state, frame, present=None, training=None, **conditions):
    """State after one more `frame` [..., *frame_shape]; `present` is [...]."""

  def get_config(self):
    """Arguments of the constructor."""
    return {**super().get_config(), **self._arguments}


class WindowNetwork(TemporalNetwork):
  """Encodes each frame by itself, then predicts from the codes of `window` frames.

  In a sequence each frame is encoded once, not once for each window it is in; sampling
  keeps the codes of the last window, so that a step encodes one frame.

  Args:
    frame_shape: Shape of one frame.
    window: Frames read for a prediction.
    arguments: The subclass' own arguments of the constructor.
    code_ndims: Rank of a frame's code, its last axis the features.
    predict_change: Whether shifts are predicted as differences to the newest frame.
    **kwargs: `name`, `dtype` and what else a Keras layer takes.
  """

  def __init__(
    self, frame_shape, window, arguments, code_ndims, predict_change, **kwargs
  ):
    arguments = {**arguments, "predict_change": predict_change}
    super().__init__(frame_shape, window, arguments, **kwargs)
    self._code_ndims = code_ndims
    self._predict_change = predict_change

  @abc.abstractmethod
  def _encode(self, frames, present, training):
    """Codes [..., *, features] of frames [..., *frame_shape]."""

  @abc.abstractmethod
  def _decode(self, codes, training, axes_of_time, **conditions):
    """Parameters [..., *frame_shape] from codes [..., *, window * features].

    The axis before those of a frame is that of time if `axes_of_time` is 1; conditions
    do not have it. It is 0 in sampling: a step saves the ops that would add it.
    """

  def call(self, frames, present=None, training=None, **conditions):
    """See base class."""
    codes = self._encode(frames, present, training)
    count = dims(frames)[-self.event_ndims] - self.window + 1
    axis, last = -1 - self._code_ndims, self.window - 1
    # Not by slices: their gradients take longer than all convolutions.
    windows = [
      tf.split(codes, [i, count, last - i], axis)[1] for i in range(self.window)
    ]
    newest = time_slice(frames, self.event_ndims - 1, self.window - 1, None)
    return self._predict(tf.concat(windows, -1), newest, training, 1, conditions)

  def initial_state(self, frames, present=None, training=None, **conditions):
    """See base class."""
    del conditions
    frames = tf.cast(frames, self.compute_dtype)
    frames = time_slice(frames, self.event_ndims - 1, -self.window, None)
    if present is not None:
      present = present[..., -self.window :]
    codes = self._encode(frames, present, training)
    codes = tf.concat(tf.unstack(codes, self.window, axis=-1 - self._code_ndims), -1)
    return self._state(
      codes, tf.gather(frames, self.window - 1, axis=-self.event_ndims)
    )

  def parameters(self, state, training=None, **conditions):
    """See base class."""
    newest = state[1] if self._predict_change else None
    return self._predict(state[0], newest, training, 0, conditions)

  def next_state(self, state, frame, present=None, training=None, **conditions):
    """See base class."""
    del conditions
    frame = tf.cast(frame, self.compute_dtype)
    code = self._encode(frame, present, training)
    codes = tf.concat([state[0][..., code.shape[-1] :], code], -1)
    return self._state(codes, frame)

  def _state(self, codes, newest):
    return (codes, newest) if self._predict_change else (codes,)

  def _predict(self, codes, newest, training, axes_of_time, conditions):
    shift, log_scale = self._decode(codes, training, axes_of_time, **conditions)
    if self._predict_change:
      shift += newest
    return TemporalParameters(shift, log_scale)


def dims(x):
  """Shape of a tensor as a list: numbers where they are known, scalar tensors else."""
  dynamic = tf.shape(x)
  return [dynamic[i] if n is None else n for i, n in enumerate(x.shape)]


def time_slice(x, frame_ndims, start, stop):
  """x[..., start:stop, *] of a tensor with `frame_ndims` axes after that of time."""
  return x[(..., slice(start, stop), *[slice(None)] * frame_ndims)]
