"""The latent variable of SLVM against LSTMs written out in NumPy."""

import numpy as np
import tensorflow as tf

from tfafs.models.video import latent_cell


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def lstm(cell, x, state):
  """One step of an LSTM; gates in the order input, forget, candidate, output."""
  kernel, recurrent, bias = (weight.astype(np.float64) for weight in cell.get_weights())
  gates = np.split(x @ kernel + state[0] @ recurrent + bias, 4, -1)
  memory = sigmoid(gates[1]) * state[1] + sigmoid(gates[0]) * np.tanh(gates[2])
  return sigmoid(gates[3]) * np.tanh(memory), memory


def dense(layer, x):
  kernel, bias = (weight.astype(np.float64) for weight in layer.get_weights())
  return x @ kernel + bias


def test_prior_and_posterior_over_three_steps():
  tf.keras.utils.set_random_seed(0)
  cell = latent_cell.SlvmCell(3, 4, 5, num_layers=2, prior_units=(6, 7))
  random = np.random.default_rng(0)
  evidence = random.normal(size=(3, 2, 3))
  latents = random.normal(size=(3, 2, 4))
  zeros = [(np.zeros([2, 5]), np.zeros([2, 5])) for _ in range(2)]
  memory = {"prior": zeros, "posterior": list(zeros)}

  def parameters(part, x):
    states = []
    for layer, state in zip(getattr(cell, f"_{part}_lstms"), memory[part]):
      states.append(lstm(layer, x, state))
      x = states[-1][0]
    memory[part] = states
    loc, log_scale = (dense(head, x) for head in getattr(cell, f"_{part}_heads"))
    return loc, np.exp(log_scale)

  state, z = cell.initial_state(2), np.zeros([2, 4])
  for t in range(3):
    hidden = z
    for layer in cell._prior_dense:
      hidden = np.maximum(dense(layer, hidden), 0)
    posterior, read = cell.posterior(state, tf.constant(evidence[t], tf.float32))
    for distribution, part, inputs in (
      (cell.prior(state), "prior", hidden),
      (posterior, "posterior", np.concatenate([evidence[t], z], 1)),
    ):
      loc, scale = parameters(part, inputs)
      np.testing.assert_allclose(distribution.mean(), loc, 1e-4, 1e-5)
      np.testing.assert_allclose(distribution.stddev(), scale, 1e-4, 1e-5)
    z = latents[t]
    state = cell.step(read, tf.constant(z, tf.float32), None)
