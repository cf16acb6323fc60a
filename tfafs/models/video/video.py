"""A density of video: temporal transforms over white noise or over a latent model."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors.temporal_affine import TemporalAffineAutoregressive
from tfafs.bijectors.temporal_chain import TemporalChain
from tfafs.layers import frame_coders
from tfafs.layers.temporal_network import TemporalParameters
from tfafs.layers.temporal_networks import ConvolutionalTemporalNetwork
from tfafs.models import filtering
from tfafs.models.video import latent_cell, settings, variants
from tfafs.models.video.clip_density import ClipDensity, Noise

tfd = tfp.distributions


class VideoDensity(ClipDensity):
  """One of the models of paper 000: `VARIANTS` names them.

  Attributes:
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
    model, data = config.model, config.data
    variant = variants.VARIANTS[model.name]
    settings.check(config)
    flows = variant.num_flows
    super().__init__(config, burn_in=flows * model.flow.window if flows else 0)
    size, channels = data.image_size, data.channels
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
      for level in range(flows)
    ]
    settings.check_frames(config, self.burn_in)
    self.encoder = self.decoder = None
    # What is predicted of a frame, or of noise.
    self.data_pictures = ("frame", "shift") if self.networks else ("frame", "mean")
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

  def to_noise(self, x, training=False) -> Noise:
    """Takes out of each frame what the transforms predict of it.

    The same as `flow.inverse(x[:, burn_in:], context=x[:, :burn_in])`, with what each
    frame adds to the log-determinant, and each frame passes each network once.

    Args:
      x: float32 [batch, time > burn_in, size, size, channels], dequantised.
      training: Whether batch statistics are taken.
    """
    self.check_clips(x)
    predictions = []
    for level in self.flow.levels if self.flow else ():
      past, x = x[:, : level.window], x[:, level.window :]
      prediction = level.predict(x, context=past, training=training)
      x = (x - prediction.shift) * tf.exp(-prediction.log_scale)
      predictions.append(prediction)
    time = tf.shape(x)[1]
    # What belongs to frames that are only the past of another level is not scored.
    predictions = tuple(
      TemporalParameters(*(value[:, -time:] for value in prediction))
      for prediction in predictions
    )
    logdet = tf.zeros(tf.shape(x)[:2])
    for prediction in predictions:
      logdet -= tf.reduce_sum(prediction.log_scale, [2, 3, 4])
    return Noise(x, logdet, predictions)

  def noise_terms(
    self, noise, seed, num_samples: int = 1, analytic_kl: bool = True, training=False
  ) -> filtering.StepTerms:
    """See base class."""
    if self.cell is None:
      return super().noise_terms(noise, seed)
    return self.filter_noise(noise, seed, num_samples, analytic_kl, training).terms

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
      ValueError: If the context is too short or of another size, or `num_frames` below 1.
    """
    self.check_sampling(context, num_frames)
    batch = tf.shape(context)[0]
    seeds = tf.random.experimental.stateless_split(seed, 2)
    if self.cell is None:
      white = self.white_noise(tf.stack([batch, num_frames]))
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

  def transform(self, x) -> dict:
    """See base class; with noise come shift and scale (of level 2 shift_2 ...)."""
    noise = self.to_noise(x)
    outputs = {"noise": noise.values}
    for level, prediction in enumerate(noise.predictions):
      suffix = f"_{level + 1}" if level else ""
      outputs[f"shift{suffix}"] = prediction.shift
      outputs[f"scale{suffix}"] = tf.exp(prediction.log_scale)
    return outputs

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


def build(config) -> VideoDensity:
  """Builds a model with all its variables."""
  model = VideoDensity(config)
  model(tf.zeros([1, config.data.num_frames, *model.frame_shape]))
  return model
