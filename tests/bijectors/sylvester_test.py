import numpy as np
import pytest
import tensorflow as tf

from tfafs.bijectors import sylvester
from tfafs.bijectors.planar import Planar
from tfafs.bijectors.sylvester import Sylvester


def parameters(batch=(), size=4, directions=3, scale=1.0):
  rng = np.random.default_rng(0)
  basis = sylvester.orthonormal_basis(rng.normal(size=[*batch, size, directions]))
  square = [*batch, directions, directions]
  return (
    basis,
    rng.normal(0, scale, square),
    rng.normal(0, scale, square),
    rng.normal(0, scale, [*batch, directions]),
  )


def test_formula():
  basis, outer, inner, bias = parameters()
  x = np.random.default_rng(1).normal(size=4)
  matrices = []
  for matrix in (outer, inner):
    bounded = np.triu(matrix, 1) + np.diag(0.999 * np.tanh(np.diag(matrix)))
    matrices.append(bounded)
  q = basis.numpy()
  expected = x + q @ matrices[0] @ np.tanh(matrices[1] @ q.T @ x + bias)
  flow = Sylvester(basis, outer, inner, bias, validate_args=True)
  np.testing.assert_allclose(flow.forward(x), expected, 1e-12)


def test_any_parameters_are_one_to_one():
  flow = Sylvester(*parameters(batch=(50,), scale=3.0))
  assert flow.experimental_batch_shape() == [50]
  x = tf.random.stateless_normal([50, 4], [1, 2], dtype=tf.float64)
  y = flow.forward(x)
  again = flow.forward(tf.identity(flow.inverse(tf.identity(y))))
  np.testing.assert_allclose(again, y, 1e-9, 1e-9)


def test_one_direction_is_a_planar_flow():
  """With u along the basis vector and weight too."""
  basis = np.array([[0.6], [0.8]])
  outer, inner, bias = 0.4, 0.7, 0.2
  flow = Sylvester(basis, [[outer]], [[inner]], [bias])
  r, s = 0.999 * np.tanh(outer), 0.999 * np.tanh(inner)
  # Planar's u is `direction` with softplus(weight . direction) - 1 along the weight.
  raw = np.log(np.expm1(1 + r * s))
  planar = Planar(raw / s * basis[:, 0], s * basis[:, 0], np.float64(bias))
  x = np.random.default_rng(0).normal(size=[5, 2])
  np.testing.assert_allclose(flow.forward(x), planar.forward(x), 1e-9)
  np.testing.assert_allclose(
    flow.forward_log_det_jacobian(x), planar.forward_log_det_jacobian(x), 1e-9
  )


def test_bases_are_orthonormal():
  vectors = np.random.default_rng(0).normal(size=[2, 3, 5])
  q = sylvester.householder_basis(vectors).numpy()
  np.testing.assert_allclose(
    q @ np.swapaxes(q, -1, -2), np.broadcast_to(np.eye(5), [2, 5, 5]), atol=1e-12
  )
  reflected = np.eye(5)
  for v in vectors[0]:
    reflected = reflected @ (np.eye(5) - 2 * np.outer(v, v) / (v @ v))
  np.testing.assert_allclose(q[0], reflected, atol=1e-12)
  q = sylvester.orthonormal_basis(vectors.swapaxes(-1, -2)).numpy()
  np.testing.assert_allclose(
    np.swapaxes(q, -1, -2) @ q, np.broadcast_to(np.eye(3), [2, 3, 3]), atol=1e-12
  )


def test_basis_is_checked():
  _, outer, inner, bias = parameters()
  with pytest.raises(tf.errors.InvalidArgumentError, match="orthonormal"):
    Sylvester(np.ones([4, 3]), outer, inner, bias, validate_args=True)
