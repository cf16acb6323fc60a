"""Codecs of one frame: intra frames alone, inter frames given the state behind the last.

Each maps frames to their coded latents (`encode`) and coded latents to a reconstruction
(`reconstruct`). Training, compression and decompression share these two halves.
"""

from collections.abc import Sequence
from typing import Callable, NamedTuple, Optional

import tensorflow as tf

from tfafs.layers import convolutional, optical_flow, walsh
from tfafs.models.codec import priors, transforms


class InterFrame(NamedTuple):
  """All parts of a coded inter frame, as in Figure 2 of paper 001.

  Attributes:
    reconstruction: float32 [batch, height, width, 3], neither clipped nor rounded.
    noise: float32, same shape: the residual before the scale, g_v(v, w).
    transform: Shift and scale.
    motion: Coded motion latent w; None if the transform has none.
    residual: Coded residual latent v.
  """

  reconstruction: tf.Tensor
  noise: tf.Tensor
  transform: transforms.ShiftAndScale
  motion: Optional[priors.CodedLatent]
  residual: priors.CodedLatent


def _analysis(config, dtype, name, initializers=None):
  return convolutional.analysis_network(
    config.filters, config.kernels, config.strides, dtype, name, initializers
  )


def _image_analysis(config, dtype, name):
  """Analysis of an image, at first an orthogonal transform of its blocks."""
  return _analysis(config, dtype, name, walsh.start(walsh.analysis_kernels, config))


def _image_synthesis(config, dtype, name):
  """Synthesis of an image, at first the inverse of `_image_analysis`."""
  return convolutional.synthesis_network(
    (*tuple(config.filters)[-2::-1], 3),
    tuple(config.kernels)[::-1],
    tuple(config.strides)[::-1],
    dtype,
    name,
    walsh.start(walsh.synthesis_kernels, config),
  )


def _motion_analysis(config, dtype):
  """Analysis of flow, frame and reference, at first a transform of the flow alone."""
  initializers = None
  if config.motion_search:
    initializers = walsh.start(walsh.analysis_kernels, config, walsh.FLOW)
  return _analysis(config, dtype, "motion_analysis", initializers)


def _prior(config, dtype, name, basis, largest, conditions=()):
  """Prior of a latent whose channels start as those of a Walsh transform.

  `largest` is about the standard deviation of the symbols of its block means, measured on
  the training videos before training.
  """
  scales = None
  if set(config.strides) == {2} and (config.motion_search or basis is not walsh.FLOW):
    scales = walsh.latent_scales(config.filters, basis, largest)
  reads = bool(conditions), any(c.reads_symbols for c in conditions)
  return priors.Hyperprior(config.filters[-1], config.hyper, dtype, name, reads, scales)


def _to_latent(network, image):
  return tf.cast(network(image), tf.float32)


def _to_image(network, latent, size):
  image = network(latent)[:, : size[0], : size[1]]
  return tf.cast(image, tf.float32)


class IntraFrameCodec(tf.keras.layers.Layer):
  """Image codec of the first frame of a group of pictures."""

  def __init__(self, config, dtype):
    super().__init__(name="intra")
    self._analysis = _image_analysis(config, dtype, "analysis")
    self._synthesis = _image_synthesis(config, dtype, "synthesis")
    self.prior = _prior(config, dtype, "prior", walsh.COLORS, 48.0)

  def call(self, frame, seed=None):
    """Codes and reconstructs float32 [batch, height, width, 3]: both are returned."""
    latent = self.encode(frame, seed)
    return latent, self.reconstruct(latent.value, tf.shape(frame)[1:3])

  def encode(self, frame, seed=None) -> priors.CodedLatent:
    """Latent of a frame; `seed` as in `Hyperprior`."""
    # Zero-centred input trains better than [0, 1].
    return self.prior(_to_latent(self._analysis, frame - 0.5), seed=seed)

  def reconstruct(self, value, size):
    """Frame of `size` (int32 [2]) from the value of its latent."""
    return _to_image(self._synthesis, value, size) + 0.5


