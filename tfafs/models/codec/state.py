"""What a codec keeps of the frames before: all that the next frame's decoder reads."""

from typing import NamedTuple, Optional, Union

import tensorflow as tf

from tfafs.layers import quantization


class State(NamedTuple):
  """The state behind a frame. No gradient passes through it.

  Attributes:
    reference: float32 [batch, height, width, 3], the decoded frame, k / 255.
    residual: float32 [batch, h, w, channels], the symbols of its residual latent v;
      None behind an intra frame. Only temporal priors (TP) read them.
    behind_intra: Whether that frame was intra: bool, or bool tensor where only a run
      can tell, and `residual` is then zeros behind an intra frame.
  """

  reference: tf.Tensor
  residual: Optional[tf.Tensor] = None
  behind_intra: Union[bool, tf.Tensor] = True


def behind_intra(reconstruction) -> State:
  """State behind an intra frame, from its reconstruction as the synthesis gave it."""
  return State(_reference(reconstruction))


def behind_inter(reconstruction, symbols) -> State:
  """State behind an inter frame, from its reconstruction and the symbols of its v."""
  return State(_reference(reconstruction), tf.stop_gradient(symbols), False)


def _reference(reconstruction):
  """Reference frame for the next one: clipped and rounded to 8 bits, detached.

  Each frame learns to make the best of the past it gets; no gradient runs back through
  time, as in the authors' own training.
  """
  return tf.stop_gradient(quantization.to_levels(reconstruction) / 255.0)


class StateFormat:
  """A state as integer tensors without a batch axis, in which it leaves the model.

  Attributes:
    specs: Dict from name to TensorSpec: "reference", uint8 [height, width, 3], which is
      also the decoded frame; for temporal priors also "residual", int32 [h, w,
      channels], and "behind_intra", bool [].
  """

  def __init__(self, temporal: bool, channels: int, stride: int):
    """Describes the state of a codec.

    Args:
      temporal: Whether a prior reads the residual symbols of the frame before.
      channels: Channels of the residual latent.
      stride: Pixels per latent sample, along each axis.
    """
    self._temporal, self._channels, self._stride = temporal, channels, stride
    self.specs = {"reference": tf.TensorSpec([None, None, 3], tf.uint8, "reference")}
    if temporal:
      self.specs["residual"] = tf.TensorSpec(
        [None, None, channels], tf.int32, "residual"
      )
      self.specs["behind_intra"] = tf.TensorSpec([], tf.bool, "behind_intra")

  def pack(self, state: State) -> dict:
    """The tensors of a state of batch 1."""
    packed = {"reference": tf.cast(tf.round(255.0 * state.reference[0]), tf.uint8)}
    if self._temporal:
      residual = state.residual
      if residual is None:
        size = tf.shape(state.reference)[1:3]
        size = (size + self._stride - 1) // self._stride
        residual = tf.zeros([1, size[0], size[1], self._channels])
      packed["residual"] = tf.cast(residual[0], tf.int32)
      packed["behind_intra"] = tf.convert_to_tensor(state.behind_intra)
    return packed

  def unpack(self, packed: dict) -> State:
    """Inverse of `pack`."""
    reference = tf.cast(packed["reference"], tf.float32)[None] / 255.0
    if not self._temporal:
      return State(reference)
    residual = tf.cast(packed["residual"], tf.float32)[None]
    return State(reference, residual, packed["behind_intra"])
