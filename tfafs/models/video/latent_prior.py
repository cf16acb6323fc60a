"""The prior of one level of VideoFlow's latents: what the past says of the next."""

from typing import Optional

import tensorflow as tf

from tfafs.layers.edge_convolution import EdgeConvolution
from tfafs.layers.temporal_network import TemporalParameters
from tfafs.layers.temporal_residual import TemporalResidualNetwork, dilations_for


class LatentPrior(tf.keras.layers.Layer):
  """Gaussians over the latents of a level, given those of the frames before it.

      z_t = shift + scale * noise_t,    noise_t ~ N(0, 1)

  VideoFlow: shift = z_t-1 + mean, with mean and scale of a network that reads the last
  latents of the level and, but on the coarsest, what `kept_t` says, which is made of the
  coarser latents of the same frame. At the start the mean is 0 and the scale 1.

  With a temporal flow (paper 000, Appendix B.3) there are two transforms, whose composition
  is Gaussian again:

      z_t = shift(z_<t) + scale(z_<t) u_t            the flow: z_t-1 + network, exp(network)
      u_t = mean(z_<t, kept_t) + deviation(z_<t, kept_t) * noise_t

  The flow's network starts at 0, so that at the start, and wherever it is 0, this is
  VideoFlow.

  All weights are there after the constructor.

  Attributes:
    base: Network of means and deviations.
    flow: Network of the flow, or None.

  Args:
    channels: Of the latents.
    kept_channels: Of what stands beside them, 0 on the coarsest level.
    image_width: Width of the latents in pixels, which says which dilations fit.
    window: Frames read.
    blocks: Residual blocks of each network.
    width: Channels in the blocks of `base`.
    flow_width: The same of `flow`; None for no flow.
    **kwargs: `name`, `dtype` and what else a Keras layer takes.
  """

  def __init__(
    self,
    channels: int,
    kept_channels: int,
    image_width: int,
    window: int = 3,
    blocks: int = 5,
    width: int = 256,
    flow_width: Optional[int] = None,
    **kwargs,
  ):
    super().__init__(**kwargs)
    shared = {
      "window": window,
      "blocks": blocks,
      "dilations": dilations_for(image_width),
      "dtype": self.dtype,
    }
    with tf.name_scope(self.name):
      self._without_past = EdgeConvolution(
        kept_channels or channels,
        2 * channels,
        starts_at_zero=True,
        dtype=self.dtype,
        name="first",
      )
      self.base = TemporalResidualNetwork(
        channels,
        channels if kept_channels else 0,
        width=width,
        predict_change=flow_width is None,
        name="base",
        **shared,
      )
      self.flow = None
      if flow_width is not None:
        self.flow = TemporalResidualNetwork(
          channels, width=flow_width, predict_change=True, name="flow", **shared
        )

  def without_past(self, kept, like) -> TemporalParameters:
    """Shift and log-scale of latents of which no past is known.

    Args:
      kept: [..., height, width, kept_channels]; None on the coarsest level.
      like: A tensor of the shape of the latents.
    """
    inputs = tf.zeros_like(like) if kept is None else kept
    outputs = self._without_past(inputs)
    outputs = tf.reshape(outputs, tf.concat([tf.shape(like), [2]], 0))
    return TemporalParameters(*tf.unstack(outputs, axis=-1))

  def call(self, past, kept=None) -> TemporalParameters:
    """Shift and log-scale of the latents that follow.

    Args:
      past: Latents [batch, n, height, width, channels], n at least `window`.
      kept: [batch, n - window + 1, height, width, kept_channels], of the frames that are
        predicted; None on the coarsest level.

    Returns:
      [batch, n - window + 1, height, width, channels], the first for the frame that
      follows past[:, window - 1].
    """
    condition = None
    if kept is not None:
      like = past[:, self.base.window - 1 :]
      condition = self.without_past(kept, like).shift
    mean, log_deviation = self.base(past, condition)
    if self.flow is None:
      return TemporalParameters(mean, log_deviation)
    shift, log_scale = self.flow(past)
    return TemporalParameters(
      shift + tf.exp(log_scale) * mean, log_scale + log_deviation
    )
