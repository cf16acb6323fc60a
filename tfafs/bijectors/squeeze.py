"""Squeeze: blocks of pixels become channels."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.layers.temporal_network import dims

tfb = tfp.bijectors


class Squeeze(tfb.Bijector):
  """Takes images [H, W, C] to [H / f, W / f, C f f], f the factor.

  Each block of f x f pixels becomes one pixel; its channels are, for each channel of the
  image, the pixels of the block row by row. A permutation: the log-determinant is 0.

  Source: Dinh et al., Real NVP, 2017, section 3.6.
  """

  def __init__(
    self, factor: int = 2, validate_args: bool = False, name: str = "squeeze"
  ):
    """Makes the bijector.

    Args:
      factor: Side of a block.
      validate_args: Unused; bad shapes are always reported.
      name: Name of the ops.

    Raises:
      ValueError: If `factor` is below 1.
    """
    parameters = dict(locals())
    if factor < 1:
      raise ValueError(f"factor must be at least 1; got {factor}.")
    with tf.name_scope(name) as name:
      self._factor = factor
      super().__init__(
        forward_min_event_ndims=3,
        is_constant_jacobian=True,
        validate_args=validate_args,
        parameters=parameters,
        name=name,
      )

  @classmethod
  def _parameter_properties(cls, dtype):
    return {}

  @property
  def _is_permutation(self):
    return True

  def _forward(self, x):
    self._forward_event_shape(self._event_shape(x))  # Refuses sizes.
    *batch, height, width, channels = dims(x)
    f = self._factor
    blocks = [*batch, height // f, f, width // f, f, channels]
    x = self._permuted(tf.reshape(x, blocks), (-5, -3, -1, -4, -2))
    return tf.reshape(x, [*batch, height // f, width // f, channels * f * f])

  def _inverse(self, y):
    self._inverse_event_shape(self._event_shape(y))
    *batch, height, width, channels = dims(y)
    f = self._factor
    blocks = [*batch, height, width, channels // (f * f), f, f]
    y = self._permuted(tf.reshape(y, blocks), (-5, -2, -4, -1, -3))
    return tf.reshape(y, [*batch, height * f, width * f, channels // (f * f)])

  def _event_shape(self, images):
    if images.shape.rank is not None and images.shape.rank < 3:
      raise ValueError(
        f"{self.name} takes images [..., height, width, channels]; got shape "
        f"{images.shape}."
      )
    return images.shape[-3:]

  def _permuted(self, blocks, last):
    rank = blocks.shape.rank
    order = [*range(rank - 5), *(rank + axis for axis in last)]
    return tf.transpose(blocks, order)

  def _inverse_log_det_jacobian(self, y):
    return tf.zeros([], y.dtype)

  def _forward_event_shape(self, shape):
    f = self._factor
    return self._resized(shape, lambda n: self._divided(n, f), lambda n: n * f * f)

  def _inverse_event_shape(self, shape):
    f = self._factor
    return self._resized(shape, lambda n: n * f, lambda n: self._divided(n, f * f))

  def _forward_event_shape_tensor(self, shape):
    f = self._factor
    return tf.stack([shape[0] // f, shape[1] // f, shape[2] * f * f])

  def _inverse_event_shape_tensor(self, shape):
    f = self._factor
    return tf.stack([shape[0] * f, shape[1] * f, shape[2] // (f * f)])

  def _resized(self, shape, side, channels):
    height, width, last = tf.TensorShape(shape).with_rank(3)
    sizes = ((side, height), (side, width), (channels, last))
    return tf.TensorShape([None if n is None else change(n) for change, n in sizes])

  def _divided(self, size, by):
    if size % by:
      raise ValueError(f"{self.name} cannot divide {size} pixels or channels by {by}.")
    return size // by
