"""Sylvester flow, orthogonal and Householder, with an inverse."""

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import (
  cache_util,
  dtype_util,
  tensor_util,
)

from tfafs.bijectors import autoregressive_inverse

tfb = tfp.bijectors

DIAGONAL_BOUND = 0.999
"""Bound of the diagonals' absolute values; their products have to stay above -1."""


class Sylvester(tfb.Bijector):
  """Computes `y = x + Q R tanh(S Q' x + bias)`, a planar flow of M directions at once.

  Q has M orthonormal columns, R and S are upper triangular, and the products of their
  diagonals stay above -1: then the map is one-to-one and its determinant is a product
  of M terms. The diagonals are 0.999 tanh of those that are given, so any values of the
  parameters make a bijection.

  `forward` is the formula. `inverse` solves for Q' x, M equations of which the last has
  one unknown and each one before it one more, in parallel, and is differentiable.

  Source: van den Berg et al., Sylvester Normalizing Flows for Variational Inference
  (2018), sections 3 and 4; comparator in paper 003.
  """

  _cache = cache_util.BijectorCacheWithGreedyAttrs(
    forward_name="_augmented_forward", inverse_name="_augmented_inverse"
  )

  def __init__(self, basis, outer, inner, bias, validate_args=False, name="sylvester"):
    """Creates the bijector.

    Args:
      basis: Floating [..., D, M], Q; M <= D orthonormal columns, as of
        `orthonormal_basis` or `householder_basis`. A trained one is a
        `tfp.util.DeferredTensor` of these.
      outer: Floating [..., M, M], R; what is below the diagonal is not used.
      inner: Floating [..., M, M], S; likewise.
      bias: Floating [..., M].
      validate_args: Whether to check that `basis` is orthonormal.
      name: As of every bijector.
    """
    parameters = dict(locals())
    with tf.name_scope(name) as name:
      dtype = dtype_util.common_dtype(
        [basis, outer, inner, bias], dtype_hint=tf.keras.backend.floatx()
      )
      self._basis = tensor_util.convert_nonref_to_tensor(basis, dtype=dtype)
      self._outer = tensor_util.convert_nonref_to_tensor(outer, dtype=dtype)
      self._inner = tensor_util.convert_nonref_to_tensor(inner, dtype=dtype)
      self._bias = tensor_util.convert_nonref_to_tensor(bias, dtype=dtype)
      super().__init__(
        forward_min_event_ndims=1,
        validate_args=validate_args,
        dtype=dtype,
        parameters=parameters,
        name=name,
      )

  @classmethod
  def _parameter_properties(cls, dtype):
    return {
      "basis": tfp.util.ParameterProperties(event_ndims=2),
      "outer": tfp.util.ParameterProperties(event_ndims=2),
      "inner": tfp.util.ParameterProperties(event_ndims=2),
      "bias": tfp.util.ParameterProperties(event_ndims=1),
    }

  def _parameter_control_dependencies(self, is_init):
    if not self.validate_args or is_init == tensor_util.is_ref(self._basis):
      return []
    basis = tf.convert_to_tensor(self._basis)
    gram = tf.matmul(basis, basis, transpose_a=True)
    unit = tf.eye(tf.shape(gram)[-1], dtype=gram.dtype)
    message = "The columns of `basis` must be orthonormal; see `orthonormal_basis`."
    return [
      tf.debugging.assert_near(
        gram, tf.broadcast_to(unit, tf.shape(gram)), 1e-4, 1e-4, message
      )
    ]

  def _forward(self, x):
    return self._augmented_forward(x)[0]

  def _inverse(self, y):
    return self._augmented_inverse(y)[0]

  def _forward_log_det_jacobian(self, x):
    return -self._augmented_forward(x)[1]["ildj"]

  def _augmented_forward(self, x):
    basis, outer, inner, bias = self._constrained()
    inside = tf.linalg.matvec(basis, x, transpose_a=True)
    activation = tf.tanh(tf.linalg.matvec(inner, inside) + bias)
    shift = tf.linalg.matvec(basis, tf.linalg.matvec(outer, activation))
    log_det = tf.reduce_sum(_log_slopes(outer, inner, activation), -1)
    return x + shift, {"ildj": -log_det}

  def _augmented_inverse(self, y):
    basis, outer, inner, bias = self._constrained()
    # Q' y = v + R tanh(S v + bias) with v = Q' x. In reversed order it is lower
    # triangular.
    batch = tf.broadcast_dynamic_shape(tf.shape(y)[:-1], tf.shape(bias)[:-1])
    for matrix in (outer, inner):
      batch = tf.broadcast_dynamic_shape(batch, tf.shape(matrix)[:-2])
    target = tf.linalg.matvec(basis, y, transpose_a=True)
    target = tf.broadcast_to(target, tf.concat([batch, tf.shape(target)[-1:]], 0))
    target = tf.reverse(target, [-1])

    def function(reversed_inside):
      inside = tf.reverse(reversed_inside, [-1])
      activation = tf.tanh(tf.linalg.matvec(inner, inside) + bias)
      value = inside + tf.linalg.matvec(outer, activation)
      log_slopes = _log_slopes(outer, inner, activation)
      return tf.reverse(value, [-1]), tf.reverse(log_slopes, [-1])

    report = autoregressive_inverse.solve(function, tf.stop_gradient(target))
    solution = autoregressive_inverse.with_gradient(report.value, function, target)
    inside = tf.reverse(solution, [-1])
    activation = tf.tanh(tf.linalg.matvec(inner, inside) + bias)
    shift = tf.linalg.matvec(basis, tf.linalg.matvec(outer, activation))
    log_det = tf.reduce_sum(_log_slopes(outer, inner, activation), -1)
    return y - shift, {"ildj": -log_det}

  def _constrained(self):
    """Returns Q, R and S with bounded diagonals, and the bias."""
    triangular = []
    for matrix in (self._outer, self._inner):
      matrix = tf.convert_to_tensor(matrix)
      diagonal = DIAGONAL_BOUND * tf.tanh(tf.linalg.diag_part(matrix))
      triangular.append(
        tf.linalg.set_diag(tf.linalg.band_part(matrix, 0, -1), diagonal)
      )
    return (
      tf.convert_to_tensor(self._basis),
      *triangular,
      tf.convert_to_tensor(self._bias),
    )


def orthonormal_basis(matrix):
  """Orthonormal columns that span what the columns of [..., D, M] span, M <= D."""
  return tf.linalg.qr(matrix).q


def householder_basis(vectors):
  """Product of Householder reflections.

  Args:
    vectors: Floating [..., H, D], none of them zero; reflection h is through the plane
      orthogonal to vector h.

  Returns:
    [..., D, D], orthogonal.
  """
  vectors = tf.convert_to_tensor(vectors)
  size = vectors.shape[-1]
  basis = tf.eye(size, dtype=vectors.dtype)
  for vector in tf.unstack(vectors, axis=-2):
    unit = vector / tf.norm(vector, axis=-1, keepdims=True)
    projected = tf.linalg.matvec(basis, unit)
    basis -= 2.0 * projected[..., :, None] * unit[..., None, :]
  return basis


def _log_slopes(outer, inner, activation):
  products = tf.linalg.diag_part(outer) * tf.linalg.diag_part(inner)
  return tf.math.log1p(products * (1.0 - activation**2))
