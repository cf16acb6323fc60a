"""A density of video: temporal transforms over white noise or over a latent model."""

from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors.temporal_affine import Prediction, TemporalAffineAutoregressive
from tfafs.bijectors.temporal_chain import TemporalChain
from tfafs.layers import dequantization, frame_coders
from tfafs.layers.temporal_networks import ConvolutionalTemporalNetwork
from tfafs.models import filtering
from tfafs.models.video import export, latent_cell, settings, variants

tfd = tfp.distributions


class Noise(NamedTuple):
  """What the transforms leave of a video: frames that follow a burn-in.

  Attributes:
    values: float32 [batch, time - burn_in, height, width, channels].
    logdet: float32 [batch, time - burn_in], log |det dy_t/dx_t|.
    predictions: Of each level, data first: shift and log-scale, shaped as `values`.
  """

  values: tf.Tensor
  logdet: tf.Tensor
  predictions: tuple


class VideoDensity(tf.keras.Model):
  """One of the models of paper 000: `VARIANTS` names them.

  Compile with an optimizer and `fit` on clips float32 [batch, time, size, size, channels]
  in [0, 1], multiples of 1 / 255; the model dequantises them itself. The first `burn_in`
  frames, 3 for each transform, are read and not modelled. The loss is the negative
  log-density, or its bound, in nats per frame; "nats_per_dimension" is of the last
  `config.data.scored_frames`, plus ln 256.

  Attributes:
    burn_in: Frames at the start that have no density.
    flow: The transforms, a `TemporalChain` from noise to data; None without.
    cell: The latent variable, an `SlvmCell`; None for white noise.
    encoder: Frames of noise to the evidence of `cell`.
    decoder: Latents to Gaussians over frames of noise.
  """

  def __init__(self, config):
    """Builds the model that `config.model.name` names, with all its variables.

    Args:
      config: Config with `model`, `data` and `training`; see `configs/video.py`.

    Raises:
      ValueError: A size, activation or dequantisation that cannot be.
    """
    super().__init__(name=config.model.name)
    self.config = config
    model, data = config.model, config.data
    variant = variants.VARIANTS[model.name]
    settings.check(config)
    size, channels = data.image_size, data.channels
    self.frame_shape = (size, size, channels)
    self.networks = [
      ConvolutionalTemporalNetwork(
        channels,
        window=model.flow.window,
        filters=model.flow.filters,
        encoder_layers=model.flow.encoder_layers,
        fusion_layers=model.flow.fusion_layers,
        predict_change=model.flow.predict_change,
        head_initializer=model.flow.head_initializer,
        name=f"flow_{level}",
      )
      for level in range(variant.num_flows)
    ]
    self.burn_in = sum(network.window for network in self.networks)
    settings.check_frames(config, self.burn_in)
    self.flow = self.cell = self.encoder = self.decoder = None
    if self.networks:
      self.flow = TemporalChain(
        [
          TemporalAffineAutoregressive(network, max_scale=model.flow.max_scale)
          for network in self.networks
        ]
      )
    if variant.latent:
      latent = model.latent
      shared = {"filters": tuple(latent.filters), "activation": latent.activation}
      self.encoder = frame_coders.FrameEncoder(
        size, channels, code_size=latent.code_size, name="encoder", **shared
      )
      self.cell = latent_cell.SlvmCell(
        latent.code_size,
        latent.size,
        latent.lstm_units,
        variant.lstm_layers,
        tuple(latent.prior_units),
        name="latent",
      )
      self.decoder = frame_coders.FrameDecoder(
        size,
        channels,
        latent.size,
        # Frames are in [0, 1], noise is not.
        bounded_loc=not self.networks,
        name="decoder",
        **shared,
      )

  def call(self, x, training=False, seed=(0, 0)):
    """Log-density of each frame after the burn-in, or its bound, [batch, time]."""
    terms = self.step_terms(x, seed, training=training)
    return tf.reduce_mean(terms.reconstruction - terms.kl + terms.logdet, 0)

  def to_noise(self, x, training=False) -> Noise:
    """Takes out of each frame what the transforms predict of it.

    The same as `flow.inverse(x[:, burn_in:], context=x[:, :burn_in])`, with what each
    frame adds to the log-determinant, and each frame passes each network once.

    Args:
      x: float32 [batch, time > burn_in, size, size, channels], dequantised.
      training: Whether batch statistics are taken.
    """
    predictions = []
    for level in self.flow.levels if self.flow else ():
      past, x = x[:, : level.window], x[:, level.window :]
      prediction = level.predict(x, context=past, training=training)
      x = (x - prediction.shift) * tf.exp(-prediction.log_scale)
      predictions.append(prediction)
    time = tf.shape(x)[1]
    # What belongs to frames that are only the past of another level is not scored.
    predictions = tuple(
      Prediction(*(value[:, -time:] for value in prediction))
      for prediction in predictions
    )
    logdet = tf.zeros(tf.shape(x)[:2])
    for prediction in predictions:
      logdet -= tf.reduce_sum(prediction.log_scale, [2, 3, 4])
    return Noise(x, logdet, predictions)

  def step_terms(
    self, x, seed, num_samples: int = 1, analytic_kl: bool = True, training=False
  ) -> filtering.StepTerms:
    """Terms of the log-density or its bound, [num_samples, batch, time - burn_in].

    Args:
      x: float32 [batch, time > burn_in, size, size, channels], dequantised.
      seed: int32 [2], of the latents.
      num_samples: Paths of latents for each video.
      analytic_kl: See `filtering.filter_sequence`.
      training: Whether batch statistics are taken.
    """
    return self.noise_terms(
      self.to_noise(x, training), seed, num_samples, analytic_kl, training
    )

  def noise_terms(
    self, noise, seed, num_samples: int = 1, analytic_kl: bool = True, training=False
  ) -> filtering.StepTerms:
    """The same of what `to_noise` has made already."""
    if self.cell is None:
      return filtering.without_latent(
        self._white_noise(tf.shape(noise.values)[:2]), noise.values, noise.logdet
      )
    return self.filter_noise(noise, seed, num_samples, analytic_kl, training).terms

  def _white_noise(self, batch_shape):
    zeros = tf.zeros([*tf.unstack(batch_shape), *self.frame_shape])
    return tfd.Independent(tfd.Normal(zeros, 1.0), 3)

  def filter_noise(
    self, noise, seed, num_samples: int = 1, analytic_kl: bool = True, training=False
  ) -> filtering.Filtered:
    """Runs the posterior over what `to_noise` has made; for models with a latent."""
    return filtering.filter_sequence(
      self.cell,
      lambda latents: self.emission(latents, training),
      self.encoder(noise.values, training=training),
      noise.values,
      seed,
      logdet=noise.logdet,
      num_samples=num_samples,
      analytic_kl=analytic_kl,
    )

  def emission(self, latents, training=False):
    """Gaussian over frames of noise, given latents [batch, time, latent size]."""
    loc, log_scale = self.decoder(latents, training=training)
    return tfd.Independent(tfd.Normal(loc, tf.exp(log_scale)), 3)

  def sample(self, context, num_frames, seed, temperature=1.0):
    """Goes on with videos.

    Args:
      context: float32 [batch, k, size, size, channels], the frames before, dequantised; k
        at least `burn_in`, which may be 0. What a latent model sees of them behind the
        burn-in, its posterior reads. Where k is not known beforehand, there must be one.
      num_frames: Frames to draw.
      seed: int32 [2].
      temperature: Factor of the deviations from the mean of every draw: of latents and
        noise.

    Returns:
      float32 [batch, num_frames, size, size, channels]; not clipped to [0, 1].

    Raises:
      ValueError: If the context is too short.
    """
    batch = tf.shape(context)[0]
    length = context.shape[1]
    if length is not None and length < self.burn_in:
      raise ValueError(
        f"context has {length} frames; {self.name} reads {self.burn_in} before the "
        "first that it can draw."
      )
    seeds = tf.random.experimental.stateless_split(seed, 2)
    if self.cell is None:
      white = self._white_noise(tf.stack([batch, num_frames]))
      y = filtering.tempered_sample(white, temperature, seeds[1])
    else:
      state = self._state_after(context, seeds[0])
      y = filtering.generate(
        self.cell, self.emission, state, num_frames, seeds[1], temperature
      ).values
    if self.flow is None:
      return y
    return self.flow.forward(y, context=context, training=False)

  def _state_after(self, context, seed):
    """State of the cell that has filtered all frames of a context behind the burn-in."""

    def fresh():
      return self.cell.initial_state(tf.shape(context)[0])

    def filtered():
      return self.filter_noise(self.to_noise(context), seed).state

    if context.shape[1] is None:
      return tf.cond(tf.shape(context)[1] > self.burn_in, filtered, fresh)
    return filtered() if context.shape[1] > self.burn_in else fresh()

  def terms(self, clips, seed, training=False):
    """Loss of a batch and what is logged with it: dict of scalars.

    Args:
      clips: float32 [batch, time, size, size, channels] in [0, 1], 8-bit values.
      seed: int32 [2], of dequantisation and latents.
      training: Whether batch statistics are taken.
    """
    seeds = tf.random.experimental.stateless_split(seed, 2)
    x = dequantization.dequantize(clips, self.config.model.dequantization, seeds[0])
    noise = self.to_noise(x, training)
    terms = self.noise_terms(noise, seeds[1], training=training)
    schedule = self.config.training
    weight = 1.0
    if training:
      step = self.optimizer.iterations
      weight = filtering.kl_weight(step, schedule.kl_start, schedule.kl_steps)
    loss = filtering.loss(terms, kl_weight=weight, free_nats=schedule.free_nats)
    per_frame = filtering.loss(terms, self.scored(noise.values.shape[1]))
    units = self.units(per_frame)
    logs = {
      "loss": loss,
      "nats_per_dimension": units.nats_per_dimension,
      "noise_correlation": correlation_in_batch(noise.values),
    }
    if self.cell is not None:
      logs["kl_per_frame"] = tf.reduce_mean(terms.kl)
    if self.flow is not None:
      logs["logdet_per_frame"] = tf.reduce_mean(terms.logdet)
    return logs

  def scored(self, num_modelled: int):
    """1 for the frames, of those after the burn-in, that figures are a mean over."""
    return filtering.scored_steps(num_modelled, last=self.config.data.scored_frames)

  def units(self, nats_per_frame) -> dequantization.Likelihood:
    """Units of the mean negative log-density of a scored frame."""
    height, width, channels = self.frame_shape
    return dequantization.likelihood(
      nats_per_frame,
      self.config.data.scored_frames,
      height * width * channels,
      self.config.model.dequantization,
    )

  @tf.autograph.experimental.do_not_convert  # Nothing to convert; takes seconds.
  def train_step(self, clips):
    """One step of gradient descent; its noise depends on seed, step and replica alone."""
    step = tf.cast(self.optimizer.iterations, tf.int32)
    context = tf.distribute.get_replica_context()
    replicas = context.num_replicas_in_sync
    seed = tf.stack([self.config.training.seed * replicas, step])
    seed += tf.stack([context.replica_id_in_sync_group, 0])
    with tf.GradientTape() as tape:
      terms = self.terms(clips, seed, training=True)
      # Keras sums gradients over replicas, each of which takes the mean over its share.
      loss = terms["loss"] / replicas
    gradients = tape.gradient(loss, self.trainable_variables)
    self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
    return terms

  def test_step(self, clips):
    """Loss of a batch, without training."""
    return self.terms(clips, (self.config.training.seed, 0))

  @tf.function(autograph=False)
  def pictures(self, x, seed=(0, 0)) -> dict:
    """What the model makes of each frame after the burn-in (paper 000, Figure 6).

    Args:
      x: float32 [batch, time > burn_in, size, size, channels], dequantised.
      seed: int32 [2], of the latents.

    Returns:
      Dict of float32 [batch, time - burn_in, size, size, channels]: frame, then, in the
      units of the data, what there is of shift and log_scale (of one level; shift_2 ...
      of others), noise, and with a latent variable mean and log_std of the noise.
    """
    noise = self.to_noise(x)
    pictures = {"frame": x[:, self.burn_in :]}
    for level, prediction in enumerate(noise.predictions):
      suffix = f"_{level + 1}" if level else ""
      pictures[f"shift{suffix}"] = prediction.shift
      pictures[f"log_scale{suffix}"] = prediction.log_scale
    if noise.predictions:
      pictures["noise"] = noise.values
    if self.cell is not None:
      emission = self.emission(self.filter_noise(noise, seed).features[0])
      pictures["mean"] = emission.distribution.loc
      pictures["log_std"] = tf.math.log(emission.distribution.scale)
    return pictures

  def visualize(self, clips):
    """Pictures of a clip's last frame for TensorBoard.

    Args:
      clips: float32 [batch, time, size, size, channels] in [0, 1].

    Returns:
      Dict of float32 [batch, size, size, channels] in [0, 1].
    """
    kind = self.config.model.dequantization
    pictures = self.pictures(dequantization.dequantize(clips, kind, (0, 1)))
    # Without a flow the mean is of a frame; what a second flow predicts is noise.
    data = {"frame", "shift"} | (set() if self.flow else {"mean"})
    return {
      name: to_unit(value[:, -1], is_data=name in data)
      for name, value in pictures.items()
    }

  def export_density(self, path):
    """Writes a SavedModel with `log_prob`, `sample`, `transform`; see `export`."""
    export.export_density(self, path)


