"""Events with a time axis: the frames before them, missing frames, loops over time."""

from typing import NamedTuple, Optional

import tensorflow as tf
from tensorflow_probability.python.internal import prefer_static as ps


class Event(NamedTuple):
  """A sequence with its past, all broadcast to one batch shape.

  Attributes:
    values: Tensor [batch, T, *frame_shape].
    known: `values`, zeros where there is no frame: whatever padding holds, NaN too, must
      reach neither another frame nor a gradient.
    mask: Bool tensor [batch, T], False where there is no frame; None if all are there.
    per_value: `mask` with the axes of a frame, [batch, T, 1, ...]; or None.
    there: `mask`, or all True.
    past: Tensor [batch, n, *frame_shape], n at least the window: the frames before.
    past_present: Bool tensor [batch, n], None if all frames of past and event are there.
  """

  values: tf.Tensor
  known: tf.Tensor
  mask: Optional[tf.Tensor]
  per_value: Optional[tf.Tensor]
  there: tf.Tensor
  past: tf.Tensor
  past_present: Optional[tf.Tensor]


def prepare(
  values, context, mask, lengths, *, event_ndims, start, window, keep_all
) -> Event:
  """Puts a sequence and what comes with it together.

  Args:
    values: Tensor [..., T, *frame_shape].
    context: None, or [..., k, *frame_shape], the k frames before.
    mask: None, or bool [..., T].
    lengths: None, or int [...]; a frame at or after its sequence's length is not there.
    event_ndims: Rank of [T, *frame_shape].
    start: None, or what broadcasts to [window, *frame_shape]: the frames before the
      first frame of a sequence.
    window: Frames that a prediction reads.
    keep_all: Whether all of the past is kept, or the last `window` frames only.

  Returns:
    `Event`.

  Raises:
    ValueError: If a shape does not fit, or both `mask` and `lengths` are given.
  """
  values = tf.convert_to_tensor(values)
  rank = event_ndims
  if values.shape.rank is None or values.shape.rank < rank:
    raise ValueError(
      f"An event must have rank {rank}, the time axis first, after any batch "
      f"dimensions; got shape {values.shape}. Give the bijector another event_ndims if "
      "its frames are of another rank."
    )
  event = ps.shape(values)[-rank:]
  batch = ps.shape(values)[:-rank]
  if context is not None:
    context = _checked_context(context, values, rank)
    batch = ps.broadcast_shape(batch, ps.shape(context)[:-rank])
  mask = _checked_mask(mask, lengths, values.shape[-rank], event[0])
  if mask is not None:
    batch = ps.broadcast_shape(batch, ps.shape(mask)[:-1])
    mask = tf.broadcast_to(mask, ps.concat([batch, event[:1]], 0))
  values = tf.broadcast_to(values, ps.concat([batch, event], 0))

  first = ps.concat([batch, [window], event[1:]], 0)
  if start is None:
    past = tf.zeros(first, values.dtype)
  else:
    past = tf.broadcast_to(tf.cast(start, values.dtype), first)
  present = tf.fill(first[: 1 - rank or None], start is not None)
  all_present = mask is None and start is not None
  if context is not None:
    context = tf.broadcast_to(context, ps.concat([batch, ps.shape(context)[-rank:]], 0))
    past = tf.concat([past, context], -rank)
    more = tf.ones(ps.shape(context)[: 1 - rank or None], tf.bool)
    present = tf.concat([present, more], -1)
    if not keep_all:
      past = past[(..., slice(-window, None), *[slice(None)] * (rank - 1))]
      past = tf.reshape(past, first)
      present = tf.reshape(present[..., -window:], first[: 1 - rank or None])
      enough = (context.shape[-rank] or 0) >= window
      all_present = mask is None and (all_present or enough)
  past.set_shape([*[None] * (past.shape.rank - rank + 1), *values.shape[-rank:][1:]])
  per_value = None if mask is None else append_axes(mask, rank - 1)
  return Event(
    values=values,
    known=values if mask is None else tf.where(per_value, values, 0),
    mask=mask,
    per_value=per_value,
    there=tf.fill(ps.concat([batch, event[:1]], 0), True) if mask is None else mask,
    past=past,
    past_present=None if all_present else present,
  )


def append_axes(x, count):
  """Appends `count` axes of length 1."""
  return x[(..., *[tf.newaxis] * count)]


def run_loop(step, state, log_det, noise, mask):
  """Runs steps in a `tf.while_loop`.

  Args:
    step: Function of state, noise and mask of a frame; returns frame, log-determinant
      and the state after it.
    state: State before the first step.
    log_det: Zeros of the shape of a log-determinant.
    noise: Tensor [T, ...], the steps' noise.
    mask: Tensor [T, ...], the steps' masks, or None.

  Returns:
    The frames, [T, ...], and the sum of the log-determinants.
  """
  length = ps.shape(noise)[0]
  noises = tf.TensorArray(noise.dtype, length).unstack(noise)
  masks = None if mask is None else tf.TensorArray(tf.bool, length).unstack(mask)

  def body(t, state, frames, log_det):
    present = None if masks is None else masks.read(t)
    frame, log_det_t, new_state = step(state, noises.read(t), present)
    # The loop wants shapes no vaguer than at its start.
    tf.nest.map_structure(lambda a, b: b.set_shape(a.shape), state, new_state)
    return t + 1, new_state, frames.write(t, frame), log_det + log_det_t

  frames = tf.TensorArray(noise.dtype, length, element_shape=noise.shape[1:])
  *_, frames, log_det = tf.while_loop(
    lambda t, *_: t < length,
    body,
    (tf.constant(0), state, frames, log_det),
    maximum_iterations=length,
  )
  return frames.stack(), log_det


def run_unrolled(step, state, log_det, noise, mask):
  """The same as one long graph."""
  if noise.shape[0] is None:
    raise ValueError("unroll_loop needs a known number of frames; give T statically.")
  frames = []
  for t in range(noise.shape[0]):
    frame, log_det_t, state = step(state, noise[t], None if mask is None else mask[t])
    frames.append(frame)
    log_det += log_det_t
  return tf.stack(frames), log_det


def _checked_context(context, values, rank):
  context = tf.convert_to_tensor(context, values.dtype, name="context")
  frame, wanted = context.shape[-rank:][1:], values.shape[-rank:][1:]
  if context.shape.rank is None or context.shape.rank < rank:
    frame = None
  if frame is None or not frame.is_compatible_with(wanted):
    raise ValueError(
      f"context must be frames like those of the event, [..., k, *{list(wanted)}]; got "
      f"shape {context.shape}."
    )
  return context


def _checked_mask(mask, lengths, static_length, length):
  if lengths is not None:
    if mask is not None:
      raise ValueError("Give mask or lengths, not both.")
    return tf.sequence_mask(lengths, length)
  if mask is None:
    return None
  mask = tf.convert_to_tensor(mask, name="mask")
  if mask.dtype != tf.bool or not mask.shape[-1:].is_compatible_with([static_length]):
    raise ValueError(
      f"mask must be bool [..., {static_length}], True where there is a frame; got "
      f"{mask.dtype.name} {mask.shape}."
    )
  return mask
