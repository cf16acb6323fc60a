"""Strided convolutional networks that take frames to latents and latents to frames."""

from collections.abc import Sequence

import tensorflow as tf


def analysis_network(
  filters: Sequence[int],
  kernels: Sequence[int],
  strides: Sequence[int],
  dtype,
  name: str,
) -> tf.keras.Sequential:
  """Convolutions with ReLU between them; the last one is linear (paper 001, Figure 8).

  Args:
    filters: Output channels of each layer.
    kernels: Side of each layer's kernel.
    strides: Stride of each layer.
    dtype: Keras dtype policy of the layers, "float32" or "mixed_bfloat16".
    name: Name of the network.

  Returns:
    A model from [batch, height, width, any] to [batch, ceil(height / s),
    ceil(width / s), filters[-1]], s the product of `strides`.
  """
  return _network(tf.keras.layers.Conv2D, filters, kernels, strides, dtype, name)


def synthesis_network(
  filters: Sequence[int],
  kernels: Sequence[int],
  strides: Sequence[int],
  dtype,
  name: str,
  **last,
) -> tf.keras.Sequential:
  """Transposed convolutions with ReLU between them; the last one is linear.

  Args:
    filters: Output channels of each layer.
    kernels: Side of each layer's kernel.
    strides: Stride of each layer; a layer of stride 1 is a plain convolution.
    dtype: Keras dtype policy of the layers.
    name: Name of the network.
    **last: Keyword arguments of the last layer, such as its initializers.

  Returns:
    A model from [batch, h, w, any] to [batch, s h, s w, filters[-1]].
  """
  return _network(
    tf.keras.layers.Conv2DTranspose, filters, kernels, strides, dtype, name, **last
  )


def _network(layer, filters, kernels, strides, dtype, name, **last):
  if not len(filters) == len(kernels) == len(strides):
    raise ValueError(
      f"filters, kernels and strides of {name!r} need one entry for each layer; got "
      f"{len(filters)}, {len(kernels)} and {len(strides)}."
    )
  layers = []
  for i, (channels, kernel, stride) in enumerate(zip(filters, kernels, strides)):
    kind = layer if stride > 1 else tf.keras.layers.Conv2D
    final = i == len(filters) - 1
    initial = {"kernel_initializer": _initializer(kind, stride, final)}
    layers.append(
      kind(
        channels,
        kernel,
        stride,
        padding="same",
        activation=None if final else "relu",
        dtype=dtype,
        name=f"layer_{i}",
        **{**initial, **(last if final else {})},
      )
    )
  return tf.keras.Sequential(layers, name=name)


def _initializer(kind, stride, final):
  """Initial weights that keep the variance of what flows through a layer.

  A transposed convolution reads each output pixel from 1 / stride^2 of its kernel, and
  its kernel lists outputs before inputs; both make Keras' default vanish in depth.
  """
  scale = 1.0 if final else 2.0
  if kind is tf.keras.layers.Conv2DTranspose:
    return tf.keras.initializers.VarianceScaling(scale * stride**2, "fan_out")
  return tf.keras.initializers.VarianceScaling(scale, "fan_in")


def crop_like(tensor, reference):
  """Crops the rows and columns of `tensor` to those of `reference` (both [B, H, W, C])."""
  shape = tf.shape(reference)
  return tensor[:, : shape[1], : shape[2]]
