"""Strided convolutional networks that take frames to latents and latents to frames."""

from collections.abc import Sequence
from typing import NamedTuple, Optional

import tensorflow as tf

from tfafs.layers import conditional


class Style(NamedTuple):
  """What all convolutional networks of a model have in common.

  Attributes:
    dtype: Keras dtype policy, "float32" or "mixed_bfloat16".
    condition: If they are conditional: where they read their level.
  """

  dtype: str = "float32"
  condition: Optional[conditional.Condition] = None


class AlignedConv2D(tf.keras.layers.Conv2D):
  """Strided convolution whose grid starts at the same pixel for every input size.

  Keras' "same" padding shifts the grid by a pixel between odd and even sizes, and with
  it all that was learned at the other. Here odd sizes get one more row or column first.
  """

  def call(self, inputs):
    """Convolves [batch, height, width, any] to [batch, ceil(height / stride), ...]."""
    shape, strides = tf.shape(inputs), self.strides
    extra = [(-shape[axis + 1]) % strides[axis] for axis in (0, 1)]
    return super().call(tf.pad(inputs, [[0, 0], [0, extra[0]], [0, extra[1]], [0, 0]]))


def analysis_network(
  filters: Sequence[int],
  kernels: Sequence[int],
  strides: Sequence[int],
  style: Style,
  name: str,
  initializers: Optional[Sequence] = None,
) -> tf.keras.layers.Layer:
  """Convolutions with ReLU between them; the last one is linear (paper 001, Figure 8).

  Args:
    filters: Output channels of each layer.
    kernels: Side of each layer's kernel.
    strides: Stride of each layer.
    style: Precision of the layers, and whether they are conditional.
    name: Name of the network.
    initializers: Initializer of each layer's kernel; by default such that the variance
      of what flows through stays.

  Returns:
    A layer from [batch, height, width, any] to [batch, ceil(height / s),
    ceil(width / s), filters[-1]], s the product of `strides`.
  """
  sizes = (filters, kernels, strides)
  return _network(AlignedConv2D, sizes, style, name, initializers)


def synthesis_network(
  filters: Sequence[int],
  kernels: Sequence[int],
  strides: Sequence[int],
  style: Style,
  name: str,
  initializers: Optional[Sequence] = None,
) -> tf.keras.layers.Layer:
  """Transposed convolutions with ReLU between them; the last one is linear.

  Args:
    filters: Output channels of each layer.
    kernels: Side of each layer's kernel.
    strides: Stride of each layer; a layer of stride 1 is a plain convolution.
    style: Precision of the layers, and whether they are conditional.
    name: Name of the network.
    initializers: Initializer of each layer's kernel, None in it for the default.

  Returns:
    A layer from [batch, h, w, any] to [batch, s h, s w, filters[-1]].
  """
  sizes = (filters, kernels, strides)
  strided = tf.keras.layers.Conv2DTranspose
  return _network(strided, sizes, style, name, initializers)


def _network(strided, sizes, style, name, initializers):
  count = len(sizes[0])
  initializers = [None] * count if initializers is None else initializers
  if {len(x) for x in (*sizes, initializers)} != {count}:
    raise ValueError(
      f"filters, kernels, strides and initializers of {name!r} need one entry for each "
      f"layer; got {[len(x) for x in (*sizes, initializers)]}."
    )
  layers, condition = [], style.condition
  for i, (channels, kernel, stride) in enumerate(zip(*sizes)):
    kind = strided if stride > 1 else tf.keras.layers.Conv2D
    final = i == count - 1
    activation = None if final else "relu"
    layers.append(
      kind(
        channels,
        kernel,
        stride,
        padding="same",
        activation=None if condition else activation,
        kernel_initializer=initializers[i]
        or variance_keeping(kind is tf.keras.layers.Conv2DTranspose, stride, final),
        dtype=style.dtype,
        name=f"layer_{i}",
      )
    )
    if condition:
      layers.append(conditional.LevelAffine(condition, activation, f"level_{i}"))
  chain = conditional.Chain if condition else tf.keras.Sequential
  return chain(layers, name=name)


def variance_keeping(transposed: bool, stride: int, final: bool):
  """Initial weights that keep the variance of what flows through a layer.

  A transposed convolution reads each output pixel from 1 / stride^2 of its kernel, and
  its kernel lists outputs before inputs; both make Keras' default vanish in depth.

  Args:
    transposed: Whether the layer is a transposed convolution.
    stride: Its stride.
    final: Whether it is linear; else a ReLU follows.
  """
  scale = 1.0 if final else 2.0
  if transposed:
    return tf.keras.initializers.VarianceScaling(scale * stride**2, "fan_out")
  return tf.keras.initializers.VarianceScaling(scale, "fan_in")


def crop_like(tensor, reference):
  """Crops rows and columns of `tensor` to those of `reference`, both [B, H, W, C]."""
  shape = tf.shape(reference)
  return tensor[:, : shape[1], : shape[2]]
