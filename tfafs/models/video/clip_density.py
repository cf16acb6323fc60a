"""What all densities of video have in common: loss, figures, a training step, export."""

import abc
import functools
from typing import NamedTuple, Optional

import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.layers import dequantization
from tfafs.models import filtering, own_variables
from tfafs.models.video import export

tfd = tfp.distributions


class Noise(NamedTuple):
  """What the transforms leave of a video: frames that follow a burn-in.

  Attributes:
    values: float32 [batch, time - burn_in, height, width, channels].
    logdet: float32 [batch, time - burn_in], log |det dy_t/dx_t|.
    predictions: Of each temporal transform of frames, data first: shift and log-scale,
      shaped as `values`.
    burn_in_log_prob: float32 [batch, burn_in], log-density of the first frames, which is
      no part of the model's, where `training.burn_in_weight` gives it a price; else None.
  """

  values: tf.Tensor
  logdet: tf.Tensor
  predictions: tuple = ()
  burn_in_log_prob: Optional[tf.Tensor] = None


class ClipDensity(own_variables.OwnVariables, tf.keras.Model, abc.ABC):
  """A density of clips that takes noise out of frames.

  Compile with an optimizer and `fit` on clips float32 [batch, time, size, size, channels]
  in [0, 1], multiples of 1 / 255; the model dequantises them itself. The first `burn_in`
  frames are read and not modelled. The loss is the negative log-density, or its bound, in
  nats per frame; "nats_per_dimension" is of the last `config.data.scored_frames`, plus
  ln 256.

  Attributes:
    config: Config with `model`, `data` and `training`; see `configs/video.py`.
    frame_shape: (height, width, channels).
    burn_in: Frames at the start that have no density.
    flow: What takes data to noise; None if the model takes data as they are.
    cell: The latent variable, a `LatentCell`; None if the noise is white.
    data_pictures: Names of those of `pictures` that are shown as frames of [0, 1].
  """

  data_pictures = ("frame",)

  def __init__(self, config, burn_in: int):
    super().__init__(name=config.model.name)
    self.config, self.burn_in = config, burn_in
    # Not of the class: Keras does not look for weights in what the class has, too.
    self.flow = self.cell = None
    size = config.data.image_size
    self.frame_shape = (size, size, config.data.channels)

  @abc.abstractmethod
  def to_noise(self, x, training=False) -> Noise:
    """Takes out of each frame what the model's transforms know of it.

    Args:
      x: float32 [batch, time > burn_in, size, size, channels], dequantised.
      training: Whether batch statistics are taken.
    """

  @abc.abstractmethod
  def sample(self, context, num_frames, seed, temperature=1.0):
    """Goes on with videos.

    Args:
      context: float32 [batch, k, size, size, channels], the frames before, dequantised; k
        at least `burn_in`.
      num_frames: Frames to draw.
      seed: int32 [2].
      temperature: Factor of the deviations from the mean of every draw.

    Returns:
      float32 [batch, num_frames, size, size, channels]; not clipped to [0, 1].

    Raises:
      ValueError: If the context is too short or of another size, or `num_frames` below 1.
    """

  @abc.abstractmethod
  def transform(self, x) -> dict:
    """What the exported model gives of each frame after the burn-in.

    Args:
      x: float32 [batch, time > burn_in, size, size, channels], dequantised.

    Returns:
      Dict of float32 [batch, time - burn_in, ...], "noise" and what belongs to it.
    """

  @abc.abstractmethod
  def pictures(self, x, seed=(0, 0)) -> dict:
    """What the model makes of each frame after the burn-in.

    Args:
      x: float32 [batch, time > burn_in, size, size, channels], dequantised.
      seed: int32 [2], of latents.

    Returns:
      Dict of float32 [batch, time - burn_in, size, size, channels]; "frame" is first.
    """

  def call(self, x, training=False, seed=(0, 0)):
    """Log-density of each frame after the burn-in, or its bound, [batch, time]."""
    terms = self.step_terms(x, seed, training=training)
    return tf.reduce_mean(terms.reconstruction - terms.kl + terms.logdet, 0)

  def step_terms(
    self, x, seed, num_samples: int = 1, analytic_kl: bool = True, training=False
  ) -> filtering.StepTerms:
    """Terms of the log-density or its bound, [num_samples, batch, time - burn_in].

    Args:
      x: float32 [batch, time > burn_in, size, size, channels], dequantised.
      seed: int32 [2], of the latents.
      num_samples: Paths of latents for each video; without a latent there is one.
      analytic_kl: See `filtering.filter_sequence`.
      training: Whether batch statistics are taken.
    """
    return self.noise_terms(
      self.to_noise(x, training), seed, num_samples, analytic_kl, training
    )

  def noise_terms(
    self, noise, seed, num_samples: int = 1, analytic_kl: bool = True, training=False
  ) -> filtering.StepTerms:
    """The same of what `to_noise` has made already; here of white noise."""
    del seed, num_samples, analytic_kl, training
    white = self.white_noise(tf.shape(noise.values)[:2])
    return filtering.without_latent(white, noise.values, noise.logdet)

  def white_noise(self, batch_shape):
    """Standard normal frames, a distribution with this batch shape."""
    zeros = tf.zeros([*tf.unstack(batch_shape), *self.frame_shape])
    return tfd.Independent(tfd.Normal(zeros, 1.0), 3)

  def check_clips(self, x, name="x", least=None):
    """Refuses frames of another size, or too few of them, where that is known.

    Args:
      x: [batch, time, ...].
      name: Of `x`, for the error.
      least: Frames that there must be; by default one more than the burn-in.

    Raises:
      ValueError: See above.
    """
    shape = tf.TensorShape(x.shape)
    least = self.burn_in + 1 if least is None else least
    if not shape.is_compatible_with([None, None, *self.frame_shape]):
      raise ValueError(
        f"{name} has shape {shape}; {self.name} is a density of clips [batch, time, "
        f"{', '.join(map(str, self.frame_shape))}]."
      )
    length = shape[1] if shape.rank else None
    if length is not None and length < least:
      raise ValueError(
        f"{name} has {length} frames; it must have {least} or more, as {self.name} reads "
        f"{self.burn_in} before the first that it knows a density of."
      )

  def check_sampling(self, context, num_frames):
    """Refuses what `sample` cannot go on from, and fewer frames than one."""
    self.check_clips(context, "context", self.burn_in)
    count = tf.get_static_value(num_frames)
    if count is not None and count < 1:
      raise ValueError(f"num_frames must be at least 1; got {count}.")

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
    if noise.burn_in_log_prob is not None:
      loss -= schedule.burn_in_weight * tf.reduce_mean(noise.burn_in_log_prob)
    per_frame = filtering.loss(terms, self.scored(noise.values.shape[1]))
    units = self.units(per_frame)
    logs = {
      "loss": loss,
      "nats_per_dimension": units.nats_per_dimension,
    }
    if noise.values.shape[1] != 1:  # One frame has none after it.
      logs["noise_correlation"] = correlation_in_batch(noise.values)
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
    seed = self._seed(tf.cast(self.optimizer.iterations, tf.int32))
    with tf.GradientTape() as tape:
      terms = self.terms(clips, seed, training=True)
      # Keras sums gradients over replicas, each of which takes the mean over its share.
      loss = terms["loss"] / tf.distribute.get_replica_context().num_replicas_in_sync
    # Of VideoFlow's first frames without a price there are weights without a gradient.
    none = tf.UnconnectedGradients.ZERO
    gradients = tape.gradient(loss, self.trainable_variables, None, none)
    self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
    self._count(terms, clips)
    return terms

  def _seed(self, number):
    """Seed of what has a number, another for each replica."""
    context = tf.distribute.get_replica_context()
    seed = tf.stack([self.config.training.seed * context.num_replicas_in_sync, number])
    return seed + tf.stack([context.replica_id_in_sync_group, 0])

  def test_step(self, clips):
    """Loss of a batch, without training; `evaluate` gives means over all clips."""
    # Numbers below 0 are of no training step, and of each batch others.
    terms = self.terms(
      clips, self._seed(-1 - tf.cast(self._means["loss"].count, tf.int32))
    )
    return self._count(terms, clips)

  def _count(self, terms, clips):
    """Takes a batch into the means over clips; returns them."""
    for name, value in terms.items():
      self._means[name].update_state(value, tf.shape(clips)[0])
    return {name: self._means[name].result() for name in terms}

  @functools.cached_property
  def _means(self):
    """Of `evaluate` and of an epoch of `fit`; checkpoints do not track what is cached."""
    # No others: Keras' history has means only where their names are those of a step.
    names = ["loss", "nats_per_dimension", "noise_correlation"]
    names += ["kl_per_frame"] * (self.cell is not None)
    names += ["logdet_per_frame"] * (self.flow is not None)
    return {name: tf.keras.metrics.Mean(name) for name in names}

  @property
  def metrics(self):
    """The same, for Keras to reset."""
    return list(self._means.values())

  def visualize(self, clips):
    """Pictures of a clip's last frame for TensorBoard.

    Args:
      clips: float32 [batch, time, size, size, channels] in [0, 1].

    Returns:
      Dict of float32 [batch, size, size, channels] in [0, 1].
    """
    kind = self.config.model.dequantization
    pictures = self.pictures(dequantization.dequantize(clips, kind, (0, 1)))
    return {
      name: to_unit(value[:, -1], is_data=name in self.data_pictures)
      for name, value in pictures.items()
    }

  def export_density(self, path):
    """Writes a SavedModel with `log_prob`, `sample`, `transform`; see `export`."""
    export.export_density(self, path)


