import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors import presets

tfb, tfd = tfp.bijectors, tfp.distributions

SMALL = {
  "bnaf": {"num_flows": 2, "hidden_units": (3,)},
  "maf": {"num_flows": 2, "hidden_units": (6,)},
  "realnvp": {"num_flows": 2, "hidden_units": (6,)},
  "planar": {"num_flows": 2},
  "iaf": {"num_flows": 2, "hidden_units": (6,)},
  "sylvester": {"num_flows": 2},
}


@pytest.mark.parametrize("name", presets.FLOWS)
def test_flow_is_a_bijection_and_all_its_variables_are_trained(name):
  tf.keras.utils.set_random_seed(0)
  flow = presets.make_flow(name, 3, dtype="float64", **SMALL[name])
  count = len(flow.trainable_variables)
  x = tf.random.normal([4, 3], dtype=tf.float64)
  density = tfd.TransformedDistribution(
    tfd.MultivariateNormalDiag(tf.zeros([3], tf.float64)), flow
  )
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    log_prob = density.log_prob(x)
    noise = flow.inverse(x)
  gradients = tape.gradient(log_prob, flow.trainable_variables)
  assert len(flow.trainable_variables) == count > 0
  assert all(g is not None and np.any(g != 0) for g in gradients)
  jacobian = np.linalg.slogdet(tape.batch_jacobian(noise, x))[1]
  base = density.distribution.log_prob(noise)
  # TFP's AutoregressiveNetwork has its activations in float32, whatever it is told.
  tolerance = 1e-6 if name in ("maf", "iaf") else 1e-9
  np.testing.assert_allclose(log_prob, base + jacobian, tolerance, tolerance)
  # Every component depends on every other: something permutes.
  assert np.all(np.abs(tape.batch_jacobian(noise, x)).max(0) > 0)
  np.testing.assert_allclose(flow.forward(tf.identity(noise)), x, 1e-7, 1e-7)


def test_names_are_unique_so_that_kwargs_find_their_layer():
  flow = presets.block_neural_autoregressive_flow(3, num_flows=3, hidden_units=(2,))
  names = [b.name for b in flow.bijectors]
  assert len(set(names)) == len(names) == 5
  network = flow.bijectors[0].network
  modulation = {"modulation": tf.ones([network.modulation_size])}
  x = tf.random.normal([2, 3])
  changed = flow.forward(x, **{flow.bijectors[0].name: modulation})
  assert np.all(np.abs(changed - flow.forward(tf.identity(x))) > 1e-6)


def test_published_sizes():
  flow = presets.block_neural_autoregressive_flow(43, 5, (5, 5))
  networks = [b.network for b in flow.bijectors if hasattr(b, "network")]
  assert sum(n.num_parameters for n in networks) == 170_284


def test_amortised_flow():
  networks = presets.block_neural_autoregressive_networks(3, 2, (2,))
  size = sum(n.modulation_size for n in networks)
  modulation = tf.random.normal([5, size])
  posterior = tfd.TransformedDistribution(
    tfd.MultivariateNormalDiag(tf.zeros([5, 3])),
    presets.chain_of_networks(networks, modulation=modulation),
  )
  assert posterior.sample(7).shape == [7, 5, 3]
  with pytest.raises(ValueError, match=f"modulation must have {size} entries"):
    presets.chain_of_networks(networks, modulation=modulation[:, 1:])


@pytest.mark.parametrize(
  "name, options, words",
  [
    ("glow", {}, "Unknown flow 'glow'"),
    ("bnaf", {"fast": "both"}, "fast must be"),
    ("bnaf", {"num_flows": 0}, "num_flows must be at least 1"),
    ("maf", {"permutation": "flop"}, "permutation must be one of"),
    ("maf", {"scalar": "cubic"}, "scalar must be one of"),
    ("sylvester", {"num_directions": 4}, "num_directions must be from 1 to 3"),
    ("sylvester", {"num_directions": 2, "num_reflections": 2}, "give one of them"),
  ],
)
def test_bad_arguments(name, options, words):
  with pytest.raises(ValueError, match=words):
    presets.make_flow(name, 3, **options)


@pytest.mark.parametrize("scalar", ["affine", "nonlinear_squared"])
def test_scalar_of_masked_autoregressive_flow(scalar):
  flow = presets.masked_autoregressive_flow(3, 2, (8,), scalar=scalar)
  x = tf.random.normal([4, 3])
  back = flow.forward(tf.identity(flow.inverse(x)))
  np.testing.assert_allclose(back, x, 1e-4, 1e-4)


def test_householder_preset():
  flow = presets.sylvester_flow(3, 1, num_reflections=2)
  x = tf.random.normal([4, 3])
  np.testing.assert_allclose(flow.inverse(tf.identity(flow.forward(x))), x, 1e-4, 1e-4)
