"""Temporal autoregressive transforms of a codec: shift and scale of the next frame.

reconstruction = shift(reference, w) + scale(reference, w) * noise        (eq. 11, 14)
"""

from typing import NamedTuple

import tensorflow as tf

from tfafs.layers import convolutional, quantization, scale_space, walsh, warping

# Pixels of displacement that a motion decoder's output of 1 stands for: a symbol of a
# 16x16 block's mean is then a quarter of a pixel.
FLOW_UNIT = 32.0


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


class ScaleSpaceTransform(tf.keras.layers.Layer):
  """Scale-space warp of the reference, with or without a learned gain.

  The motion latent w is decoded to a displacement in pixels, a depth in the scale-space
  volume and, where `gain` is set, three logarithms of a scale: the shift is
  the warped reference (SSF, eq. 13), the scale is 1 or the gain (STAT-SSF, eq. 14).

  With `config.motion_search` the untrained decoder undoes the untrained encoder's
  orthogonal transform of the flow it found; without, the decoder's last layer starts at
  zero and an untrained codec repeats its reference.
  """

  # Depth at the start: between the frame itself and its first blurred plane.
  _start_depth = 0.5
  # Bound on |log scale|: a gain between 1/20 and 20.
  _max_log_scale = 3.0

  def __init__(self, config, gain: bool, dtype):
    """Builds the motion decoder.

    Args:
      config: `config.model`: filters, kernels, strides of the transforms,
        `motion_search`, `scale_space.num_levels` and `.base_scale`.
      gain: Whether the scale is learned.
      dtype: Keras dtype policy of the motion decoder.
    """
    super().__init__(name="transform")
    self._volume = config.scale_space
    self._gain = gain
    self._decoder = convolutional.synthesis_network(
      (*tuple(config.filters)[-2::-1], 6 if gain else 3),
      tuple(config.kernels)[::-1],
      tuple(config.strides)[::-1],
      dtype,
      "motion_synthesis",
      self._initializers(config),
    )

  def _initializers(self, config):
    start = None
    if config.motion_search:
      start = walsh.start(walsh.synthesis_kernels, config, walsh.FLOW)
    return start or [None] * (len(config.filters) - 1) + ["zeros"]

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
      field[..., 2] + self._start_depth, 0.0, float(self._volume.num_levels)
    )
    volume = scale_space.gaussian_pyramid(
      reference, self._volume.num_levels, self._volume.base_scale
    )
    shift = warping.scale_space_warp(volume, FLOW_UNIT * field[..., :2], depth)
    if not self._gain:
      return ShiftAndScale(shift, tf.ones_like(shift))
    bound = self._max_log_scale
    log_scale = quantization.clip_straight_through(field[..., 3:], -bound, bound)
    return ShiftAndScale(shift, tf.exp(log_scale))
