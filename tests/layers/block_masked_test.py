import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers import block_masked
from tfafs.layers.block_masked import BlockAutoregressiveNetwork


def network(size=3, hidden=(4, 2), **options):
  tf.keras.utils.set_random_seed(0)
  return BlockAutoregressiveNetwork(size, hidden, dtype="float64", **options)


def naive(net, x):
  """The network as paper 003 writes it, one point, loops, no logarithms but eq. 8's.

  Returns the value and the Jacobian by the chain rule.
  """
  hidden, jacobian = x, np.eye(len(x))
  for number, dense in enumerate(net.dense):
    if number:
      slope = 1.0 / np.cosh(hidden) ** 2
      hidden = (
        np.tanh(hidden) + 0.01 * hidden
        if net.activation != "tanh"
        else (np.tanh(hidden))
      )
      slope = slope + 0.01 if net.activation != "tanh" else slope
      jacobian = slope[:, None] * jacobian
    a, b, size = dense.units_in, dense.units_out, dense.event_size
    weights = np.zeros([size * b, size * a])
    for i in range(size):
      for j in range(i + 1):
        rows, columns = slice(i * b, i * b + b), slice(j * a, j * a + a)
        if i == j:
          block = np.exp(dense.log_diagonal.numpy()[i].T)
        else:
          block = dense.off_diagonal.numpy().T[rows, columns]
        weights[rows, columns] = block
    weights *= (np.exp(dense.log_norm.numpy()) / np.linalg.norm(weights, axis=1))[
      :, None
    ]
    hidden = weights @ hidden + dense.bias.numpy()
    jacobian = weights @ jacobian
  if net.residual == "gated":
    gate = 1.0 / (1.0 + np.exp(-net.gate.numpy()))
    return gate * hidden + (1 - gate) * x, gate * jacobian + (1 - gate) * np.eye(len(x))
  if net.residual == "plain":
    return hidden + x, jacobian + np.eye(len(x))
  return hidden, jacobian


@pytest.mark.parametrize("activation", block_masked.ACTIVATIONS)
@pytest.mark.parametrize("residual", block_masked.RESIDUALS)
def test_value_and_jacobian_are_the_papers(activation, residual):
  net = network(activation=activation, residual=residual)
  x = 3.0 * np.random.default_rng(1).normal(size=[5, 3])
  output = net(tf.constant(x))
  for point, value, log_diagonal in zip(x, *map(np.array, output)):
    expected, jacobian = naive(net, point)
    np.testing.assert_allclose(value, expected, 1e-12, 1e-12)
    np.testing.assert_array_equal(np.triu(jacobian, 1), 0)
    np.testing.assert_allclose(log_diagonal, np.log(np.diag(jacobian)), 1e-10, 1e-10)


@pytest.mark.parametrize(
  "size, hidden, flows, count",
  # The sizes of paper 003's Table 1, of which the last is outside its grid.
  [(6, (40, 40), 5, 181_264), (21, (20, 20), 5, 516_814), (43, (5, 5), 5, 170_284)],
)
def test_number_of_parameters(size, hidden, flows, count):
  total = 0
  for i in range(flows):
    net = BlockAutoregressiveNetwork(
      size, hidden, residual="gated" if i < flows - 1 else None
    )
    # Counted another way: entries that a change of moves the output's weights.
    seen = sum(int(np.sum(np.abs(w.kernel.numpy()) > 0)) for w in net.normalized())
    seen += sum(2 * w.bias.shape[0] for w in net.normalized()) + (net.gate is not None)
    assert net.num_parameters == seen
    total += seen
  assert total == count


def test_posterior_predicts_as_much_as_the_paper_says():
  net = BlockAutoregressiveNetwork(64, (4,))
  assert 8 * net.modulation_size == 7680


