"""InvertibleConvolution: its matrix, at the start a rotation."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.bijectors import InvertibleConvolution


def test_starts_as_a_random_rotation():
  tf.keras.utils.set_random_seed(0)
  first, second = (InvertibleConvolution.build(6, "float64") for _ in range(2))
  for bijector in (first, second):
    matrix = bijector.matrix.numpy()
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(6), atol=1e-12)
    assert np.abs(matrix - np.eye(6)).max() > 0.3
  assert np.abs(first.matrix - second.matrix).max() > 0.3
  tf.keras.utils.set_random_seed(0)
  again = InvertibleConvolution.build(6, "float64")
  np.testing.assert_array_equal(again.matrix, first.matrix)


def test_is_a_product_of_its_factors():
  """Only the halves of the triangular matrices are read; signs and order stay."""
  bijector = InvertibleConvolution.build(4, "float64")
  rng = np.random.default_rng(1)
  for variable in bijector.trainable_variables:
    variable.assign(rng.normal(size=variable.shape))
  values = {v.name.split("/")[-1][:-2]: v.numpy() for v in bijector.variables}
  lower = np.tril(values["lower"], -1) + np.eye(4)
  diagonal = values["sign"] * np.exp(values["log_diagonal"])
  upper = np.triu(values["upper"], 1) + np.diag(diagonal)
  assert np.any(values["permutation"] != np.eye(4))
  matrix = values["permutation"] @ lower @ upper
  np.testing.assert_allclose(bijector.matrix, matrix, 1e-12)
  x = rng.normal(size=[2, 3, 5, 4])
  y = bijector.inverse(tf.constant(x))
  for place in np.ndindex(2, 3, 5):
    np.testing.assert_allclose(y[place], matrix @ x[place], 1e-10)
  log_det = bijector.inverse_log_det_jacobian(tf.constant(x), event_ndims=3)
  expected = 15 * np.linalg.slogdet(matrix)[1]
  np.testing.assert_allclose(np.broadcast_to(log_det, [2]), expected, 1e-10)


def test_refusals():
  with pytest.raises(ValueError, match="channels must be at least 1; got 0"):
    InvertibleConvolution.build(0)
  bijector = InvertibleConvolution.build(3)
  for size in (1, 2):  # One channel would be broadcast.
    for direction in (bijector.forward, bijector.inverse):
      with pytest.raises(ValueError, match="last dimension must be 3, as the weights"):
        direction(tf.zeros([4, size]))
