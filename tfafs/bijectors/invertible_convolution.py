"""InvertibleConvolution: a 1x1 convolution, a learned mixture of channels."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors.masked_autoregressive import check_event

tfb = tfp.bijectors


class InvertibleConvolution(tfb.Bijector):
  """Multiplies the channels by an invertible matrix, the same at each place of an image.

  Over the last dimension, with y the noise and x the data,

      inverse:  y = W x                         data to noise, density
      forward:  x = W^-1 y                      noise to data, sampling
      W = P L (U + diag(sign * exp(log_diagonal)))
      log |det dy/dx| = sum of log_diagonal, for each place of an image

  P is a permutation and `sign` is 1 or -1, both fixed; L is lower triangular with ones on
  its diagonal and U is upper triangular with zeros. W starts as a random rotation. L and U
  are kept as whole matrices, of which a half is read.

  Source: Kingma and Dhariwal, Glow, 2018, section 3.2.
  """

  def __init__(
    self,
    permutation,
    lower,
    upper,
    log_diagonal,
    sign,
    validate_args: bool = False,
    name: str = "invertible_convolution",
  ):
    """Makes the bijector of the factors of a matrix; `build` makes both.

    Args:
      permutation: P, [channels, channels].
      lower: [channels, channels], of which what is below the diagonal is L.
      upper: [channels, channels], of which what is above the diagonal is U.
      log_diagonal: [channels].
      sign: [channels].
      validate_args: Unused; bad shapes are always reported.
      name: Name of the ops.
    """
    parameters = dict(locals())
    with tf.name_scope(name) as name:
      self._permutation, self._sign = permutation, sign
      self._lower, self._upper = lower, upper
      self._log_diagonal = log_diagonal
      super().__init__(
        forward_min_event_ndims=1,
        is_constant_jacobian=True,
        dtype=log_diagonal.dtype,
        validate_args=validate_args,
        parameters=parameters,
        name=name,
      )

  @classmethod
  def build(cls, channels: int, dtype="float32", name: str = "invertible_convolution"):
    """Makes a random rotation, by TensorFlow's global seed, with its weights.

    Args:
      channels: Size of the last dimension.
      dtype: Of weights and events.
      name: Name of the ops.

    Raises:
      ValueError: If `channels` is below 1.
    """
    if channels < 1:
      raise ValueError(f"channels must be at least 1; got {channels}.")
    random = tf.random.normal([channels, channels], dtype=tf.as_dtype(dtype))
    lower_upper, order = tf.linalg.lu(tf.linalg.qr(random)[0])
    diagonal = tf.linalg.diag_part(lower_upper)
    zeros = tf.zeros_like(diagonal)

    def strict(triangle):
      return tf.linalg.set_diag(triangle, zeros)

    with tf.name_scope(name):
      return cls(
        # Row i of L U is row order[i] of the rotation.
        tf.Variable(
          tf.one_hot(order, channels, axis=0, dtype=diagonal.dtype),
          trainable=False,
          name="permutation",
        ),
        tf.Variable(strict(tf.linalg.band_part(lower_upper, -1, 0)), name="lower"),
        tf.Variable(strict(tf.linalg.band_part(lower_upper, 0, -1)), name="upper"),
        tf.Variable(tf.math.log(tf.abs(diagonal)), name="log_diagonal"),
        tf.Variable(tf.sign(diagonal), trainable=False, name="sign"),
        name=name,
      )

  @classmethod
  def _parameter_properties(cls, dtype):
    return {}

  @property
  def matrix(self):
    """W, [channels, channels]."""
    lower, upper = self._triangles()
    return self._permutation @ (lower @ upper)

  def _triangles(self):
    """L and U with its diagonal."""
    ones = tf.ones_like(self._log_diagonal)
    lower = tf.linalg.set_diag(tf.linalg.band_part(self._lower, -1, 0), ones)
    diagonal = self._sign * tf.exp(self._log_diagonal)
    upper = tf.linalg.set_diag(tf.linalg.band_part(self._upper, 0, -1), diagonal)
    return lower, upper

  def _forward(self, y):
    lower, upper = self._triangles()
    # The inverse of the small matrix once, not a solution for each place.
    inverse = tf.linalg.triangular_solve(lower, tf.transpose(self._permutation))
    inverse = tf.linalg.triangular_solve(upper, inverse, lower=False)
    return _mix(y, inverse)

  def _inverse(self, x):
    return _mix(x, self.matrix)

  def _inverse_log_det_jacobian(self, x):
    del x  # Constant: TFP repeats it for each place.
    return tf.reduce_sum(self._log_diagonal)


def _mix(values, matrix):
  """Multiplies each vector of [..., channels]."""
  check_event(values, matrix.shape[-1])
  return tf.tensordot(values, matrix, [[-1], [1]])