def test_modulation_multiplies_rows_and_columns():
  net = network(hidden=(2,))
  x = tf.constant(np.random.default_rng(1).normal(size=[2, 3]))
  modulation = np.random.default_rng(2).normal(size=[2, net.modulation_size])
  output = net(x, modulation=tf.constant(modulation))
  weights = net.normalized()
  for n in range(2):
    hidden, jacobian, at = x.numpy()[n], np.eye(3), 0
    for layer, (of_layer, sizes) in enumerate(zip(weights, net.modulation_sizes)):
      if layer:
        slope = 1.01 - np.tanh(hidden) ** 2
        hidden = np.tanh(hidden) + 0.01 * hidden
        jacobian = slope[:, None] * jacobian
      bias, rows, columns = np.split(
        modulation[n, at : at + sum(sizes)], np.cumsum(sizes)[:-1]
      )
      at += sum(sizes)
      matrix = np.exp(rows)[:, None] * of_layer.kernel.numpy().T * np.exp(columns)
      hidden = matrix @ hidden + bias + of_layer.bias.numpy()
      jacobian = matrix @ jacobian
    np.testing.assert_allclose(output.value[n], hidden, 1e-10)
    np.testing.assert_allclose(
      output.log_diagonal[n], np.log(np.diag(jacobian)), 1e-9, 1e-9
    )
  same = net(x, modulation=tf.zeros_like(modulation))
  np.testing.assert_array_equal(same.value, net(x).value)


def test_no_optimizer_can_break_the_masks():
  net = network()
  x = tf.random.normal([8, 3], dtype=tf.float64)
  for _ in range(3):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(net(x).value * [3.0, -2.0, 1.0])
    gradients = tape.gradient(loss, net.trainable_variables)
    for variable, gradient in zip(net.trainable_variables, gradients):
      variable.assign_sub(0.01 * gradient + 0.3)
  with tf.GradientTape() as tape:
    tape.watch(x)
    value = net(x).value
  jacobian = tape.batch_jacobian(value, x).numpy()
  assert np.all(np.triu(jacobian, 1) == 0)
  assert np.all(np.einsum("nii->ni", jacobian) > 0)


def test_extreme_weights_and_points_stay_finite():
  tf.keras.utils.set_random_seed(0)
  net = BlockAutoregressiveNetwork(2, (3, 3))
  for dense in net.dense:
    dense.log_diagonal.assign(100.0 * tf.sign(dense.log_diagonal))
    dense.off_diagonal.assign(1e3 * dense.off_diagonal)
  x = tf.constant([[0.0, 0.0], [1e4, -1e4], [-1e6, 1e6]])
  with tf.GradientTape() as tape:
    output = net(x)
    total = tf.reduce_sum(output.value) + tf.reduce_sum(output.log_diagonal)
  gradients = tape.gradient(total, net.trainable_variables)
  for tensor in (*output, *gradients):
    assert np.all(np.isfinite(tensor))


def test_log_matmul_equals_matmul():
  left = np.random.default_rng(0).normal(0, 30, [5, 2, 3])
  blocks = np.random.default_rng(1).normal(0, 30, [2, 3, 4])
  result = block_masked.log_matmul(tf.constant(left), tf.constant(blocks))
  expected = np.logaddexp.reduce(left[..., None] + blocks, axis=2)
  np.testing.assert_allclose(result, expected, 1e-12)


def test_float32_equals_float64():
  tf.keras.utils.set_random_seed(0)
  single = BlockAutoregressiveNetwork(3, (8, 8), residual="gated")
  double = BlockAutoregressiveNetwork(3, (8, 8), residual="gated", dtype="float64")
  for one, other in zip(single.variables, double.variables):
    other.assign(tf.cast(one, tf.float64))
  x = 20.0 * tf.random.normal([100, 3])
  for actual, expected in zip(single(x), double(tf.cast(x, tf.float64))):
    assert actual.dtype == tf.float32
    np.testing.assert_allclose(actual, expected, 2e-5, 2e-5)


@pytest.mark.parametrize(
  "options, words",
  [
    ({"event_size": 0}, "event_size must be at least 1"),
    ({"hidden_units": ()}, "hidden_units must name at least one"),
    ({"activation": "relu"}, "activation must be one of"),
    ({"residual": "yes"}, "residual must be one of"),
  ],
)
def test_bad_arguments(options, words):
  with pytest.raises(ValueError, match=words):
    BlockAutoregressiveNetwork(**{"event_size": 2, **options})


def test_bad_modulation():
  net = network()
  with pytest.raises(ValueError, match="modulation must have"):
    net(tf.zeros([1, 3], tf.float64), modulation=tf.zeros([1, 7], tf.float64))