def to_unit(values, is_data: bool):
  """A picture of `ClipDensity.pictures` in [0, 1], to be looked at.

  Data and its predictions are as they are. Of log-scales, noise and what predicts noise
  grey is 0 and white 3; so a step of 1 / 12 is of scales a factor of sqrt(e).
  """
  if not is_data:
    values = 0.5 + values / 6.0
  return tf.clip_by_value(values, 0.0, 1.0)


def correlation_in_batch(x):
  """Correlation of successive frames, by the statistics of a batch (eq. 22, 23).

  Of M frames that are independent, those less their own mean correlate by -1 / (M - 1): a
  few clips of a few frames would show a correlation that is not there. That is made 0 here,
  and 1 stays 1. Where frames do depend on each other, what their common mean takes away is
  made up for in part.

  Args:
    x: [batch, time, ...], at least two frames in each clip.

  Returns:
    Scalar, the mean over all values of a frame; `evaluation.temporal_correlation` takes
    the statistics of a data set.
  """
  x = tf.stop_gradient(x)
  centred = x - tf.reduce_mean(x, [0, 1], keepdims=True)
  variance = tf.reduce_mean(centred**2, [0, 1])
  covariance = tf.reduce_mean(centred[:, 1:] * centred[:, :-1], [0, 1])
  count = tf.cast(tf.reduce_prod(tf.shape(x)[:2]), x.dtype)
  # The same as (count - 1) / count * quotient + 1 / count; 0 where nothing varies.
  unbiased = (count - 1.0) * covariance + variance
  return tf.reduce_mean(tf.math.divide_no_nan(unbiased, count * variance))
