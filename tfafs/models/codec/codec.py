"""The neural video codec as a Keras model: the rate-distortion objective over a clip."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfafs.layers import convolutional, exact_convolution
from tfafs.models.codec import distortions, export, priors, rates, variants
from tfafs.models.codec import frames as frame_codecs
from tfafs.models.codec import state as states

# A clip that shows a codec all it has: an intra frame, the inter frame behind it, which
# can have a prior of its own, and another.
MIN_FRAMES = 3


class CodedClip(NamedTuple):
  """A coded clip.

  Attributes:
    reconstruction: float32 [batch, time, height, width, 3], as the synthesis gave it.
    shift: float32 [batch, time - 1, height, width, 3], what the transform predicts of
      the inter frames.
    bits: Dict from part ("intra", "intra_hyper", "residual", "residual_hyper", and
      "motion", "motion_hyper" if there is motion) to float32 [batch, frames that have
      it].
  """

  reconstruction: tf.Tensor
  shift: tf.Tensor
  bits: dict


class VideoCodec(tf.keras.Model):
  """One of the codecs of paper 001: an intra frame, then inter frames.

  Compile with an optimizer and `fit` on clips float32 [batch, time >= 2, height, width,
  3] in [0, 1]. The objective is mean squared error on [0, 1] plus beta times bits per
  pixel, both averaged over frames (eq. 1), or 1 - MS-SSIM in place of the error. With
  variable rate each clip has its own level of quality, and beta (eq. 16).

  Attributes:
    rates: `Rates`, one or many.
  """

  def __init__(self, config):
    """Builds the codec that `config.model.name` names, with the sizes in `config.model`.

    Args:
      config: Config with `model` and of `training`: `seed`, `distortion`, and where it
        has variable rate `level_balance`.

    Raises:
      ValueError: a field of the config has a value that it cannot have.
    """
    super().__init__(name=config.model.name)
    self.config = config
    self.rates = rates.Rates(config)
    # Configs of trained codecs may be older than the choice of a distortion.
    self._distortion = distortions.check(config.training.get("distortion", "mse"))
    model = config.model
    style = convolutional.Style(model.precision, self.rates.levels)
    self.intra = frame_codecs.IntraFrameCodec(model, style)
    self.inter = variants.build_inter_codec(model, style)
    self._seed = config.training.seed
    self._means = {}

  def call(self, clips, training=False, seed=None, quality=None) -> CodedClip:
    """Codes clips frame by frame.

    Args:
      clips: float32 [batch, time, height, width, 3] in [0, 1]; `time` is static.
      training: Unused; whether noise stands for rounding depends on `seed`.
      seed: int32 [2] for training, None for the exact rate.
      quality: float32 [batch or 1] with variable rate, by default the middle one.

    Returns:
      A `CodedClip`.
    """
    del training
    with self.rates.at(quality):
      return self._code(clips, seed)

  def _code(self, clips, seed):
    first, *rest = tf.unstack(clips, axis=1)
    seeds = [None] * clips.shape[1]
    if seed is not None:
      seeds = tf.unstack(tf.random.experimental.stateless_split(seed, clips.shape[1]))
    latent, reconstruction = self.intra(first, seeds[0])
    reconstructions, shifts = [reconstruction], []
    state = states.behind_intra(reconstruction)
    bits = {"intra": [latent.bits], "intra_hyper": [latent.hyper_bits]}
    for frame, frame_seed in zip(rest, seeds[1:]):
      coded = self.inter(frame, state, frame_seed)
      state = states.behind_inter(coded.reconstruction, coded.residual.symbols)
      reconstructions.append(coded.reconstruction)
      shifts.append(coded.transform.shift)
      for part, latent in (("motion", coded.motion), ("residual", coded.residual)):
        if latent is None:
          continue
        bits.setdefault(part, []).append(latent.bits)
        bits.setdefault(part + "_hyper", []).append(latent.hyper_bits)
    bits = {part: tf.stack(values, 1) for part, values in bits.items()}
    return CodedClip(tf.stack(reconstructions, 1), tf.stack(shifts, 1), bits)

  def rate_distortion(self, clips, seed=None, quality=None):
    """Loss and its terms.

    Args:
      clips: As in `call`.
      seed: As in `call`. With variable rate a level is drawn from it for each clip.
      quality: float32 scalar with variable rate and without seed, by default the middle.

    Returns:
      Dict of float32 scalars: loss, mse (on [0, 1]), psnr (dB, mean over frames), bpp
      (bits per pixel, mean over frames), shift_mse (of the inter frames' shift alone),
      bpp_PART (bits of a part per pixel of the frames that have it). With MS-SSIM as
      distortion also ms_ssim and shift_ms_ssim.
    """
    drawn = self.rates.draw(tf.shape(clips)[0], seed, quality)
    coded = self(clips, seed=seed, quality=drawn.quality)
    shape = tf.shape(clips)
    num_frames = tf.cast(shape[1], tf.float32)
    pixels = tf.cast(shape[2] * shape[3], tf.float32)
    error = distortions.squared_error(coded.reconstruction, clips)
    bits = tf.add_n([tf.reduce_sum(bits, 1) for bits in coded.bits.values()])
    bpp = bits / (num_frames * pixels)
    psnr = -10.0 * tf.math.log(tf.maximum(error, 1e-10)) / tf.math.log(10.0)
    terms = {
      "mse": tf.reduce_mean(error),
      "psnr": tf.reduce_mean(psnr),
      "bpp": tf.reduce_mean(bpp),
      "shift_mse": tf.reduce_mean(distortions.squared_error(coded.shift, clips[:, 1:])),
    }
    distortion = error
    if self._distortion == "ms_ssim":
      similarity = distortions.similarity(coded.reconstruction, clips)
      terms["ms_ssim"] = tf.reduce_mean(similarity)
      terms["shift_ms_ssim"] = tf.reduce_mean(
        distortions.similarity(coded.shift, clips[:, 1:])
      )
      distortion = 1.0 - similarity
    loss = tf.reduce_mean(distortion, 1) + drawn.beta * bpp
    terms["loss"] = tf.reduce_mean(drawn.importance * loss)
    for part, bits in coded.bits.items():
      terms[f"bpp_{part}"] = tf.reduce_mean(bits) / pixels
    return terms

  @tf.autograph.experimental.do_not_convert  # Nothing to convert; takes seconds.
  def train_step(self, clips):
    """One step of gradient descent; its noise depends on seed, step and replica alone."""
    if self.inter.is_temporal and clips.shape[1] < MIN_FRAMES:
      raise ValueError(
        f"Clips have {clips.shape[1]} frames, and the temporal prior of {self.name} starts "
        f"with the third: set data.num_frames to {MIN_FRAMES} or more."
      )
    step = tf.cast(self.optimizer.iterations, tf.int32)
    context = tf.distribute.get_replica_context()
    seed = tf.stack([self._seed * context.num_replicas_in_sync, step])
    seed += tf.stack([context.replica_id_in_sync_group, 0])
    exact = step >= int(self.config.training.exact_from * self.config.training.steps)
    with tf.GradientTape() as tape, exact_convolution.rounding(exact):
      terms = self.rate_distortion(clips, seed)
      loss = terms["loss"] + self._shift_weight(step) * self._shift_distortion(terms)
      # Keras sums gradients over replicas, each of which takes the mean over its share.
      loss /= context.num_replicas_in_sync
    gradients = tape.gradient(loss, self.trainable_variables)
    self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
    self._count(terms)
    return terms

  def _shift_distortion(self, terms):
    if self._distortion == "ms_ssim":
      return 1.0 - terms["shift_ms_ssim"]
    return terms["shift_mse"]

  def _shift_weight(self, step):
    """Weight of the shift's own error; fades to 0 over `training.shift_until` steps.

    Until the residual is cheap its coding drowns what the motion path could learn, and
    rate pressure closes the motion latent before it is of use.
    """
    training = self.config.training
    steps = max(1.0, training.shift_until * training.steps)
    left = 1.0 - tf.cast(step, tf.float32) / steps
    return training.shift_weight * tf.maximum(left, 0.0)

  def test_step(self, clips):
    """Measures clips with rounded latents; returns means over the epoch."""
    return self._count(self.rate_distortion(clips))

  def _count(self, terms):
    """Takes a batch into the running means; returns them."""
    for name, value in terms.items():
      self._means[name].update_state(value)
    return {name: self._means[name].result() for name in terms}

  @property
  def metrics(self):
    """Running means of `evaluate`, and of an epoch of `fit`; Keras resets them."""
    return list(self._means.values())

  def build_on(self, clip_shape):
    """Creates all variables.

    Args:
      clip_shape: Shape of a clip [batch, time >= 3, height, width, 3].
    """
    terms = self.rate_distortion(tf.zeros(clip_shape), seed=tf.zeros([2], tf.int32))
    self._means = {name: tf.keras.metrics.Mean(name) for name in terms}

  @tf.function
  def _first_inter_frame(self, clips, quality=None):
    with self.rates.at(quality):
      state = states.behind_intra(self.intra(clips[:, 0])[1])
      return state.reference, self.inter(clips[:, 1], state)

  def visualize(self, clips, quality=None):
    """Pictures of the second frame's coding (paper 001, Figure 2).

    Args:
      clips: float32 [batch, time >= 2, height, width, 3] in [0, 1].
      quality: Of a codec of variable rate, in levels; None takes the middle.

    Returns:
      Dict of float32 [batch, height, width, 3] in [0, 1]: frame, reference, shift,
      scale (log scale, grey is 1), noise (grey is 0), reconstruction, and for each
      latent where its bits go (motion_rate, residual_rate; white is most).
    """
    reference, coded = self._first_inter_frame(clips, quality)
    scale = 0.5 + tf.math.log(coded.transform.scale) / 6.0
    pictures = {
      "frame": clips[:, 1],
      "reference": reference,
      "shift": coded.transform.shift,
      "scale": scale,
      "noise": 0.5 + coded.noise,
      "reconstruction": coded.reconstruction,
    }
    for name in ("motion", "residual"):
      latent = getattr(coded, name)
      if latent is not None:
        pictures[f"{name}_rate"] = self._rate_picture(latent, clips.shape[2:4])
    return {name: tf.clip_by_value(x, 0.0, 1.0) for name, x in pictures.items()}

  def _rate_picture(self, latent, size):
    """Bits of each place of a latent over the pixels it stands for; white is most."""
    rates = priors.rate_map(latent)[..., None]
    rates /= tf.maximum(tf.reduce_max(rates, [1, 2], keepdims=True), 1e-6)
    stride = int(np.prod(self.config.model.strides))
    rates = tf.repeat(tf.repeat(rates, stride, 1), stride, 2)
    return tf.tile(rates[:, : size[0], : size[1]], [1, 1, 1, 3])

  def in_export_precision(self):
    """This codec as it is exported, with the same weights; itself if nothing changes.

    It computes in `config.model.export_precision`, or in `.precision` if that is empty.
    """
    precision = self.config.model.export_precision
    if not precision or precision == self.config.model.precision:
      return self
    config = self.config.copy_and_resolve_references()
    config.model.precision = precision
    model = VideoCodec(config)
    model.build_on([1, MIN_FRAMES, 64, 64, 3])
    model.set_weights(self.get_weights())
    return model

  def export_codec(self, path, steps=None):
    """Writes a SavedModel that codes video without this library; see `export`.

    It computes as `in_export_precision` does.
    """
    export.export_codec(self.in_export_precision(), path, steps)
