"""The neural video codec as a Keras model: the rate-distortion objective over a clip."""

from typing import NamedTuple

import tensorflow as tf

from tfafs.models.codec import export, variants
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
  pixel, both averaged over frames (eq. 1).
  """

  def __init__(self, config):
    """Builds the codec that `config.model.name` names, with the sizes in `config.model`.

    Args:
      config: Config with `model` and `training.seed`.
    """
    super().__init__(name=config.model.name)
    self.config = config
    model, dtype = config.model, config.model.precision
    self.beta = model.beta
    self.intra = frame_codecs.IntraFrameCodec(model, dtype)
    self.inter = variants.build_inter_codec(model, dtype)
    self._seed = config.training.seed
    self._means = {}

  def call(self, clips, training=False, seed=None) -> CodedClip:
    """Codes clips frame by frame.

    Args:
      clips: float32 [batch, time, height, width, 3] in [0, 1]; `time` is static.
      training: Unused; whether noise stands for rounding depends on `seed`.
      seed: int32 [2] for training, None for the exact rate.

    Returns:
      A `CodedClip`.
    """
    del training
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

  def rate_distortion(self, clips, seed=None):
    """Loss and its terms.

    Args:
      clips: As in `call`.
      seed: As in `call`.

    Returns:
      Dict of float32 scalars: loss, mse (on [0, 1]), psnr (dB, mean over frames), bpp
      (bits per pixel, mean over frames), shift_mse (of the inter frames' shift alone),
      bpp_PART (bits of a part per pixel of the frames that have it).
    """
    coded = self(clips, seed=seed)
    shape = tf.shape(clips)
    num_frames = tf.cast(shape[1], tf.float32)
    pixels = tf.cast(shape[2] * shape[3], tf.float32)
    error = tf.reduce_mean(
      tf.math.squared_difference(coded.reconstruction, clips), [2, 3, 4]
    )
    mse = tf.reduce_mean(error)
    per_clip = tf.add_n([tf.reduce_sum(bits, 1) for bits in coded.bits.values()])
    bpp = tf.reduce_mean(per_clip) / (num_frames * pixels)
    psnr = -10.0 * tf.math.log(tf.maximum(error, 1e-10)) / tf.math.log(10.0)
    terms = {
      "loss": mse + self.beta * bpp,
      "mse": mse,
      "psnr": tf.reduce_mean(psnr),
      "bpp": bpp,
      "shift_mse": tf.reduce_mean(
        tf.math.squared_difference(coded.shift, clips[:, 1:])
      ),
    }
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
    with tf.GradientTape() as tape:
      terms = self.rate_distortion(clips, seed)
      loss = terms["loss"] + self._shift_weight(step) * terms["shift_mse"]
      # Keras sums gradients over replicas, each of which takes the mean over its share.
      loss /= context.num_replicas_in_sync
    gradients = tape.gradient(loss, self.trainable_variables)
    self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
    return terms

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
    terms = self.rate_distortion(clips)
    for name, value in terms.items():
      self._means[name].update_state(value)
    return {name: self._means[name].result() for name in terms}

  @property
  def metrics(self):
    """Running means of `evaluate`; Keras resets them."""
    return list(self._means.values())

  def build_on(self, clip_shape):
    """Creates all variables.

    Args:
      clip_shape: Shape of a clip [batch, time >= 3, height, width, 3].
    """
    terms = self.rate_distortion(tf.zeros(clip_shape), seed=tf.zeros([2], tf.int32))
    self._means = {name: tf.keras.metrics.Mean(name) for name in terms}

  @tf.function
  def _first_inter_frame(self, clips):
    state = states.behind_intra(self.intra(clips[:, 0])[1])
    return state.reference, self.inter(clips[:, 1], state)

  def visualize(self, clips):
    """Pictures of the second frame's coding (paper 001, Figure 2).

    Args:
      clips: float32 [batch, time >= 2, height, width, 3] in [0, 1].

    Returns:
      Dict of float32 [batch, height, width, 3] in [0, 1]: frame, reference, shift,
      scale (log scale, grey is 1), noise (grey is 0) and reconstruction.
    """
    reference, coded = self._first_inter_frame(clips)
    scale = 0.5 + tf.math.log(coded.transform.scale) / 6.0
    pictures = {
      "frame": clips[:, 1],
      "reference": reference,
      "shift": coded.transform.shift,
      "scale": scale,
      "noise": 0.5 + coded.noise,
      "reconstruction": coded.reconstruction,
    }
    return {name: tf.clip_by_value(x, 0.0, 1.0) for name, x in pictures.items()}

  def export_codec(self, path, steps=None):
    """Writes a SavedModel that codes video without this library; see `export`.

    It computes in `config.model.export_precision`, or in `.precision` if that is empty.
    """
    model, precision = self, self.config.model.export_precision
    if precision and precision != self.config.model.precision:
      config = self.config.copy_and_resolve_references()
      config.model.precision = precision
      model = VideoCodec(config)
      model.build_on([1, MIN_FRAMES, 64, 64, 3])
      model.set_weights(self.get_weights())
    export.export_codec(model, path, steps)
