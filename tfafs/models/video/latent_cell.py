"""The latent variable of SLVM (paper 000, Appendix B.2, Figure 10 a and b)."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.layers import frame_coders, stacks
from tfafs.models import filtering

tfd = tfp.distributions


class LatentState(NamedTuple):
  """The past, as `SlvmCell` holds it.

  Attributes:
    latent: [batch, latent_size], the latent of the step before, 0 at the start.
    prior: LSTM states of the prior, which have read `latent`.
    posterior: LSTM states of the posterior, which have not.
  """

  latent: tf.Tensor
  prior: tuple
  posterior: tuple


class SlvmCell(filtering.LatentCell):
  """Gaussian latents with LSTMs in prior and posterior.

      p(z_t | z_<t):         z_t-1 -> dense -> dense -> LSTMs -> mean, log-scale
      q(z_t | x_<=t, z_<t):  [code of frame t, z_t-1] -> LSTMs -> mean, log-scale

  The prior knows earlier frames through their latents alone. The evidence of a step is
  a vector, the code of its frame.

  Args:
    evidence_size: Length of that vector.
    latent_size: Length of a latent.
    units: Units of each LSTM layer.
    num_layers: LSTM layers of each.
    prior_units: Units of the prior's dense layers, with ReLU.
    **kwargs: `name` and what else a Keras layer takes.
  """

  def __init__(
    self,
    evidence_size: int,
    latent_size: int = 256,
    units: int = 256,
    num_layers: int = 1,
    prior_units: Sequence[int] = (256, 256),
    **kwargs,
  ):
    super().__init__(**kwargs)
    self.latent_size = latent_size
    self._units, self._num_layers = units, num_layers
    self._prior_dense = stacks.built(
      [
        tf.keras.layers.Dense(
          count,
          "relu",
          kernel_initializer=frame_coders.before_activation(),
          name=f"prior_dense_{i}",
        )
        for i, count in enumerate(prior_units)
      ],
      [None, latent_size],
    )
    inputs = prior_units[-1] if prior_units else latent_size
    self._prior_lstms = self._lstms("prior", inputs)
    self._posterior_lstms = self._lstms("posterior", evidence_size + latent_size)
    self._prior_heads = self._heads("prior")
    self._posterior_heads = self._heads("posterior")

  def initial_state(self, batch_size) -> LatentState:
    """See base class."""
    zeros = tf.zeros([batch_size, self._units])
    memory = ((zeros, zeros),) * self._num_layers
    latent = tf.zeros([batch_size, self.latent_size])
    return LatentState(latent, self._read_latent(latent, memory), memory)

  def prior(self, state):
    """See base class."""
    return _gaussian(self._prior_heads, state.prior)

  def posterior(self, state, evidence) -> filtering.Posterior:
    """See base class."""
    inputs = tf.concat([evidence, state.latent], -1)
    memory = _run_lstms(self._posterior_lstms, inputs, state.posterior)
    distribution = _gaussian(self._posterior_heads, memory)
    return filtering.Posterior(distribution, state._replace(posterior=memory))

  def step(self, state, latent, evidence) -> LatentState:
    """See base class."""
    del evidence  # `posterior` has read it, and the prior never does.
    return state._replace(latent=latent, prior=self._read_latent(latent, state.prior))

  def _read_latent(self, latent, memory):
    features = stacks.run(self._prior_dense, latent, None)
    return _run_lstms(self._prior_lstms, features, memory)

  def _lstms(self, name, inputs):
    sizes = [inputs, *[self._units] * (self._num_layers - 1)]
    layers = [
      tf.keras.layers.LSTMCell(self._units, name=f"{name}_lstm_{i}")
      for i in range(self._num_layers)
    ]
    for layer, size in zip(layers, sizes):
      with tf.name_scope(layer.name):
        layer.build([None, size])
    return layers

  def _heads(self, name):
    return [
      stacks.built(
        [
          tf.keras.layers.Dense(
            self.latent_size,
            kernel_initializer="glorot_normal",
            name=f"{name}_{parameter}",
          )
        ],
        [None, self._units],
      )[0]
      for parameter in frame_coders.GaussianParameters._fields
    ]


def _run_lstms(layers, x, memory):
  """Runs LSTM cells upon each other for one step; returns their (h, c)."""
  new = []
  for layer, old in zip(layers, memory):
    x, state = layer(x, list(old))
    new.append(tuple(state))
  return tuple(new)


def _gaussian(heads, memory):
  """The Gaussian that heads make of the output of the last LSTM."""
  loc, log_scale = (head(memory[-1][0]) for head in heads)
  scale = tf.exp(frame_coders.clip_log_scale(log_scale))
  return tfd.MultivariateNormalDiag(loc, scale)
