"""The branch of a prior that gives each symbol's scale table index, in exact integers."""

from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from tfafs.layers import exact_convolution, quantization, scale_table

# What integers stand for: features are sixteenths (up to 16), and an output of 1 moves the
# index by 32, so that this network learns as fast as its neighbours.
_SYMBOL_EXPONENT = 0
_FEATURE_EXPONENT = -4
_INDEX_EXPONENT = -5
# The context's symbols enter among the features: as eight integers, a half, each.
_CONTEXT_STEPS = 8.0


class IndexNetwork(tf.keras.layers.Layer):
  """Maps integer symbols to scale table indexes.

  With `hyper.exact_index` its result is the same everywhere.

  Without context: the mirror image of the hyper-analysis. With context: all
  hyper-latents climb to latent resolution, where the context's symbols join them.
  """

  def __init__(self, channels: int, hyper, has_context: bool, start, name: str):
    """Builds the network.

    Args:
      channels: Channels of the latent.
      hyper: Config with `channels`, `kernels` and `strides` of the hyper-analysis, and
        `exact_index`.
      has_context: Whether other symbols condition the latent.
      start: float [channels], each channel's index before training.
      name: Name of the network.
    """
    super().__init__(name=name, dtype="float32")
    self._exact = hyper.exact_index
    sizes = list(zip(hyper.kernels, hyper.strides))[::-1]
    self._climbing = len(sizes)
    if has_context:
      sizes = [(kernel, stride) for kernel, stride in sizes if stride > 1]
      self._climbing = len(sizes)
      sizes += [(3, 1), (3, 1)]
    self._layers = [
      exact_convolution.ExactConv2D(
        hyper.channels,
        kernel,
        stride,
        (_FEATURE_EXPONENT if i else _SYMBOL_EXPONENT, _FEATURE_EXPONENT),
        exact_convolution.LIMIT,
        name=f"layer_{i}",
        exact=hyper.exact_index,
      )
      for i, (kernel, stride) in enumerate(sizes[:-1])
    ]
    bias = np.asarray(start, np.float32) * 2.0**_INDEX_EXPONENT
    kernel, stride = sizes[-1]
    self._layers.append(
      exact_convolution.ExactConv2D(
        channels,
        kernel,
        stride,
        (_FEATURE_EXPONENT, _INDEX_EXPONENT),
        scale_table.NUM_SCALES - 1,
        name=f"layer_{len(sizes) - 1}",
        kernel_initializer="zeros",
        bias_initializer=lambda shape, dtype: tf.constant(bias, dtype, shape),
        exact=hyper.exact_index,
      )
    )

  def call(self, hyper, size, symbols=(), integers: Optional[Sequence] = None):
    """Returns float32 [batch, *size, channels], integers in [0, 63].

    Args:
      hyper: List of hyper-latents [batch, hh, hw, any], integers.
      size: int32 [2], height and width of the latent.
      symbols: Tuple of [batch, *size, any], integers, the context's.
      integers: What `freeze` gave; by default taken from the trained weights.
    """
    integers = integers or [None] * len(self._layers)
    features = _limited(tf.concat(hyper, -1))
    for i, (layer, numbers) in enumerate(zip(self._layers, integers)):
      if i == self._climbing:
        features = features[:, : size[0], : size[1]]
        context = [_limited(_CONTEXT_STEPS * x) for x in symbols]
        features = tf.concat([features, *context], -1)
      features = layer(features, integers=numbers)
    return quantization.round_straight_through(features[:, : size[0], : size[1]])

  def is_exact_here(self, integers: Sequence, zero):
    """Whether this machine computes all layers exactly: a bool tensor.

    Args:
      integers: What `freeze` gave.
      zero: float32 scalar, 0 when it runs, so that nothing is computed before.
    """
    passed = []
    for layer, numbers in zip(self._layers, integers):
      inputs, outputs = layer.probe(numbers)
      got = layer(inputs + zero, integers=numbers)
      passed.append(tf.reduce_all(got == outputs))
    return tf.reduce_all(passed)

  def constants(self, integers: Optional[Sequence]):
    """All that the result depends on beside the inputs, as float32 arrays.

    Args:
      integers: What `freeze` gave.
    """
    exponents = (_SYMBOL_EXPONENT, _FEATURE_EXPONENT, _INDEX_EXPONENT)
    limits = (exact_convolution.LIMIT, _CONTEXT_STEPS, scale_table.NUM_SCALES)
    yield np.array([*exponents, *limits, self._climbing], np.float32)
    for layer in integers or ():
      yield from layer

  def freeze(self) -> Optional[list]:
    """The integers of each layer as they are now; None if the network is not exact."""
    return [layer.freeze() for layer in self._layers] if self._exact else None


def _limited(symbols):
  limit = float(exact_convolution.LIMIT)
  return quantization.clip_straight_through(symbols, -limit, limit)
