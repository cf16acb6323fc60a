"""SplitCoupling: what passes, what is mapped, gradients through what passes."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.bijectors import ConditionalChain, SplitCoupling
from tfafs.layers.coupling_networks import ConvolutionalCouplingNetwork
from tfafs.layers.masked_network import DenseNetwork


def wild(size, scalar="nonlinear_squared", order="left_to_right", gain=0.5):
  tf.keras.utils.set_random_seed(0)
  bijector = SplitCoupling.build(
    size, scalar, hidden_units=(8,), order=order, dtype="float64"
  )
  for variable in bijector.trainable_variables:
    noise = tf.random.stateless_normal(variable.shape, [1, 2], dtype=tf.float64)
    variable.assign_add(gain * noise)
  return bijector


@pytest.mark.parametrize(
  ("order", "unchanged"),
  [("left_to_right", (0, 1)), ("right_to_left", (3, 4)), ([4, 0, 3, 1, 2], (1, 3))],
)
def test_the_first_half_in_order_passes(order, unchanged):
  bijector = wild(5, order=order)
  assert bijector.unchanged == unchanged
  y = np.random.default_rng(0).normal(size=[3, 5])
  x = bijector.forward(tf.constant(y)).numpy()
  same = np.all(x == y, axis=0)
  assert tuple(np.flatnonzero(same)) == unchanged
  network = bijector.network(tf.constant(y[:, list(unchanged)]))
  others = [i for i in range(5) if i not in unchanged]
  expected = bijector.scalar.to_data(tf.constant(y[:, others]), network)
  np.testing.assert_allclose(x[:, others], expected, 1e-12)


def test_gradients_flow_through_what_passes():
  """TextFlow's code detaches it: gradients of a stack are then wrong, even in sign."""
  flow = ConditionalChain([wild(4), wild(4, order="right_to_left")])
  x = tf.Variable(np.random.default_rng(0).normal(size=[1, 4]))

  def loss():
    log_det = flow.inverse_log_det_jacobian(tf.identity(x))
    return tf.reduce_sum(tf.sin(flow.inverse(tf.identity(x)))) + log_det[0]

  with tf.GradientTape() as tape:
    value = loss()
  gradient = tape.gradient(value, x)[0].numpy()
  for i in range(4):
    step = 1e-6 * np.eye(4)[[i]]
    x.assign_add(step)
    above = float(loss())
    x.assign_sub(2 * step)
    below = float(loss())
    x.assign_add(step)
    np.testing.assert_allclose(gradient[i], (above - below) / 2e-6, 1e-5, 1e-6)


def test_a_single_dimension_is_mapped():
  bijector = wild(1)
  y = tf.constant([[0.3], [-0.2]], tf.float64)
  x = bijector.forward(y)
  assert np.abs(x - y).max() > 1e-3
  np.testing.assert_allclose(bijector.inverse(tf.identity(x)), y, 1e-10)


def test_unchanged_must_fit_the_network():
  network = DenseNetwork(2, 3, 2)
  with pytest.raises(ValueError, match="unchanged must name 2 of the 5 dimensions"):
    SplitCoupling(network, [0])
  with pytest.raises(ValueError, match="unchanged must name 2 of"):
    SplitCoupling(network, [0, 7])
  with pytest.raises(ValueError, match="event_size must be at least 1"):
    SplitCoupling.build(0)


def test_an_image_is_mapped_by_what_passes_at_all_places():
  """The coupling of Glow: noise = (data + shift) * sigmoid(score + 2)."""
  tf.keras.utils.set_random_seed(0)
  network = ConvolutionalCouplingNetwork(2, 1, 2, width=4, dtype="float64")
  bijector = SplitCoupling(network, [0, 1], "sigmoid_affine")
  x = np.random.default_rng(0).normal(size=[2, 5, 4, 3])
  sigmoid = 1 / (1 + np.exp(-2.0))
  y = bijector.inverse(tf.constant(x))  # The network starts at zero.
  np.testing.assert_allclose(y, np.concatenate([x[..., :2], sigmoid * x[..., 2:]], -1))
  for i, variable in enumerate(network.trainable_variables):
    noise = tf.random.stateless_normal(variable.shape, [i, 1], dtype=tf.float64)
    variable.assign_add(0.3 * noise)
  parameters = network(tf.constant(x[..., :2])).numpy()
  assert parameters.shape == (2, 5, 4, 1, 2)
  slope = 1 / (1 + np.exp(-parameters[..., 1] - 2))
  y = bijector.inverse(tf.constant(x))
  np.testing.assert_array_equal(y[..., :2], x[..., :2])
  np.testing.assert_allclose(
    y[..., 2:], (x[..., 2:] + parameters[..., 0]) * slope, 1e-10
  )
  log_det = bijector.inverse_log_det_jacobian(tf.constant(x), event_ndims=3)
  np.testing.assert_allclose(log_det, np.log(slope).sum((1, 2, 3)), 1e-10)
  np.testing.assert_allclose(bijector.forward(tf.identity(y)), x, 1e-9)
  with pytest.raises(ValueError, match="is not conditional; leave context away"):
    bijector.inverse(tf.constant(x), context=tf.zeros([2, 5, 4, 1], tf.float64))
