import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors.block_neural_autoregressive import BlockNeuralAutoregressive
from tfafs.layers.block_masked import BlockAutoregressiveNetwork

tfb, tfd = tfp.bijectors, tfp.distributions


def make(seed=0, **options):
  tf.keras.utils.set_random_seed(seed)
  network = BlockAutoregressiveNetwork(2, (6,), dtype="float64", **options)
  return BlockNeuralAutoregressive(network)


def test_a_point_without_pre_image_is_an_error_that_says_why():
  flow = make(activation="tanh")
  y = tf.constant([[0.0, 0.0], [100.0, 0.0], [np.nan, 0.0]], tf.float64)
  with pytest.raises(tf.errors.InvalidArgumentError, match="no pre-image"):
    flow.inverse(y)
  with pytest.raises(tf.errors.InvalidArgumentError, match="leaky_tanh"):
    tf.function(flow.inverse)(y)
  report = flow.inverse_report(y)
  np.testing.assert_array_equal(report.found, [True, False, False])
  # A NaN in, a NaN out: no error, as of any bijector.
  assert np.all(np.isnan(flow.inverse(y[2:])))


def test_bounded_network_round_trip():
  flow = make(activation="tanh")
  x = tf.random.normal([20, 2], dtype=tf.float64)
  back = flow.inverse(tf.identity(flow.forward(x)))
  np.testing.assert_allclose(back, x, 1e-8, 1e-8)


def test_learned_density_integrates_to_one_if_and_only_if_it_is_onto():
  axis = np.concatenate([s * np.geomspace(1e-2, 1e7, 400) for s in (-1, 1)])
  axis = np.sort(np.concatenate([axis, np.linspace(-30, 30, 801)]))
  totals = {}
  for activation in ("leaky_tanh", "tanh"):
    tf.keras.utils.set_random_seed(0)
    network = BlockAutoregressiveNetwork(
      1, (6,), activation=activation, dtype="float64"
    )
    flow = tfb.Invert(BlockNeuralAutoregressive(network))
    density = tfd.TransformedDistribution(
      tfd.MultivariateNormalDiag(tf.zeros([1], tf.float64)), flow
    )
    totals[activation] = np.trapz(np.exp(density.log_prob(axis[:, None])), axis)
  assert abs(totals["leaky_tanh"] - 1.0) < 1e-3
  assert totals["tanh"] < 0.9


def test_amortised_flow_is_batched_by_its_modulation():
  network = make(residual="gated").network
  size = network.modulation_size
  modulation = 0.5 * tf.random.normal([3, size], dtype=tf.float64)
  flow = BlockNeuralAutoregressive(network, modulation)
  assert flow.experimental_batch_shape() == [3]
  x = tf.random.normal([4, 1, 2], dtype=tf.float64)
  value, log_det = flow.forward(x), flow.forward_log_det_jacobian(x)
  assert value.shape == [4, 3, 2] and log_det.shape == [4, 3]
  for i in range(3):
    one = BlockNeuralAutoregressive(network, modulation[i])
    np.testing.assert_allclose(value[:, i], one.forward(x[:, 0]), 1e-12)
  back = flow.inverse(tf.identity(value))
  np.testing.assert_allclose(back, tf.broadcast_to(x, [4, 3, 2]), 1e-8, 1e-8)
  sliced = flow[1:]
  np.testing.assert_allclose(sliced.forward(x), value[:, 1:], 1e-12)


def test_gradient_of_samples_reaches_modulation_and_weights():
  network = make().network
  modulation = tf.Variable(0.1 * tf.ones([1, network.modulation_size], tf.float64))
  flow = BlockNeuralAutoregressive(network, modulation)
  y = tf.constant([[0.3, -0.2]], tf.float64)

  def total():
    return tf.reduce_sum(flow.inverse(tf.identity(y)) * [1.0, 2.0])

  variables = [modulation, *network.trainable_variables]
  with tf.GradientTape() as tape:
    value = total()
  gradients = tape.gradient(value, variables)
  for variable, gradient in zip(variables, gradients):
    direction = tf.random.stateless_normal(variable.shape, [1, 2], dtype=tf.float64)
    start = tf.identity(variable)
    variable.assign(start + 1e-5 * direction)
    above = total()
    variable.assign(start - 1e-5 * direction)
    below = total()
    variable.assign(start)
    slope = float(above - below) / 2e-5
    np.testing.assert_allclose(tf.reduce_sum(gradient * direction), slope, 1e-5, 1e-8)


def test_one_evaluation_of_the_network_gives_value_and_log_determinant():
  flow = make()
  calls = []
  call = flow.network.call
  flow.network.call = lambda *a, **k: calls.append(1) or call(*a, **k)
  x = tf.random.normal([5, 2], dtype=tf.float64)
  y = flow.forward(x)
  flow.forward_log_det_jacobian(x)
  flow.inverse_log_det_jacobian(y)
  assert len(calls) == 1


def test_keras_model_learns_and_saves_it(tmp_path):
  tf.keras.utils.set_random_seed(0)
  flow = BlockNeuralAutoregressive(BlockAutoregressiveNetwork(2, (6,)))
  density = tfd.TransformedDistribution(
    tfd.MultivariateNormalDiag(tf.zeros([2])), tfb.Invert(flow)
  )

  class Model(tf.keras.Model):
    def __init__(self):
      super().__init__()
      self.density = density

    def call(self, x):
      return self.density.log_prob(x)

  model = Model()
  x = 0.5 * tf.random.normal([256, 2]) + [1.0, -1.0]
  model.compile(tf.keras.optimizers.Adam(0.05), lambda _, log_prob: -log_prob)
  history = model.fit(x, x, batch_size=256, epochs=60, verbose=0).history["loss"]
  entropy = np.log(2 * np.pi * np.e * 0.25)
  assert history[-1] < entropy + 0.1 < history[0]
  before = model(x)
  model.save_weights(tmp_path / "weights")
  for variable in model.trainable_variables:
    variable.assign_add(tf.ones_like(variable))
  model.load_weights(tmp_path / "weights")
  np.testing.assert_array_equal(model(x), before)
  samples = density.sample(1000, seed=(1, 2))
  np.testing.assert_allclose(np.mean(samples, 0), [1.0, -1.0], atol=0.15)
