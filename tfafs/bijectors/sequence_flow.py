"""SequenceFlow: a flow over each frame, conditioned on the frames before it."""

from typing import Any, NamedTuple, Optional, Union

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import cache_util
from tensorflow_probability.python.internal import prefer_static as ps

from tfafs.bijectors import scalar_maps
from tfafs.bijectors.conditional_chain import ConditionalChain
from tfafs.bijectors.masked_autoregressive import MaskedAutoregressive
from tfafs.bijectors.split_coupling import SplitCoupling
from tfafs.layers.masked_network import LEFT_TO_RIGHT, RIGHT_TO_LEFT
from tfafs.layers.recurrent_context import Positions, RecurrentContext

tfb = tfp.bijectors

AUTOREGRESSIVE, INVERSE_AUTOREGRESSIVE = "autoregressive", "inverse_autoregressive"
_FAMILIES = {"autoregressive": MaskedAutoregressive, "split_coupling": SplitCoupling}


class SequenceFlow(tfb.Bijector):
  """Maps noise y to data x, both [T, H]: flows in time around a flow over H.

  The hidden flow f maps one frame, given a context that sums up other frames:

      time="autoregressive":          x_t = f(y_t; context(x_<t))
      time="inverse_autoregressive":  x_t = f(y_t; context(y_<t))
      log |det dx/dy| = sum over t of log |det df/dy| at y_t

  | time / hidden flow | paper 002 | `inverse`, density | `forward`, sampling |
  |---|---|---|---|
  | autoregressive / masked autoregressive | AF / AF | 1 pass | T steps, each iterates |
  | autoregressive / split coupling | AF / SCF | 1 pass | T steps |
  | inverse autoregressive / split coupling | IAF / SCF | T steps | 1 pass |

  One pass: the LSTM reads the sequence once, then f maps all frames together.

  Keyword arguments of `forward`, `inverse` and the log-determinants:

  - `mask`: bool [..., T], or `lengths`: int [...]. A frame where `mask` is False, or at
    and after `lengths`, passes unchanged, adds nothing to the log-determinant, and no
    other frame depends on it. Positions count the frames that are there.
  - `context`: [..., T, C], what frames are conditioned on besides; the hidden flow's
    context is then `units + C` wide.

  Source: paper 002 (Ziegler and Rush), section 4.3; its code cuts the gradient through
  the half that a coupling passes, this one does not.
  """

  # Calls `_augmented_*` and keeps the log-determinant that comes with the value.
  _cache = cache_util.BijectorCacheWithGreedyAttrs(
    forward_name="_augmented_forward", inverse_name="_augmented_inverse"
  )

  def __init__(
    self,
    hidden: tfb.Bijector,
    conditioner: tf.keras.layers.Layer,
    time: str = AUTOREGRESSIVE,
    validate_args: bool = False,
    name: str = "sequence_flow",
  ):
    """Makes the bijector of its parts; `build` makes these, too.

    Args:
      hidden: Bijector over the last dimension whose methods take `context`.
      conditioner: A `RecurrentContext`, or a layer like it.
      time: "autoregressive" or "inverse_autoregressive".
      validate_args: Unused; bad shapes are always reported.
      name: Name of the ops.

    Raises:
      ValueError: If `time` is neither of the two, or `hidden` is not a flow of vectors.
    """
    parameters = dict(locals())
    with tf.name_scope(name) as name:
      if time not in (AUTOREGRESSIVE, INVERSE_AUTOREGRESSIVE):
        raise ValueError(
          f"time must be {AUTOREGRESSIVE!r} or {INVERSE_AUTOREGRESSIVE!r}; got {time!r}."
        )
      if hidden.forward_min_event_ndims != 1:
        raise ValueError(
          "hidden must be a bijector over the last dimension; its "
          f"forward_min_event_ndims is {hidden.forward_min_event_ndims}, not 1."
        )
      self._hidden, self._conditioner, self._time = hidden, conditioner, time
      super().__init__(
        forward_min_event_ndims=2,
        dtype=tf.as_dtype(conditioner.dtype),
        validate_args=validate_args,
        parameters=parameters,
        name=name,
      )

  @classmethod
  def build(
    cls,
    frame_size: int,
    time: str = AUTOREGRESSIVE,
    hidden: str = "autoregressive",
    scalar: Union[str, scalar_maps.ScalarMap] = "nonlinear_squared",
    layers: int = 5,
    hidden_units=(100, 100),
    units: int = 500,
    lstm_layers: int = 2,
    max_length: Optional[int] = None,
    context_size: int = 0,
    dtype="float32",
    name: str = "sequence_flow",
  ) -> "SequenceFlow":
    """Makes the bijector with its networks, by default of the sizes of paper 002.

    Args:
      frame_size: Size H of a frame.
      time: "autoregressive" or "inverse_autoregressive".
      hidden: "autoregressive" or "split_coupling".
      scalar: "affine", "nonlinear_squared", or a map of `tfafs.bijectors.scalar_maps`.
      layers: Layers of the hidden flow; their orders alternate.
      hidden_units: Units of the hidden layers of each layer's network.
      units: Units of the LSTM.
      lstm_layers: Layers of the LSTM.
      max_length: Length of the longest sequence if frames shall know their distance to
        the beginning and the end, else None.
      context_size: Size C of the keyword argument `context`, 0 if there will be none.
      dtype: Floating type of variables and results.
      name: Name of the ops.

    Raises:
      ValueError: If `hidden` is not a known flow, or another argument is out of range.
    """
    if hidden not in _FAMILIES:
      raise ValueError(f"hidden must be one of {sorted(_FAMILIES)}; got {hidden!r}.")
    flows = [
      _FAMILIES[hidden].build(
        frame_size,
        scalar,
        hidden_units,
        units + context_size,
        (LEFT_TO_RIGHT, RIGHT_TO_LEFT)[i % 2],
        dtype=dtype,
        name=f"layer_{i}",
      )
      for i in range(layers)
    ]
    conditioner = RecurrentContext(frame_size, units, lstm_layers, max_length, dtype)
    return cls(ConditionalChain(flows), conditioner, time, name=name)

  @classmethod
  def _parameter_properties(cls, dtype):
    return {}

  @property
  def hidden(self):
    """The flow over a frame."""
    return self._hidden

  @property
  def conditioner(self):
    """The network that sums up frames."""
    return self._conditioner

  @property
  def time(self) -> str:
    """Whether frames are conditioned on data before them or on noise before them."""
    return self._time

  def _augmented_forward(self, y, mask=None, lengths=None, context=None):
    sequences = self._sequences(y, mask, lengths, context)
    if self._time == AUTOREGRESSIVE:
      return sequences.restore(self._step_by_step("forward", sequences)), {}
    value, log_det = self._at_once("forward", sequences)
    return sequences.restore(value), {"ildj": -sequences.restore_batch(log_det)}

  def _augmented_inverse(self, x, mask=None, lengths=None, context=None):
    sequences = self._sequences(x, mask, lengths, context)
    if self._time == INVERSE_AUTOREGRESSIVE:
      return sequences.restore(self._step_by_step("inverse", sequences)), {}
    value, log_det = self._at_once("inverse", sequences)
    return sequences.restore(value), {"ildj": sequences.restore_batch(log_det)}

  def _forward(self, y, **kwargs):
    return self._augmented_forward(y, **kwargs)[0]

  def _inverse(self, x, **kwargs):
    return self._augmented_inverse(x, **kwargs)[0]

  # Log-determinants always come from the direction that takes one pass.

  def _forward_log_det_jacobian(self, y, **kwargs):
    if self._time == AUTOREGRESSIVE:
      return -self.inverse_log_det_jacobian(self.forward(y, **kwargs), **kwargs)
    return -self._augmented_forward(y, **kwargs)[1]["ildj"]

  def _inverse_log_det_jacobian(self, x, **kwargs):
    if self._time == INVERSE_AUTOREGRESSIVE:
      return -self.forward_log_det_jacobian(self.inverse(x, **kwargs), **kwargs)
    return self._augmented_inverse(x, **kwargs)[1]["ildj"]

  def _at_once(self, direction, sequences):
    """Values [batch, T, H] and log-determinants [batch], frames read as they are given."""
    frames, present = sequences.frames, sequences.present
    context = self._conditioner(frames, present, sequences.positions)
    context = sequences.with_context(context)
    value = getattr(self._hidden, direction)(frames, context=context)
    log_det = getattr(self._hidden, f"{direction}_log_det_jacobian")(
      frames, event_ndims=1, context=context
    )
    if present is not None:
      value = tf.where(present[..., tf.newaxis], value, sequences.given)
      log_det = tf.where(present, log_det, 0.0)
    return value, tf.reduce_sum(log_det, -1)

  def _step_by_step(self, direction, sequences):
    """Values [batch, T, H], each frame conditioned on the frames that came out."""
    frames, present = sequences.frames, sequences.present
    count, length = ps.shape(frames)[0], ps.shape(frames)[1]
    inputs = _by_time(frames)
    optional = (present, sequences.context, sequences.positions)
    optional = tf.nest.map_structure(_by_time, optional)
    outputs = tf.TensorArray(frames.dtype, length, element_shape=inputs.element_shape)

    def body(t, state, outputs):
      here, context_t, positions = tf.nest.map_structure(
        lambda array: None if array is None else array.read(t), optional
      )
      context = self._conditioner.output(state, positions)
      if context_t is not None:
        context = tf.concat([context, context_t], -1)
      frame = getattr(self._hidden, direction)(inputs.read(t), context=context)
      new = self._conditioner.next_state(state, frame, here)
      tf.nest.map_structure(lambda a, b: b.set_shape(a.shape), state, new)
      return t + 1, new, outputs.write(t, frame)

    *_, outputs = tf.while_loop(
      lambda t, *_: t < length,
      body,
      (tf.constant(0), self._conditioner.initial_state(count), outputs),
      maximum_iterations=length,
    )
    value = tf.transpose(outputs.stack(), [1, 0, 2])
    if present is not None:
      value = tf.where(present[..., tf.newaxis], value, sequences.given)
    return value

  def _sequences(self, values, mask, lengths, context):
    positions = getattr(self._conditioner, "max_length", None)
    size = self._conditioner.frame_size
    return prepare(values, mask, lengths, context, size, positions)