def build(config) -> VideoDensity:
  """Builds a model with all its variables."""
  model = VideoDensity(config)
  model(tf.zeros([1, config.data.num_frames, *model.frame_shape]))
  return model


def to_unit(values, is_data: bool):
  """A picture of `VideoDensity.pictures` in [0, 1], to be looked at.

  Data and its predictions are as they are. Of log-scales, noise and what predicts noise
  grey is 0 and white 3; so a step of 1 / 12 is of scales a factor of sqrt(e).
  """
  if not is_data:
    values = 0.5 + values / 6.0
  return tf.clip_by_value(values, 0.0, 1.0)


def correlation_in_batch(x):
  """Correlation of successive frames, by the statistics of a batch (eq. 22, 23).

  Args:
    x: [batch, time, ...].

  Returns:
    Scalar, the mean over all values of a frame; `evaluation.temporal_correlation` takes
    the statistics of a data set.
  """
  x = tf.stop_gradient(x)
  if x.shape[1] is not None and x.shape[1] < 2:
    return tf.zeros([])
  centred = x - tf.reduce_mean(x, [0, 1], keepdims=True)
  variance = tf.reduce_mean(centred**2, [0, 1])
  covariance = tf.reduce_mean(centred[:, 1:] * centred[:, :-1], [0, 1])
  return tf.reduce_mean(tf.math.divide_no_nan(covariance, variance))