class InterFrameCodec(tf.keras.layers.Layer):
  """Stochastic temporal autoregressive transform with coded motion and residual.

  x^_t = shift(x^_{t-1}, w) + scale(x^_{t-1}, w) * residual_synthesis(v, w)  (eq. 14)

  A transform without a motion latent leaves v alone (TAT, eq. 12).

  Attributes:
    has_motion: Whether there is a motion latent w.
    is_temporal: Whether the prior of v reads the residual of the frame before.
    prior_of: Dict from name to prior, in the order of coding; "first_residual", which a
      temporal codec has instead of "residual" behind an intra frame, comes last.
  """

  def __init__(
    self, config, transform, conditions: Sequence, noise_reads_motion: bool, dtype
  ):
    """Builds the networks.

    Args:
      config: `config.model`.
      transform: Layer from (reference, motion value) to `ShiftAndScale`.
      conditions: Layers of `conditions.py`: what the prior of v reads.
      noise_reads_motion: Whether the synthesis of the noise reads w where there is one.
      dtype: Keras dtype policy of the convolutions.

    """
    super().__init__(name="inter")
    self.transform = transform
    self.has_motion = transform.reads_motion
    self._noise_reads_motion = noise_reads_motion and self.has_motion
    if self.has_motion:
      self._motion_search = config.motion_search
      self._motion_analysis = _motion_analysis(config, dtype)
      self.motion_prior = _prior(config, dtype, "motion_prior", walsh.FLOW, 4.0)
    self._residual_analysis = _image_analysis(config, dtype, "residual_analysis")
    self._residual_synthesis = _image_synthesis(config, dtype, "residual_synthesis")
    self.residual_prior = _prior(
      config, dtype, "residual_prior", walsh.COLORS, 4.0, conditions
    )
    self.conditions = list(conditions)
    self.is_temporal = any(condition.temporal for condition in conditions)
    if self.is_temporal:
      self.first_residual_prior = _prior(
        config,
        dtype,
        "first_residual_prior",
        walsh.COLORS,
        4.0,
        [condition for condition in conditions if not condition.temporal],
      )

  def call(self, frame, state, seed=None) -> InterFrame:
    """Codes and reconstructs a frame.

    Args:
      frame: float32 [batch, height, width, 3].
      state: The `State` behind the frame before.
      seed: As in `Hyperprior`.

    Returns:
      An `InterFrame`.
    """
    motion_seed = residual_seed = None
    if seed is not None:
      motion_seed, residual_seed = tf.unstack(
        tf.random.experimental.stateless_split(seed, 2)
      )
    motion = self.encode_motion(frame, state.reference, motion_seed)
    transform = self._transform(state.reference, motion)
    residual = self.encode_residual(frame, transform, state, motion, residual_seed)
    noise = self.synthesize_noise(residual, motion, tf.shape(frame)[1:3])
    return InterFrame(transform.forward(noise), noise, transform, motion, residual)

  @property
  def prior_of(self):
    """See the class."""
    found = {"motion": self.motion_prior} if self.has_motion else {}
    found["residual"] = self.residual_prior
    if self.is_temporal:
      found["first_residual"] = self.first_residual_prior
    return found

  def encode_motion(self, frame, reference, seed=None) -> Optional[priors.CodedLatent]:
    """Motion latent w of a frame and its reference; None if there is none."""
    if not self.has_motion:
      return None
    seen = tf.concat([frame, reference], -1) - 0.5
    if self._motion_search:
      flow = optical_flow.lucas_kanade(frame, reference)
      seen = tf.concat([flow / transforms.FLOW_UNIT, seen], -1)
    return self.motion_prior(_to_latent(self._motion_analysis, seen), seed=seed)

  def encode_residual(
    self, frame, transform, state, motion, seed=None
  ) -> priors.CodedLatent:
    """Residual latent v: what shift and scale leave of the frame."""
    latent = _to_latent(self._residual_analysis, transform.inverse(frame))
    return self.with_residual_prior(
      lambda name, context: self.prior_of[name](latent, context, seed), state, motion
    )

  def with_residual_prior(self, function: Callable, state, motion):
    """Calls a function with the prior that v has behind a state.

    Args:
      function: From the prior's name in `prior_of` and its `Context` to tensors. Where
        only a run can tell which prior it is, it is called for both, in a `tf.cond`.
      state: The `State` behind the frame before.
      motion: The coded motion latent of this frame, or None.

    Returns:
      What the function returned.
    """

    def call(name):
      first = name == "first_residual"
      contexts = [
        condition.context(state, motion)
        for condition in self.conditions
        if not (first and condition.temporal)
      ]
      return function(name, priors.merge(contexts))

    if not self.is_temporal:
      return call("residual")
    if isinstance(state.behind_intra, bool):
      return call("first_residual" if state.behind_intra else "residual")
    return tf.cond(
      state.behind_intra, lambda: call("first_residual"), lambda: call("residual")
    )

  def synthesize_noise(self, residual, motion, size):
    """Noise g_v(v, w), float32 [batch, *size, 3], from both coded latents."""
    latents = [residual.value]
    if self._noise_reads_motion:
      latents.append(motion.value)
    return _to_image(self._residual_synthesis, tf.concat(latents, -1), size)

  def reconstruct(self, reference, motion, residual):
    """Frame from its reference and both coded latents (eq. 14)."""
    noise = self.synthesize_noise(residual, motion, tf.shape(reference)[1:3])
    return self._transform(reference, motion).forward(noise)

  def _transform(self, reference, motion) -> transforms.ShiftAndScale:
    return self.transform(reference, motion.value if self.has_motion else None)
