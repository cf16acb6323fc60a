"""Temporal autoregressive transforms of a codec: shift and scale of the next frame.

reconstruction = shift(reference, w) + scale(reference, w) * noise        (eq. 11, 14)
"""

from typing import NamedTuple

import tensorflow as tf

from tfafs.layers import convolutional, quantization, scale_space, walsh, warping

# Pixels of displacement that a motion decoder's output of 1 stands for: a symbol of a
# 16x16 block's mean is then a quarter of a pixel.
FLOW_UNIT = 32.0
# Bound on |log scale|: a gain between 1/20 and 20.
_MAX_LOG_SCALE = 3.0


class ShiftAndScale(NamedTuple):
  """Parameters of the affine transform, each float32 [batch, height, width, 3]."""

  shift: tf.Tensor
  scale: tf.Tensor

  def forward(self, noise):
    """Puts back what the past predicts: noise to frame (eq. 11)."""
    return self.shift + self.scale * noise

  def inverse(self, frame):
    """Takes out what the past predicts: frame to noise."""
    return (frame - self.shift) / self.scale


def _motion_synthesis(config, channels: int, style):
  """Decoder of the motion latent to fields of `channels`, the flow first.

  With `config.motion_search` the untrained decoder undoes the untrained encoder's
  orthogonal transform of the flow it found; without, the decoder's last layer starts at
  zero and an untrained codec repeats its reference.
  """
  start = None
  if config.motion_search:
    start = walsh.start(walsh.synthesis_kernels, config, walsh.FLOW)
  return convolutional.synthesis_network(
    (*tuple(config.filters)[-2::-1], channels),
    tuple(config.kernels)[::-1],
    tuple(config.strides)[::-1],
    style,
    "motion_synthesis",
    start or [None] * (len(config.filters) - 1) + ["zeros"],
  )


def _bounded_exp(log_scale):
  """A scale from its logarithm."""
  bound = _MAX_LOG_SCALE
  return tf.exp(quantization.clip_straight_through(log_scale, -bound, bound))


class ScaleSpaceTransform(tf.keras.layers.Layer):
  """Scale-space warp of the reference, with or without a learned gain.

  The motion latent w is decoded to a displacement in pixels, a depth in the scale-space
  volume and, where `gain` is set, three logarithms of a scale: the shift is
  the warped reference (SSF, eq. 13), the scale is 1 or the gain (STAT-SSF, eq. 14).
  """

  reads_motion = True

  # Depth at the start: between the frame itself and its first blurred plane.
  _start_depth = 0.5

  def __init__(self, config, style, gain: bool):
    """Builds the motion decoder.

    Args:
      config: `config.model`: filters, kernels, strides of the transforms,
        `motion_search`, `scale_space.num_levels`, `.base_scale` and `.volume`.
      style: `convolutional.Style` of the motion decoder.
      gain: Whether the scale is learned.

    Raises:
      ValueError: `scale_space.volume` names no volume.
    """
    super().__init__(name="transform")
    self._num_levels = config.scale_space.num_levels
    self._base_scale = config.scale_space.base_scale
    # Configs of trained codecs may be older than the choice of a volume.
    self._volume_of = scale_space.volume_of(config.scale_space.get("volume", "pyramid"))
    self._gain = gain
    self._decoder = _motion_synthesis(config, 6 if gain else 3, style)

  def call(self, reference, motion) -> ShiftAndScale:
    """Predicts the next frame.

    Args:
      reference: float32 [batch, height, width, 3], the last reconstruction.
      motion: float32 [batch, h, w, channels], the decoded motion latent.

    Returns:
      Shift and scale.
    """
    field = convolutional.crop_like(self._decoder(motion), reference)
    field = tf.cast(field, tf.float32)
    depth = quantization.clip_straight_through(
      field[..., 2] + self._start_depth, 0.0, float(self._num_levels)
    )
    volume = self._volume_of(reference, self._num_levels, self._base_scale)
    shift = warping.scale_space_warp(volume, FLOW_UNIT * field[..., :2], depth)
    if not self._gain:
      return ShiftAndScale(shift, tf.ones_like(shift))
    return ShiftAndScale(shift, _bounded_exp(field[..., 3:]))


class BilinearTransform(tf.keras.layers.Layer):
  """Bilinear warp of the reference, scale 1: eq. 13 as in DVC (Lu et al. 2019).

  Without DVC's network that refines the warped frame, and without the pretrained
  estimator of flow.
  """

  reads_motion = True

  def __init__(self, config, style):
    """Builds the motion decoder; arguments as of `ScaleSpaceTransform`."""
    super().__init__(name="transform")
    self._decoder = _motion_synthesis(config, 2, style)

  def call(self, reference, motion) -> ShiftAndScale:
    """Predicts the next frame; as `ScaleSpaceTransform`."""
    flow = convolutional.crop_like(self._decoder(motion), reference)
    shift = warping.bilinear_warp(reference, FLOW_UNIT * tf.cast(flow, tf.float32))
    return ShiftAndScale(shift, tf.ones_like(shift))


class ConvolutionalTransform(tf.keras.layers.Layer):
  """Shift and scale as convolutional networks of the reference.

  Of the reference alone (TAT, eq. 12), or of the reference and the motion latent w
  (STAT, section 2.6). Both are outputs of one network. Its trunk takes the reference to
  the latent's resolution, where w joins, and back; its head reads the trunk's output
  beside the reference itself, so that detail need not pass the trunk. The shift is what
  the network adds to the reference: untrained, it repeats it, with a scale of 1.
  """

  # Channels of the head, and of what it reads of the trunk.
  _head_channels = 32

  def __init__(self, config, style, reads_motion: bool):
    """Builds the networks.

    Args:
      config: `config.model`: filters, kernels and strides of the trunk.
      style: `convolutional.Style` of the networks.
      reads_motion: Whether there is a motion latent (STAT).
    """
    super().__init__(name="transform")
    self.reads_motion = reads_motion
    filters, kernels, strides = (
      tuple(x) for x in (config.filters, config.kernels, config.strides)
    )
    self._down = convolutional.analysis_network(
      filters, kernels, strides, style, "down"
    )
    self._up = convolutional.synthesis_network(
      (*filters[-2::-1], self._head_channels), kernels[::-1], strides[::-1], style, "up"
    )
    self._head = convolutional.analysis_network(
      (self._head_channels, 6), (3, 3), (1, 1), style, "head", [None, "zeros"]
    )

  def call(self, reference, motion=None) -> ShiftAndScale:
    """Predicts the next frame; as `ScaleSpaceTransform`, `motion` None without w."""
    centred = reference - 0.5
    features = tf.nn.relu(self._down(centred))
    if self.reads_motion:
      features = tf.concat([features, tf.cast(motion, features.dtype)], -1)
    features = convolutional.crop_like(self._up(features), reference)
    detail = tf.cast(centred, features.dtype)
    field = self._head(tf.concat([tf.nn.relu(features), detail], -1))
    field = tf.cast(field, tf.float32)
    return ShiftAndScale(reference + field[..., :3], _bounded_exp(field[..., 3:]))
