"""Networks of flows: what depends on what, before and after training."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers import masked_network

ORDERS = ["left_to_right", "right_to_left", [2, 0, 3, 1]]


def dependence(network, context=None):
  """Largest |d parameters of i / d x_j|, [output, input]."""
  x = tf.constant(np.random.default_rng(0).normal(size=[20, network.event_size]))
  with tf.GradientTape() as tape:
    tape.watch(x)
    total = tf.reduce_sum(network(x, context), -1)
  return np.abs(tape.batch_jacobian(total, x)).max(0)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("context_size", [None, 3])
def test_parameters_depend_on_all_dimensions_before_and_on_no_other(
  order, context_size
):
  tf.keras.utils.set_random_seed(0)
  network = masked_network.MaskedNetwork(
    4, 2, (32, 32), context_size, order, "tanh", "float64"
  )
  context = None if context_size is None else tf.ones([20, 3], tf.float64)
  ranks = masked_network.ranks_of(order, 4)
  expected = ranks[np.newaxis] < ranks[:, np.newaxis]
  np.testing.assert_array_equal(dependence(network, context) > 0, expected)


def test_no_optimizer_can_undo_the_masks():
  """Plain steps against the gradient, noise on every weight: still autoregressive."""
  network = masked_network.MaskedNetwork(
    4, 2, (16,), activation="tanh", dtype="float64"
  )
  x = tf.constant(np.random.default_rng(1).normal(size=[20, 4]))
  for i in range(5):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(tf.square(network(x) - x[..., tf.newaxis]))
    gradients = tape.gradient(loss, network.trainable_variables)
    for variable, gradient in zip(network.trainable_variables, gradients):
      noise = tf.random.stateless_normal(variable.shape, [i, 1], dtype=tf.float64)
      variable.assign_sub(0.01 * gradient + 0.1 * noise)
  assert np.all(np.triu(dependence(network)) == 0)


def test_the_first_dimension_hears_the_context():
  tf.keras.utils.set_random_seed(0)
  network = masked_network.MaskedNetwork(3, 2, (16,), 2)
  output = network(tf.zeros([2, 3]), tf.constant([[1.0, 2.0], [-1.0, 0.0]]))
  assert np.abs(output[0, 0] - output[1, 0]).max() > 1e-4


def test_any_batch_shapes_broadcast():
  network = masked_network.DenseNetwork(2, 3, 5, (4,), context_size=1)
  assert network(tf.zeros([2]), tf.zeros([1])).shape == [3, 5]
  assert network(tf.zeros([6, 1, 2]), tf.zeros([7, 1])).shape == [6, 7, 3, 5]


def test_variables_are_there_at_once_and_start_near_zero():
  network = masked_network.DenseNetwork(2, 3, 5, (64, 64), context_size=1)
  assert len(network.trainable_variables) == 9
  output = network(tf.random.stateless_normal([100, 2], [0, 0]), tf.ones([1]))
  assert 0 < np.abs(output).max() < 0.2


def test_sizes_are_checked():
  with pytest.raises(ValueError, match="must be at least 1"):
    masked_network.DenseNetwork(2, 3, 5, (0,))
  with pytest.raises(ValueError, match="event_size must be at least 1"):
    masked_network.MaskedNetwork(0, 2)
  with pytest.raises(ValueError, match="a permutation of the numbers 0 to 2"):
    masked_network.ranks_of("up", 3)
