import numpy as np
import tensorflow as tf

from tfafs.bijectors.planar import Planar


def test_formula():
  w, b = np.array([1.0, -2.0]), 0.3
  u = np.array([0.5, 0.2])
  flow = Planar(u, w, b)
  x = np.array([0.7, 0.1])
  raw = w @ u
  adjusted = u + (np.log1p(np.exp(raw)) - 1 - raw) * w / (w @ w)
  np.testing.assert_allclose(flow.forward(x), x + adjusted * np.tanh(w @ x + b), 1e-12)


def test_any_direction_is_one_to_one():
  rng = np.random.default_rng(0)
  shape = [200, 3]
  flow = Planar(
    rng.normal(0, 5, shape), rng.normal(0, 3, shape), rng.normal(0, 3, [200])
  )
  assert flow.experimental_batch_shape() == [200]
  x = tf.constant(rng.normal(0, 3, shape))
  y = flow.forward(x)
  assert np.all(np.isfinite(flow.forward_log_det_jacobian(x)))
  again = flow.forward(tf.identity(flow.inverse(tf.identity(y))))
  np.testing.assert_allclose(again, y, 1e-9, 1e-9)


def test_batch_of_each_parameter_and_weight_zero():
  y = tf.constant([[1.0, 2.0]] * 3, tf.float64)
  flow = Planar(np.ones([3, 2]), np.zeros([2]), np.float64(0.5))
  np.testing.assert_allclose(flow.inverse(y), y - np.tanh(0.5), 1e-9)
  flow = Planar(np.ones([2]), np.ones([2]), np.zeros([3]))
  one = Planar(np.ones([2]), np.ones([2]), np.float64(0.0))
  np.testing.assert_allclose(flow.inverse(y[0]), one.inverse(y), 1e-9)
