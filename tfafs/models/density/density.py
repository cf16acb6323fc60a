"""A normalizing flow as a Keras model that learns a density over the plane."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors import presets
from tfafs.datasets import density_2d
from tfafs.models import own_variables
from tfafs.models.density import export

tfd = tfp.distributions

EVENT_SIZE = 2


class DensityModel(own_variables.OwnVariables, tf.keras.Model):
  """A flow from standard normal noise, fitted to samples or to an energy.

  Compile with an optimizer and `fit` on batches float32 [batch, 2]. Which objective it
  has depends on `config.data.dataset`:

  - a density of `datasets.density_2d`: batches are its samples, the loss is their mean
    negative log-likelihood in nats (paper 003, eq. 2).
  - an energy: batches are standard normal noise, the loss is the divergence of the
    flow from exp(-U) / Z (eq. 3), less than 0 only by chance. The flow is then used the
    way in which samples with their density are fast.

  Attributes:
    flow: The bijector, from noise to data.
    distribution: What it learns, a `tfd.TransformedDistribution` over [2].
    energy: Name of the energy, None if samples are given.
  """

  def __init__(self, config):
    """Builds the flow that `config.model.name` names.

    Args:
      config: Config with `data.dataset` and `model`: beside the name, arguments of the
        function in `bijectors.presets` that builds the flow.

    Raises:
      ValueError: an unknown dataset, or arguments that the flow refuses.
    """
    super().__init__(name=config.model.name)
    self.config = config
    dataset = config.data.dataset
    if dataset not in density_2d.NAMES:
      raise ValueError(
        f"data.dataset must be one of {', '.join(density_2d.NAMES)}, not {dataset!r}."
      )
    self.energy = dataset if dataset in density_2d.ENERGIES else None
    options = {k: v for k, v in config.model.items() if k != "name"}
    self.flow = presets.make_flow(
      config.model.name,
      EVENT_SIZE,
      fast=presets.SAMPLING if self.energy else presets.DENSITY,
      **options,
    )
    self.distribution = tfd.TransformedDistribution(
      tfd.MultivariateNormalDiag(tf.zeros([EVENT_SIZE])), self.flow
    )

  def call(self, x, training=False):
    """Log-density [...] at points [..., 2]."""
    del training
    return self.distribution.log_prob(x)

  def divergence(self, noise):
    """Terms of the divergence from the energy's density, one for each sample.

    Args:
      noise: float32 [..., 2], standard normal.

    Returns:
      [...], log q(x) + U(x) + log Z at the points x that the flow makes of the noise;
      their mean is KL(q || p).
    """
    return self._divergence(noise)[0]

  def _divergence(self, noise):
    """`divergence`, and the energy in it."""
    x = self.flow.forward(noise)
    log_q = self.distribution.distribution.log_prob(noise)
    log_q -= self.flow.forward_log_det_jacobian(noise, event_ndims=1)
    energy = density_2d.energy(self.energy, x)
    return log_q + energy + density_2d.log_normalizer(self.energy), energy

  def terms(self, batch):
    """Loss of a batch and what is logged with it: dict of scalars."""
    if self.energy:
      divergence, energy = self._divergence(batch)
      return {"loss": tf.reduce_mean(divergence), "energy": tf.reduce_mean(energy)}
    loss = -tf.reduce_mean(self(batch))
    return {"loss": loss, "nats_per_dimension": loss / EVENT_SIZE}

  @tf.autograph.experimental.do_not_convert
  def train_step(self, batch):
    """One step of gradient descent."""
    with tf.GradientTape() as tape:
      terms = self.terms(batch)
      loss = terms["loss"]
      if self.energy:
        loss -= (1.0 - self._energy_weight()) * terms["energy"]
      # Keras sums gradients over replicas, each of which takes the mean over its share.
      loss /= tf.distribute.get_replica_context().num_replicas_in_sync
    gradients = tape.gradient(loss, self.trainable_variables)
    self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
    return terms

  def _energy_weight(self):
    """Weight of the energy, from 0.1 to 1 over `training.anneal_until` of the steps.

    The divergence forgives a mode that is left out, so that what is missed at first is
    missed for ever. A flat energy lets the flow cover the plane before it must choose.
    """
    training = self.config.training
    steps = training.anneal_until * training.steps
    step = tf.cast(self.optimizer.iterations, tf.float32)
    return tf.minimum(1.0, 0.1 + 0.9 * step / max(1.0, steps))

  def test_step(self, batch):
    """Loss of a batch."""
    return self.terms(batch)

  def export_density(self, path):
    """Writes a SavedModel with `log_prob` and `sample`; see `export`."""
    export.export_density(self, path)


def build(config) -> DensityModel:
  """Builds a model with all its variables."""
  with tf.init_scope():
    # A constant of the loss; not a thing to compute within a step.
    if config.data.dataset in density_2d.ENERGIES:
      density_2d.log_normalizer(config.data.dataset)
  model = DensityModel(config)
  model(tf.zeros([1, EVENT_SIZE]))
  return model
