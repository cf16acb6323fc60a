"""ActivationNormalization: its start, and its log-determinant over images."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.bijectors import ActivationNormalization
from tfafs.layers.act_norm import data_dependent_start


def test_start_and_log_determinant_of_images():
  bijector = ActivationNormalization.build(2, "float64")
  x = np.random.default_rng(0).normal([1, -2], [3, 0.5], size=[4, 5, 6, 2])
  with data_dependent_start():
    bijector.inverse(tf.constant(x))
  y = bijector.inverse(tf.constant(x))
  np.testing.assert_allclose(np.mean(y, (0, 1, 2)), 0, atol=1e-12)
  np.testing.assert_allclose(np.std(y, (0, 1, 2)), 1, 1e-5)
  log_det = bijector.inverse_log_det_jacobian(tf.constant(x), event_ndims=3)
  expected = -30 * np.log(x.std((0, 1, 2))).sum()
  np.testing.assert_allclose(np.broadcast_to(log_det, [4]), expected, 1e-5)


def test_refusals():
  with pytest.raises(ValueError, match="channels must be at least 1; got 0"):
    ActivationNormalization.build(0)
  bijector = ActivationNormalization.build(3)
  for size in (1, 2):  # One channel would be broadcast.
    for direction in (bijector.forward, bijector.inverse):
      with pytest.raises(ValueError, match="last dimension must be 3, as the weights"):
        direction(tf.zeros([4, size]))
