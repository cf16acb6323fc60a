"""The network of VideoFlow's prior: residual blocks over the last frames of latents."""

from collections.abc import Sequence

import tensorflow as tf

from tfafs.layers.edge_convolution import EdgeConvolution, GatedStack
from tfafs.layers.temporal_network import TemporalParameters, dims


def dilations_for(width: int) -> tuple:
  """Dilations of the stacks of a block: 1, and of 2 and 4 those that fit the image.

  Args:
    width: Of the image, in pixels.
  """
  # Of the published code: stacks of rates 1 and 3, if 3 + 2 rate <= width.
  return (1, *(rate + 1 for rate in (1, 3) if 3 + 2 * rate <= width))


class TemporalResidualNetwork(tf.keras.layers.Layer):
  """Shift and log-scale of each frame from the `window` frames before it.

      h = window of frames, each beside the condition
      h = h + sum over dilations of GatedStack(h)         several times
      shift, log_scale = 1x1 convolution of the last frame of h, which starts at zero

  The `GatedStack`s read 3x3 pixels of two successive frames. A call makes all predictions
  of a sequence at once: its windows are folded into the batch. It can drive a
  `TemporalAffineAutoregressive`.

  Source: the code of Kumar et al., VideoFlow, 2020; paper 000, Appendix B.3.

  Attributes:
    window: Frames read for a prediction.
    event_ndims: 4; a sequence is [time, height, width, channels].

  Args:
    channels: Channels of a frame.
    condition_channels: Channels of the condition, 0 if there is none.
    window: See above.
    blocks: Residual blocks.
    width: Channels inside of a block.
    dilations: Of the stacks of each block; see `dilations_for`.
    predict_change: Whether shifts are predicted as differences to the newest frame.
    **kwargs: `name`, `dtype` and what else a Keras layer takes.
  """

  event_ndims = 4

  def __init__(
    self,
    channels: int,
    condition_channels: int = 0,
    window: int = 3,
    blocks: int = 5,
    width: int = 256,
    dilations: Sequence[int] = (1, 2, 4),
    predict_change: bool = True,
    **kwargs,
  ):
    super().__init__(**kwargs)
    self.window = window
    self._channels, self._predict_change = channels, predict_change
    inside = channels + condition_channels
    with tf.name_scope(self.name):
      self._blocks = [
        [
          GatedStack(
            inside,
            width,
            inside,
            dilation,
            steps=window,
            dtype=self.dtype,
            name=f"block_{i}_dilation_{dilation}",
          )
          for dilation in dilations
        ]
        for i in range(blocks)
      ]
      self._head = EdgeConvolution(
        inside, 2 * channels, 1, starts_at_zero=True, dtype=self.dtype, name="head"
      )

  def call(self, frames, condition=None):
    """Predicts.

    Args:
      frames: [..., n, height, width, channels], n at least `window`.
      condition: [..., n - window + 1, height, width, condition_channels], what is known
        beside the past of each frame that is predicted, or None.

    Returns:
      `TemporalParameters` [..., n - window + 1, height, width, channels]. Entry j belongs
      to the frame that follows frames[j + window - 1].
    """
    shape = dims(frames)
    count = shape[-4] - self.window + 1
    frames = tf.reshape(frames, [-1, *shape[-4:]])
    # Not by slices: their gradients take long.
    last = self.window - 1
    steps = [tf.split(frames, [i, count, last - i], 1)[1] for i in range(self.window)]
    x = tf.reshape(tf.stack(steps, 2), [-1, self.window, *shape[-3:]])
    if condition is not None:
      beside = tf.reshape(condition, [-1, 1, *shape[-3:-1], condition.shape[-1]])
      x = tf.concat([x, tf.tile(beside, [1, self.window, 1, 1, 1])], -1)
    for stacks in self._blocks:
      x += tf.add_n([stack(x) for stack in stacks])
    x = self._head(x[:, -1])
    x = tf.reshape(x, [*shape[:-4], count, *shape[-3:-1], self._channels, 2])
    shift, log_scale = tf.unstack(x, axis=-1)
    if self._predict_change:
      newest = tf.reshape(steps[-1], tf.shape(shift))
      shift += newest
    return TemporalParameters(shift, log_scale)
