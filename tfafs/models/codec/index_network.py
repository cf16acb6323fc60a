"""The branch of a prior that gives each symbol's scale table index, in exact integers."""

from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from tfafs.layers import conditional, exact_convolution, quantization, scale_table
from tfafs.models.codec import rates

# What integers stand for: features are sixteenths (up to 16), and an output of 1 moves the
# index by 32, so that this network learns as fast as its neighbours.
_SYMBOL_EXPONENT = 0
_FEATURE_EXPONENT = -4
_INDEX_EXPONENT = -5
# The context's symbols enter among the features: as eight integers, a half, each.
_CONTEXT_STEPS = 8.0


class Frozen(NamedTuple):
  """An exact index network as it is trained.

  Attributes:
    layers: `exact_convolution.Integers` of each layer.
    offset: float32 [levels, channels], integers that each level adds to the index; None
      with one rate.
  """

  layers: Sequence
  offset: Optional[np.ndarray] = None


class IndexNetwork(tf.keras.layers.Layer):
  """Maps integer symbols to scale table indexes.

  With `hyper.exact_index` its result is the same everywhere.

  Without context: the mirror image of the hyper-analysis. With context: all
  hyper-latents climb to latent resolution, where the context's symbols join them.

  Levels of quality differ by an integer for each channel, added to the index before it
  is clipped: a level that quantises twice as finely has scales that are twice as large.
  Between two levels that integer is interpolated, and rounded, from exact multiples of a
  sixteenth.
  """

  def __init__(
    self, channels: int, hyper, has_context: bool, start, name: str, condition=None
  ):
    """Builds the network.

    Args:
      channels: Channels of the latent.
      hyper: Config with `channels`, `kernels` and `strides` of the hyper-analysis, and
        `exact_index`.
      has_context: Whether other symbols condition the latent.
      start: float [channels], each channel's index before training.
      name: Name of the network.
      condition: `rates.Levels` of a codec of variable rate, else None.
    """
    super().__init__(name=name, dtype="float32")
    self._condition = condition
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
    if condition:
      steps = np.tile(scale_table.index_of_ratio(-condition.log_steps), [channels, 1]).T
      self._level_offset = self.add_weight(
        "level_offset",
        steps.shape,
        initializer=tf.keras.initializers.Constant(steps * 2.0**_INDEX_EXPONENT),
      )

  def call(self, hyper, size, symbols=(), integers: Optional[Frozen] = None, wide=None):
    """Returns float32 [batch, *size, channels], integers in [0, 63].

    Args:
      hyper: List of hyper-latents [batch, hh, hw, any], integers.
      size: int32 [2], height and width of the latent.
      symbols: Tuple of [batch, *size, any], integers, the context's.
      integers: What `freeze` gave; by default taken from the trained weights.
      wide: bool tensor, whether to compute in float64; None for float32.
    """
    if integers is None:
      integers = Frozen([None] * len(self._layers), self._level_offsets())

    if wide is None:
      return self._indexes(hyper, size, symbols, integers, tf.float32)

    def indexes(dtype):
      with tf.device("/cpu:0"):  # A branch does not inherit the device it is called on.
        return tf.cast(self._indexes(hyper, size, symbols, integers, dtype), tf.float32)

    return tf.cond(wide, lambda: indexes(tf.float64), lambda: indexes(tf.float32))

  def _indexes(self, hyper, size, symbols, integers, dtype):
    features = tf.cast(_limited(tf.concat(hyper, -1)), dtype)
    for i, (layer, numbers) in enumerate(zip(self._layers, integers.layers)):
      if i == self._climbing:
        features = features[:, : size[0], : size[1]]
        context = [tf.cast(_limited(_CONTEXT_STEPS * x), dtype) for x in symbols]
        features = tf.concat([features, *context], -1)
      offset = None
      if self._condition and layer is self._layers[-1]:
        offset = self._offset(integers.offset)
      features = layer(features, integers=numbers, offset=offset)
    return quantization.round_straight_through(features[:, : size[0], : size[1]])

  def _offset(self, of_levels):
    """Offset at the present quality: interpolated and rounded, ties to even."""
    return quantization.round_straight_through(self._condition.select(of_levels))

  def _level_offsets(self):
    """Offset of each level, integers with gradients; None with one rate."""
    if not self._condition:
      return None
    offset = quantization.round_straight_through(
      self._level_offset * 2.0**-_INDEX_EXPONENT
    )
    limit = scale_table.NUM_SCALES - 1.0
    return quantization.clip_straight_through(offset, -limit, limit)

  def is_exact_here(self, integers: Frozen, zero, dtype=tf.float32):
    """Whether this machine computes all layers exactly: a bool tensor.

    Args:
      integers: What `freeze` gave.
      zero: float32 scalar, 0 when it runs, so that nothing is computed before.
      dtype: tf.float32, or tf.float64 for what `wide` computes in.
    """
    passed = []
    for layer, numbers in zip(self._layers, integers.layers):
      inputs, outputs = layer.probe(numbers)
      got = layer(tf.cast(inputs + zero, dtype), integers=numbers)
      passed.append(tf.reduce_all(tf.cast(got, tf.float32) == outputs))
    if self._condition:
      passed.append(self._offset_is_exact_here(integers.offset, zero))
    return tf.reduce_all(passed)

  def _offset_is_exact_here(self, offset, zero):
    """Compares the offsets of all qualities with those from float64."""
    levels = self._condition.num_levels
    steps = np.arange(rates.STEPS * (levels - 1) + 1, dtype=np.float32)
    qualities = steps / rates.STEPS
    weights = conditional.level_weights(qualities + zero, levels)
    with self._condition.at(weights):
      got = self._offset(offset)[:, 0, 0]
    low = np.minimum(qualities.astype(int), levels - 2)
    high = (qualities - low)[:, None].astype(np.float64)
    expected = np.round((1 - high) * offset[low] + high * offset[low + 1])
    return tf.reduce_all(got == expected.astype(np.float32))

  def constants(self, integers: Optional[Frozen]):
    """All that the result depends on beside the inputs, as float32 arrays.

    Args:
      integers: What `freeze` gave.
    """
    exponents = (_SYMBOL_EXPONENT, _FEATURE_EXPONENT, _INDEX_EXPONENT)
    limits = (exact_convolution.LIMIT, _CONTEXT_STEPS, scale_table.NUM_SCALES)
    yield np.array([*exponents, *limits, self._climbing], np.float32)
    if integers is None:
      return
    for layer in integers.layers:
      yield from layer
    if integers.offset is not None:
      yield integers.offset

  def freeze(self) -> Optional[Frozen]:
    """The integers as they are now; None if the network is not exact."""
    if not self._exact:
      return None
    offset = self._level_offsets()
    return Frozen(
      [layer.freeze() for layer in self._layers],
      None if offset is None else offset.numpy(),
    )


def _limited(symbols):
  limit = float(exact_convolution.LIMIT)
  return quantization.clip_straight_through(symbols, -limit, limit)