class Sequences(NamedTuple):
  """Sequences of one batch dimension, and the way back to all of them.

  Attributes:
    given: Tensor [batch, T, H].
    frames: `given`, zeros where there is no frame.
    present: Bool tensor [batch, T], None if all frames are there.
    positions: `Positions` [batch, T], or None.
    context: Tensor [batch, T, C], or None.
    batch: Batch shape to go back to.
    static_shape: Static shape to go back to.
  """

  given: tf.Tensor
  frames: tf.Tensor
  present: Optional[tf.Tensor]
  positions: Optional[Positions]
  context: Optional[tf.Tensor]
  batch: Any
  static_shape: tf.TensorShape

  def restore(self, value):
    """From [batch, T, H] to all batch dimensions."""
    value = tf.reshape(value, ps.concat([self.batch, ps.shape(value)[1:]], 0))
    value.set_shape(self.static_shape)
    return value

  def restore_batch(self, value):
    """From [batch] to all batch dimensions."""
    return tf.reshape(value, self.batch)

  def with_context(self, context):
    """`context` [batch, T, units], the given one beside it."""
    return context if self.context is None else tf.concat([context, self.context], -1)


def prepare(values, mask, lengths, context, size, max_length) -> Sequences:
  """Broadcasts sequences and what comes with them to one batch, and flattens that.

  Args:
    values: Tensor [..., T, H].
    mask: Bool tensor [..., T], or None.
    lengths: Int tensor [...], or None.
    context: Tensor [..., T, C], or None.
    size: H.
    max_length: Largest T if positions are needed, else None.

  Raises:
    ValueError: If a shape does not fit, or both `mask` and `lengths` are given.
  """
  if values.shape.rank is None or values.shape.rank < 2:
    raise ValueError(f"A sequence must be [..., T, {size}]; got shape {values.shape}.")
  if not values.shape[-1:].is_compatible_with([size]):
    raise ValueError(
      f"Frames must have {size} values, as the conditioner was made for; got shape "
      f"{values.shape}."
    )
  length = values.shape[-2]
  if None not in (length, max_length) and length > max_length:
    raise ValueError(
      f"Sequences have {length} frames, but positions are known up to max_length "
      f"{max_length} only: make the flow with a larger max_length."
    )
  event = ps.shape(values)[-2:]
  if lengths is not None:
    if mask is not None:
      raise ValueError("Give mask or lengths, not both.")
    mask = tf.sequence_mask(lengths, event[0])
  batch, static_batch = ps.shape(values)[:-2], values.shape[:-2]
  if mask is not None:
    mask = tf.convert_to_tensor(mask)
    if mask.dtype != tf.bool or not mask.shape[-1:].is_compatible_with([length]):
      raise ValueError(
        f"mask must be bool [..., {length}], True where there is a frame; got "
        f"{mask.dtype.name} {mask.shape}."
      )
    batch = ps.broadcast_shape(batch, ps.shape(mask)[:-1])
    static_batch = tf.broadcast_static_shape(static_batch, mask.shape[:-1])
  if context is not None:
    context = tf.convert_to_tensor(context, values.dtype)
    if not context.shape[-2:-1].is_compatible_with([length]):
      raise ValueError(
        f"context must be [..., {length}, C], an entry for each frame; got shape "
        f"{context.shape}."
      )
    batch = ps.broadcast_shape(batch, ps.shape(context)[:-2])
    static_batch = tf.broadcast_static_shape(static_batch, context.shape[:-2])

  def flatten(tensor, tail):
    if tensor is None:
      return None
    tensor = tf.broadcast_to(tensor, ps.concat([batch, tail], 0))
    return tf.reshape(tensor, ps.concat([[ps.reduce_prod(batch)], tail], 0))

  given, present = flatten(values, event), flatten(mask, event[:1])
  if context is not None:
    context = flatten(context, ps.shape(context)[-2:])
  frames = given
  if present is not None:
    frames = tf.where(present[..., tf.newaxis], given, 0.0)
  return Sequences(
    given,
    frames,
    present,
    None if max_length is None else _positions(given, present),
    context,
    batch,
    static_batch.concatenate(values.shape[-2:]),
  )


def _positions(values, present):
  """Numbers of frames before and after each, of those that are there."""
  shape = ps.shape(values)[:2]
  there = tf.ones(shape, tf.int32) if present is None else tf.cast(present, tf.int32)
  index = tf.cumsum(there, 1, exclusive=True)
  return Positions(index, tf.reduce_sum(there, 1, keepdims=True) - index - there)


def _by_time(tensor):
  """A `TensorArray` of the frames of [batch, T, ...]; None of None."""
  if tensor is None:
    return None
  tensor = tf.transpose(tensor, [1, 0, *range(2, tensor.shape.rank)])
  array = tf.TensorArray(
    tensor.dtype, ps.shape(tensor)[0], element_shape=tensor.shape[1:]
  )
  return array.unstack(tensor)
