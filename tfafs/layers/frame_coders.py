"""Frames to vectors and back by strided convolutions, as in DCGAN (paper 000, Fig. 10).

Each layer halves, or doubles, the sides of the image; the last of the encoder, and the
first of the decoder, covers what is left of it. All of them but the heads are followed by
batch normalisation and an activation.
"""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tfafs.layers import stacks

_KERNEL = 4
ACTIVATIONS = ("leaky_relu", "elu", "relu")


class GaussianParameters(NamedTuple):
  """Mean and logarithm of the standard deviation, of one shape."""

  loc: tf.Tensor
  log_scale: tf.Tensor


class FrameEncoder(tf.keras.layers.Layer):
  """Maps frames [..., size, size, channels] to vectors [..., code_size].

  Args:
    size: Height and width of a frame, a multiple of 2 ** len(filters).
    channels: Channels of a frame.
    filters: Channels after each halving.
    code_size: Length of a vector.
    activation: "leaky_relu" (slope 0.2), "elu" or "relu".
    **kwargs: `name`, `dtype` and what else a Keras layer takes.

  Raises:
    ValueError: If the sides cannot be halved so often, or the activation is unknown.
  """

  def __init__(
    self,
    size: int,
    channels: int,
    filters: Sequence[int] = (64, 128, 256, 512),
    code_size: int = 128,
    activation: str = "leaky_relu",
    **kwargs,
  ):
    super().__init__(**kwargs)
    rest = _rest(size, filters)
    layers = []
    for i, count in enumerate(filters):
      convolution = tf.keras.layers.Conv2D(
        count,
        _KERNEL,
        2,
        "same",
        name=f"conv_{i}",
        kernel_initializer=before_activation(),
      )
      layers += _block(convolution, activation)
    last = tf.keras.layers.Conv2D(
      code_size, rest, name="code", kernel_initializer=before_activation()
    )
    layers += _block(last, activation)
    self._layers = stacks.built(layers, [None, size, size, channels])

  def call(self, frames, training=None):
    """Returns float32 [..., code_size]."""
    return stacks.on_images(self._layers, frames, training)[..., 0, 0, :]


class FrameDecoder(tf.keras.layers.Layer):
  """Maps vectors [..., latent_size] to Gaussians over frames: the mirrored encoder.

  Two heads give the parameters; the log-scale is kept within [-15, 5].

  Args:
    size: Height and width of a frame, a multiple of 2 ** len(filters).
    channels: Channels of a frame.
    latent_size: Length of a vector.
    filters: Those of the encoder, in its order.
    activation: "leaky_relu" (slope 0.2), "elu" or "relu".
    bounded_loc: Whether means are in (0, 1), by a sigmoid.
    **kwargs: `name`, `dtype` and what else a Keras layer takes.

  Raises:
    ValueError: If the sides cannot be halved so often, or the activation is unknown.
  """

  def __init__(
    self,
    size: int,
    channels: int,
    latent_size: int,
    filters: Sequence[int] = (64, 128, 256, 512),
    activation: str = "leaky_relu",
    bounded_loc: bool = False,
    **kwargs,
  ):
    super().__init__(**kwargs)
    self._bounded_loc = bounded_loc
    rest = _rest(size, filters)
    first = tf.keras.layers.Conv2DTranspose(
      filters[-1], rest, name="start", kernel_initializer=before_activation()
    )
    layers = _block(first, activation)
    for i, count in enumerate(filters[-2::-1]):
      convolution = tf.keras.layers.Conv2DTranspose(
        count,
        _KERNEL,
        2,
        "same",
        name=f"conv_{i}",
        kernel_initializer=before_activation(),
      )
      layers += _block(convolution, activation)
    self._layers = stacks.built(layers, [None, 1, 1, latent_size])
    self._heads = [
      stacks.built(
        [
          tf.keras.layers.Conv2DTranspose(
            channels, _KERNEL, 2, "same", name=name, kernel_initializer="glorot_normal"
          )
        ],
        [None, size // 2, size // 2, filters[0]],
      )
      for name in GaussianParameters._fields
    ]

  def call(self, latents, training=None) -> GaussianParameters:
    """Returns `GaussianParameters` [..., size, size, channels]."""
    features = latents[..., tf.newaxis, tf.newaxis, :]
    features = stacks.on_images(self._layers, features, training)
    loc, log_scale = (
      stacks.on_images(head, features, training) for head in self._heads
    )
    if self._bounded_loc:
      loc = tf.sigmoid(loc)
    return GaussianParameters(loc, clip_log_scale(log_scale))


def clip_log_scale(log_scale):
  """Keeps log-scales within [-15, 5], as the original code of paper 000 does."""
  return tf.clip_by_value(log_scale, -15.0, 5.0)


def before_activation():
  """Initial kernels of layers before an activation (original code of paper 000)."""
  return tf.keras.initializers.VarianceScaling(2.0, "fan_avg", "untruncated_normal")


def _block(layer, activation):
  """A layer with batch normalisation and activation behind it."""
  if activation not in ACTIVATIONS:
    raise ValueError(
      f"activation must be one of {', '.join(ACTIVATIONS)}; got {activation!r}."
    )
  norm = tf.keras.layers.BatchNormalization(
    momentum=0.9,
    epsilon=1e-5,
    gamma_initializer=tf.keras.initializers.RandomNormal(1.0, 0.02),
    name=f"{layer.name}_norm",
  )
  if activation == "leaky_relu":
    return [layer, norm, tf.keras.layers.LeakyReLU(0.2)]
  return [layer, norm, tf.keras.layers.Activation(activation)]


def _rest(size, filters):
  """Side of the image that is left after halving it for each entry of `filters`."""
  if not filters or size % 2 ** len(filters):
    raise ValueError(
      f"filters {tuple(filters)} halve the frame {len(filters)} times, but its size "
      f"{size} is no multiple of {2 ** len(filters)}: give fewer filters (at least "
      "one) or another size."
    )
  return size // 2 ** len(filters)
