"""VideoFlow: a Glow of each frame, and a prior of its latents that knows the past."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors import multi_scale
from tfafs.layers import dequantization
from tfafs.layers.act_norm import data_dependent_start
from tfafs.models import filtering
from tfafs.models.video import settings, variants
from tfafs.models.video.clip_density import ClipDensity, Noise
from tfafs.models.video.latent_prior import LatentPrior

tfd = tfp.distributions


class VideoFlow(ClipDensity):
  """Exact density of video (Kumar et al., 2020), and with temporal flows (paper 000).

  Glow takes each frame x_t to latents z_t^1 (finest) to z_t^L; a `LatentPrior` takes out
  of those of each level what the last `window` frames and the coarser latents of the same
  frame say of it; what is left is white noise:

      log p(x_t | x_<t) = sum over l of log N(z_t^l; shift_t^l, scale_t^l) + log |dz_t/dx_t|
      noise_t^l = (z_t^l - shift_t^l) / scale_t^l

  Attributes:
    flow: Glow, a `MultiScale` from latents to a frame.
    priors: A `LatentPrior` for each level, finest first.
    layout: A `MultiScale` of permutations alone: latents of all levels as one frame.
  """

  data_pictures = ("frame", "prediction")

  def __init__(self, config):
    """Builds the model that `config.model.name` names, with all its variables.

    Args:
      config: Config with `model`, `data` and `training`; see `configs/videoflow.py`.

    Raises:
      ValueError: A size or dequantisation that cannot be.
    """
    model, data = config.model, config.data
    settings.check(config)
    settings.check_videoflow(config)
    settings.check_frames(config, model.prior.window)
    super().__init__(config, burn_in=model.prior.window)
    glow, prior = model.glow, model.prior
    self.flow = multi_scale.glow(data.channels, glow.levels, glow.depth, glow.width)
    self.layout = multi_scale.glow(data.channels, glow.levels, depth=0)
    shapes = self.flow.inverse_event_shape(self.frame_shape)
    self.priors = [
      LatentPrior(
        channels,
        channels if level < glow.levels - 1 else 0,
        image_width,
        prior.window,
        prior.blocks,
        prior.width,
        prior.flow_width if variants.VIDEOFLOW[model.name].temporal_flow else None,
        name=f"prior_{level + 1}",
      )
      for level, (_, image_width, channels) in enumerate(shapes)
    ]

  def initialize_from(self, clips):
    """Takes the start of all normalisations from data: once, before the first step.

    The noise of dequantisation is drawn from `config.training.seed`.

    Args:
      clips: float32 [batch, time, size, size, channels] in [0, 1], 8-bit values; of each
        as many frames are read as a training step reads.
    """
    kind = self.config.model.dequantization
    clips = clips[:, : self.config.training.patch_frames or None]
    seed = (self.config.training.seed, -1)  # A step has a number from 0 on.
    with data_dependent_start():
      self.to_noise(dequantization.dequantize(clips, kind, seed))

  def to_noise(self, x, training=False) -> Noise:
    """White noise of latents, laid out as a frame; see base class."""
    del training
    scales = self._split(x)
    return self._noise(scales, self._predictions(scales))

  def _split(self, x):
    self.check_clips(x)
    return self.flow.split(x)

  def _predictions(self, scales) -> list:
    """What the priors say of the latents behind the burn-in, level by level."""
    return [
      prior(z[:, :-1], None if kept is None else kept[:, self.burn_in :])
      for prior, z, kept in zip(self.priors, scales.latents, scales.kept)
    ]

  def _noise(self, scales, predictions) -> Noise:
    """What the predictions leave of latents."""
    first = self.burn_in
    logdet = scales.log_det[:, first:]
    noises = []
    for z, (shift, log_scale) in zip(scales.latents, predictions):
      noises.append((z[:, first:] - shift) * tf.exp(-log_scale))
      logdet -= tf.reduce_sum(log_scale, [2, 3, 4])
    before = None
    if self.config.training.burn_in_weight:  # What has no price may be infinite.
      before = self._burn_in_log_prob(scales)
    return Noise(self.layout.forward(noises), logdet, burn_in_log_prob=before)

  def _burn_in_log_prob(self, scales):
    """Log-density [batch, burn_in] of the first frames, of which no past is known."""
    first = self.burn_in
    log_prob = scales.log_det[:, :first]
    for prior, z, kept in zip(self.priors, scales.latents, scales.kept):
      z, kept = z[:, :first], None if kept is None else kept[:, :first]
      shift, log_scale = prior.without_past(kept, z)
      normal = tfd.Independent(tfd.Normal(shift, tf.exp(log_scale)), 3)
      log_prob += normal.log_prob(z)
    return log_prob

  def sample(self, context, num_frames, seed, temperature=1.0):
    """See base class; latents of a frame are drawn from the coarsest to the finest.

    A frame that leaves the range of dequantised data is brought back into it before it is
    the past of others: the model knows no such past, and would lose itself further. Each
    frame is thus drawn from its density given the frames before it, so truncated, and the
    frames together from the product of these, which is the model's joint density only as
    long as none leaves the range. Those of the context are brought back, too: to go on
    from what was drawn is the same as to draw more at once.
    """
    self.check_sampling(context, num_frames)
    low, high = dequantization.RANGES[self.config.model.dequantization]

    def seen(frames):
      return self.flow.split(tf.clip_by_value(frames, low, high)).latents

    windows = seen(context[:, -self.burn_in :])

    def run(t, windows):
      frame_seed = tf.random.experimental.stateless_fold_in(seed, t)

      def latent(level, kept):
        kept = None if kept is None else kept[:, tf.newaxis]
        shift, log_scale = self.priors[level](windows[level], kept)
        level_seed = tf.random.experimental.stateless_fold_in(frame_seed, level)
        noise = tf.random.stateless_normal(tf.shape(shift), level_seed)
        return (shift + temperature * tf.exp(log_scale) * noise)[:, 0]

      frame = self.flow.merge(latent)
      moved = tuple(
        tf.concat([window[:, 1:], z[:, tf.newaxis]], 1)
        for window, z in zip(windows, seen(frame))
      )
      return moved, (frame,)

    _, (frames,) = filtering.over_time(run, windows, num_frames)
    return tf.transpose(frames, [1, 0, 2, 3, 4])

  def terms(self, clips, seed, training=False):
    """See base class; training is on a random part of `training.patch_frames` frames."""
    count = self.config.training.patch_frames
    if training and count:
      own = tf.random.experimental.stateless_fold_in(seed, 1)
      starts = clips.shape[1] - count + 1
      start = tf.random.stateless_uniform([], own, 0, starts, tf.int32)
      clips = clips[:, start : start + count]
      clips.set_shape([None, count, *self.frame_shape])
    return super().terms(clips, seed, training)

  def transform(self, x) -> dict:
    """See base class; with noise come latent, shift and scale of each level (`_1`, ...)."""
    scales = self._split(x)
    predictions = self._predictions(scales)
    outputs = {"noise": self._noise(scales, predictions).values}
    for level, prediction in enumerate(predictions, 1):
      outputs[f"latent_{level}"] = scales.latents[level - 1][:, self.burn_in :]
      outputs[f"shift_{level}"] = prediction.shift
      outputs[f"scale_{level}"] = tf.exp(prediction.log_scale)
    return outputs

  @tf.function(autograph=False)
  def pictures(self, x, seed=(0, 0)) -> dict:
    """See base class.

    Returns:
      Dict of frame; prediction, the frame of the most probable latents given the frames
      before it; latents and noise of all levels, laid out as a frame.
    """
    del seed
    scales = self._split(x)

    def most_probable(level, kept):
      return self.priors[level](scales.latents[level][:, :-1], kept).shift

    return {
      "frame": x[:, self.burn_in :],
      "prediction": self.flow.merge(most_probable),
      "latents": self.layout.forward([z[:, self.burn_in :] for z in scales.latents]),
      "noise": self._noise(scales, self._predictions(scales)).values,
    }


def build(config) -> VideoFlow:
  """Builds a model with all its variables."""
  model = VideoFlow(config)
  # The variables are there; a pass of the published sizes takes long.
  model.built = True
  return model
