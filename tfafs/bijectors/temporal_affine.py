"""Affine autoregressive transform in time: a moving frame of reference."""

import math
from typing import Optional

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import cache_util, dtype_util, tensor_util
from tensorflow_probability.python.internal import prefer_static as ps

from tfafs.bijectors import sequences
from tfafs.layers.temporal_network import TemporalParameters

tfb = tfp.bijectors

DEFAULT_WINDOW = 3  # Paper 000.


class TemporalAffineAutoregressive(tfb.Bijector):
  """Predicts each frame from the frames before it and scales what is left.

  With y the noise and x the data, both sequences [T, *frame_shape],

      forward:  x_t = shift(x_<t) + scale(x_<t) * y_t         noise to data, sampling
      inverse:  y_t = (x_t - shift(x_<t)) / scale(x_<t)       data to noise, density
      log |det dx/dy| = sum over t and over all values of a frame of log scale(x_<t)

  (paper 000, eq. 4 to 7). A density is one pass of the network over all frames at once;
  a sample is T steps, each of which reads what the network needs for one frame, and not
  T * prod(frame_shape) passes as `tfb.MaskedAutoregressiveFlow` makes. The value and its
  log-determinant come from the same pass, also when they are asked for separately.

  `shift_and_log_scale` is either

  - a `TemporalNetwork` (`tfafs.layers.temporal_network`), convolutional, dense,
    recurrent or your own, or
  - any callable from frames [..., n, *frame_shape] to the pair (shift, log_scale), each
    broadcastable to [..., n - window + 1, *frame_shape] or None, for 0. Entry j belongs
    to the frame after frames[j + window - 1], and must read only the `window` frames up
    to that one. Frame differencing is `lambda frames: (frames, None)` with `window=1`.

  It is called with every keyword argument that is not one of those below, as in
  `bijector.inverse(x, conditional_input=c, training=True)`.

  Keyword arguments of `forward`, `inverse` and the log-determinants:

  - `context`: [..., k, *frame_shape], k frames that came before the event. The result
    is that of the longer sequence, for any k. Without it, the event is the beginning.
  - `mask`: bool [..., T], or `lengths`: int [...]. A frame where `mask` is False, or at
    and after `lengths`, is not there: it passes through unchanged, adds nothing to the
    log-determinant, and no other frame depends on it.

  The beginning: `window` frames stand before the first frame of a sequence. By default
  they are frames that are not there, as masked ones: zeros, and a `TemporalNetwork` is
  told so. (A plain callable sees the zeros only.) With `start` they are these frames.

  With batch dimensions on `context`, `mask` or `lengths` only, the result has them too.
  Events have the dtype of the network's weights; a callable's may have any.
  """

  # Calls `_augmented_*` and keeps the log-determinant they return beside the value.
  _cache = cache_util.BijectorCacheWithGreedyAttrs(
    forward_name="_augmented_forward", inverse_name="_augmented_inverse"
  )

  def __init__(
    self,
    shift_and_log_scale,
    window: Optional[int] = None,
    event_ndims: Optional[int] = None,
    start=None,
    max_scale: Optional[float] = 10.0,
    min_scale: Optional[float] = None,
    unroll_loop: bool = False,
    validate_args: bool = False,
    name: str = "temporal_affine_autoregressive",
  ):
    """Creates the bijector.

    Args:
      shift_and_log_scale: `TemporalNetwork` or callable, see above. A Keras layer or
        `tf.Module`, so that its variables are found.
      window: Frames read before the first prediction. By default the network's own, and
        3 for a callable.
      event_ndims: Rank of an event, the time axis and those of a frame. By default the
        network's own, and 2 for a callable: [T, channels].
      start: Tensor or variable that broadcasts to [window, *frame_shape], the frames
        before the first frame of a sequence, oldest first. None if there are none.
      max_scale: Upper bound of the scale (paper 000's code: 10), None for no bound.
      min_scale: Lower bound of the scale, None (as in the paper) for no bound. Without
        it, data that the past determines has an unbounded density.
      unroll_loop: Whether sampling is a graph of T steps and not a loop. For small
        batches it runs faster and takes longer to trace; T must then be known.
      validate_args: Unused; bad shapes are always reported.
      name: Name of the ops; the key of its keyword arguments in a `tfb.Chain`.

    Raises:
      ValueError: If `window` or `event_ndims` is below 1 or not the network's, or
        the bounds of the scale are not positive and ascending.
    """
    parameters = dict(locals())
    with tf.name_scope(name) as name:
      window = _agreed("window", window, shift_and_log_scale, DEFAULT_WINDOW)
      event_ndims = _agreed("event_ndims", event_ndims, shift_and_log_scale, 2)
      low = 0.0 if min_scale is None else min_scale
      high = math.inf if max_scale is None else max_scale
      if not 0 <= low < high or min_scale == 0:
        raise ValueError(
          "min_scale and max_scale must be positive and ascending, or None; got "
          f"{min_scale} and {max_scale}."
        )
      self._shift_and_log_scale = shift_and_log_scale
      self._window = window
      self._event_ndims = event_ndims
      self._unroll_loop = unroll_loop
      self._min_scale, self._max_scale = min_scale, max_scale
      if hasattr(shift_and_log_scale, "next_state"):
        self._network = shift_and_log_scale
        dtype = tf.as_dtype(self._network.dtype)
      else:
        self._network = _WindowFunction(shift_and_log_scale, window, event_ndims)
        dtype = None
      self._start = tensor_util.convert_nonref_to_tensor(
        start, dtype_hint=dtype or tf.float32, name="start"
      )
      if start is not None:
        dtype = dtype_util.common_dtype([self._start, dtype])
      super().__init__(
        forward_min_event_ndims=event_ndims,
        is_constant_jacobian=False,
        validate_args=validate_args,
        dtype=dtype,
        parameters=parameters,
        name=name,
      )

  @classmethod
  def _parameter_properties(cls, dtype):
    return {}

  @property
  def shift_and_log_scale(self):
    """The network or callable."""
    return self._shift_and_log_scale

  @property
  def window(self) -> int:
    """Frames read before the first prediction."""
    return self._window

  @property
  def event_ndims(self) -> int:
    """Rank of an event, the time axis included."""
    return self._event_ndims

  @property
  def start(self):
    """Frames before the first frame of a sequence, None if there are none."""
    return self._start

  @property
  def unlimited_memory(self) -> bool:
    """Whether a frame depends on all frames before it, not on the last `window`."""
    return self._network.unlimited_memory

  def _forward(self, y, **kwargs):
    return self._augmented_forward(y, **kwargs)[0]

  def _inverse(self, x, **kwargs):
    return self._augmented_inverse(x, **kwargs)[0]

  def _forward_log_det_jacobian(self, y, **kwargs):
    return -self._augmented_forward(y, **kwargs)[1]["ildj"]

  def _inverse_log_det_jacobian(self, x, **kwargs):
    return self._augmented_inverse(x, **kwargs)[1]["ildj"]

  def predict(
    self, x, context=None, mask=None, lengths=None, **kwargs
  ) -> TemporalParameters:
    """What the past says of each frame: the moving frame of reference itself.

    Args:
      x: Data [..., T, *frame_shape].
      context: As for the class.
      mask: As for the class.
      lengths: As for the class.
      **kwargs: What the network reads.

    Returns:
      `TemporalParameters`. For a frame that is not there, the shift is what would be
      predicted in its place, and the log-scale 0.
    """
    return self._predict(self._event(x, context, mask, lengths), kwargs)

  def _predict(self, event, kwargs):
    frames = self._slice_time(event.known, None, -1)
    frames = tf.concat([event.past, frames], self._time)
    present = event.past_present
    if present is not None:
      present = tf.concat([present, event.there[..., :-1]], -1)
    result = self._network(frames, present=present, **kwargs)
    if self.unlimited_memory:  # It predicted the frames of the context, too.
      length = ps.shape(event.values)[self._time]
      result = [self._slice_time(value, -length, None) for value in result]
    shift, log_scale = self._conformed(result, event.values)
    if event.mask is not None:
      log_scale = tf.where(event.per_value, log_scale, 0)
    return TemporalParameters(shift, log_scale)

  def _augmented_inverse(self, x, context=None, mask=None, lengths=None, **kwargs):
    """Noise and log-determinant, from one pass over all frames."""
    event = self._event(x, context, mask, lengths)
    shift, log_scale = self._predict(event, kwargs)
    y = (event.known - shift) * tf.exp(-log_scale)
    if event.mask is not None:
      y = tf.where(event.per_value, y, event.values)
    return y, {"ildj": -tf.reduce_sum(log_scale, self._axes)}

  def _augmented_forward(self, y, context=None, mask=None, lengths=None, **kwargs):
    """Data and log-determinant, frame by frame."""
    event = self._event(y, context, mask, lengths)
    y, network = event.values, self._network
    order = _time_first(y.shape.rank, self._time)
    noise = tf.transpose(y, order)
    mask = None
    if event.mask is not None:
      mask = tf.transpose(event.mask, _time_first(event.mask.shape.rank, -1))

    def step(state, noise_t, present):
      """A frame, its log-determinant, and the state after it."""
      result = network.parameters(state, **kwargs)
      shift, log_scale = self._conformed(result, noise_t)
      frame = read = shift + tf.exp(log_scale) * noise_t
      if present is not None:
        per_value = sequences.append_axes(present, self._event_ndims - 1)
        frame = tf.where(per_value, frame, noise_t)
        read = tf.where(per_value, read, 0)
        log_scale = tf.where(per_value, log_scale, 0)
      new_state = network.next_state(state, read, present=present, **kwargs)
      return frame, tf.reduce_sum(log_scale, self._axes[1:]), new_state

    state = network.initial_state(event.past, present=event.past_present, **kwargs)
    log_det = tf.zeros(ps.shape(noise)[1:][: 1 + self._time or None], y.dtype)
    run = sequences.run_unrolled if self._unroll_loop else sequences.run_loop
    x, log_det = run(step, state, log_det, noise, mask)
    x = tf.transpose(x, np.argsort(order))
    x.set_shape(y.shape)
    return x, {"ildj": -log_det}

  @property
  def _time(self):
    return -self._event_ndims

  @property
  def _axes(self):
    return list(range(-self._event_ndims, 0))

  def _slice_time(self, x, start, stop):
    return x[(..., slice(start, stop), *[slice(None)] * (self._event_ndims - 1))]

  def _event(self, values, context, mask, lengths):
    return sequences.prepare(
      values,
      context,
      mask,
      lengths,
      event_ndims=self._event_ndims,
      start=self._start,
      window=self._window,
      keep_all=self._network.unlimited_memory,
    )

  def _conformed(self, result, x):
    """Shift and log-scale with the shape and dtype of x, the latter bounded."""
    if not isinstance(result, (tuple, list)) or len(result) != 2:
      raise ValueError(
        "shift_and_log_scale must return a pair (shift, log_scale), either of them None "
        f"for 0; got {result!r}."
      )
    values = []
    for label, value in zip(("shift", "log_scale"), result):
      value = tf.cast(0 if value is None else value, x.dtype)
      if x.shape.is_fully_defined() and value.shape == x.shape:
        values.append(value)  # An op less in each step of a sample.
        continue
      try:
        value = tf.broadcast_to(value, ps.shape(x))
      except (ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(
          f"{label} of shift_and_log_scale has shape {value.shape}, which does not "
          f"broadcast to the frames it is for, {x.shape}. From n frames it must be made "
          f"for n - {self._window} + 1."
        ) from error
      values.append(value)
    shift, log_scale = values
    if self._max_scale is not None:
      log_scale = tf.minimum(log_scale, math.log(self._max_scale))
    if self._min_scale is not None:
      log_scale = tf.maximum(log_scale, math.log(self._min_scale))
    return shift, log_scale


class _WindowFunction:
  """A plain callable as a `TemporalNetwork` whose state is the window's frames."""

  unlimited_memory = False

  def __init__(self, function, window, event_ndims):
    self._function = function
    self._window = window
    self._time = -event_ndims

  def __call__(self, frames, present=None, **kwargs):
    del present
    return self._function(frames, **kwargs)

  def initial_state(self, frames, present=None, **kwargs):
    del present, kwargs
    return frames

  def parameters(self, state, **kwargs):
    result = self._function(state, **kwargs)
    if not isinstance(result, (tuple, list)):
      return result
    frame = tf.gather(state, 0, axis=self._time)
    shape = ps.shape(tf.expand_dims(frame, self._time))
    return [
      None
      if value is None
      else tf.squeeze(tf.broadcast_to(tf.cast(value, state.dtype), shape), self._time)
      for value in result
    ]

  def next_state(self, state, frame, present=None, **kwargs):
    del present, kwargs
    older = tf.gather(state, range(1, self._window), axis=self._time)
    return tf.concat([older, tf.expand_dims(frame, self._time)], self._time)


def _agreed(label, value, network, default):
  """The value that was asked for and the network's own, which must be the same."""
  own = getattr(network, label, None)
  if value is None:
    value = default if own is None else own
  elif own is not None and own != value:
    raise ValueError(
      f"{label} is {value}, but shift_and_log_scale was made for {own}. Leave {label} "
      "away, or make the network for it."
    )
  if value < 1:
    raise ValueError(f"{label} must be at least 1; got {value}.")
  return value


def _time_first(rank, axis):
  """Permutation that brings an axis to the front."""
  axis %= rank
  return [axis, *(i for i in range(rank) if i != axis)]
