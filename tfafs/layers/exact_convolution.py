"""Convolutions of integers whose results are the same on every machine.

A range decoder derails when a single table index differs from the encoder's. Floating
point promises no such thing: another processor, thread count or library sums in another
order. Here kernels and activations are integers that are held in float32, and every
partial sum stays below 2^24, so that each product and each sum is exact and the order
does not matter. Kernels of up to 127 and activations of up to 255 are exact in bfloat16
and TF32 as well, should a library multiply in those and add in float32.

What the argument needs is a convolution that multiplies, adds, and keeps its sums in
float32. Automatic mixed precision, off by default, rounds sums to 16 bits; a library may
transform (Winograd) and so multiply other numbers. `probe` finds out whether a machine
computes as it must; where it does not, the same in float64, whose sums have 53 bits, is
slower and does.

    sums = conv(inputs, kernel) + bias                integers
    outputs = clip(round(sums * 2^shift), 0, high)    a rounding shift, ties to even

Training runs the same arithmetic on the integers nearest to trained real weights, with
straight-through gradients: what is trained is what decodes. It may begin without rounding,
see `rounding`: steps that are smaller than an integer are how a network finds its way.
"""

import contextlib
import threading
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from tfafs.layers import convolutional, quantization

LIMIT = 255
"""Largest absolute value of an input, of all layers."""

_MAX_KERNEL = 127
_EXACT = 2**24  # Integers up to here are exact in float32, and so are their sums.
_MAX_SHIFT = 14
_MAX_BIAS = 2**22  # Holds `LIMIT << _MAX_SHIFT`.
# What kernel and inputs may sum up to. Rounding adds half of the step at most.
_MAX_SUM = _EXACT - _MAX_BIAS - 2 ** (_MAX_SHIFT - 1)


class _Rounding(threading.local):
  """Where layers round, None for always; each replica's thread has its own."""

  where = None


_ROUNDING = _Rounding()


@contextlib.contextmanager
def rounding(where):
  """Inside the block, layers round their weights and outputs only if they are told so.

  Args:
    where: bool tensor, scalar.
  """
  before, _ROUNDING.where = _ROUNDING.where, where
  try:
    yield
  finally:
    _ROUNDING.where = before


def _rounded(x):
  rounded = quantization.round_straight_through(x)
  return rounded if _ROUNDING.where is None else tf.where(_ROUNDING.where, rounded, x)


class Integers(NamedTuple):
  """The numbers of a layer, float32 that hold integers.

  Attributes:
    kernel: As the layer's kernel, in [-127, 127].
    bias: [filters].
    step: [filters], the power of two that sums are multiplied by.
  """

  kernel: np.ndarray
  bias: np.ndarray
  step: np.ndarray


class ExactConv2D(tf.keras.layers.Layer):
  """Convolution, or transposed convolution, from integers to integers in [0, high].

  The integers stand for real numbers, `value = integer * 2^exponent`; kernel and bias
  are trained as real numbers.
  """

  def __init__(
    self,
    filters: int,
    kernel_size: int,
    stride: int,
    exponents: tuple[int, int],
    high: int,
    name: str,
    kernel_initializer=None,
    bias_initializer="zeros",
    exact: bool = True,
  ):
    """Builds the layer.

    Args:
      filters: Output channels.
      kernel_size: Side of the kernel.
      stride: 1, or the factor by which a transposed convolution enlarges.
      exponents: Exponents of input and output.
      high: Largest output, at most `LIMIT`.
      name: Name of the layer.
      kernel_initializer: By default such that variance stays.
      bias_initializer: Of the bias, in real numbers.
      exact: False leaves weights and outputs as real as they are, to see what integers
        cost.
    """
    # No autocast: inputs in float64 are meant.
    super().__init__(name=name, dtype="float32", autocast=False)
    self._filters, self._size, self._stride = filters, kernel_size, stride
    self._exponents, self._high, self._exact = exponents, high, exact
    self._kernel_initializer = kernel_initializer or convolutional.variance_keeping(
      stride > 1, stride, final=False
    )
    self._bias_initializer = tf.keras.initializers.get(bias_initializer)

  def build(self, input_shape):
    """Creates kernel and bias."""
    inputs, side = input_shape[-1], self._size
    taps = inputs * side * side
    if taps >= _MAX_SUM // LIMIT:
      raise ValueError(
        f"{self.name!r} has {taps} weights per output channel: with more than "
        f"{_MAX_SUM // LIMIT - 1} its sums are not exact. Use fewer channels."
      )
    transposed = self._stride > 1
    channels = (self._filters, inputs) if transposed else (inputs, self._filters)
    self.kernel = self.add_weight(
      "kernel", (side, side, *channels), initializer=self._kernel_initializer
    )
    self.bias = self.add_weight(
      "bias", (self._filters,), initializer=self._bias_initializer
    )
    super().build(input_shape)

  def call(self, inputs, integers: Optional[Integers] = None, offset=None):
    """Convolves [batch, height, width, any].

    Args:
      inputs: Integers in [-LIMIT, LIMIT], float32, or float64 to compute in that.
      integers: What `freeze` gave; by default taken from the trained weights.
      offset: float32 integers [batch or 1, 1, 1, filters] that are added before the
        clip.

    Returns:
      [batch, stride * height, stride * width, filters] of the inputs' dtype, integers
      in [0, high].
    """
    numbers = [tf.cast(x, inputs.dtype) for x in integers or self._numbers()]
    return self._convolve(inputs, *numbers, offset)

  def _convolve(self, inputs, kernel, bias, step, offset=None):
    if self._stride == 1:
      sums = tf.nn.conv2d(inputs, kernel, 1, "SAME")
    else:
      shape = tf.shape(inputs)
      size = shape[1:3] * self._stride
      shape = tf.concat([shape[:1], size, [self._filters]], 0)
      sums = tf.nn.conv2d_transpose(inputs, kernel, shape, self._stride, "SAME")
    outputs = (sums + bias) * step
    if self._exact:
      outputs = _rounded(outputs)
    if offset is not None:
      outputs += tf.cast(offset, outputs.dtype)
    return quantization.clip_straight_through(outputs, 0.0, float(self._high))

  def freeze(self) -> Integers:
    """The integers of the weights as they are now, as arrays.

    Raises:
      ValueError: A weight is not finite.
      AssertionError: A sum could be inexact; the layer chooses them so that it cannot.
    """
    integers = Integers(*(np.array(x) for x in self._numbers()))
    if not all(np.all(np.isfinite(x)) for x in integers):
      raise ValueError(f"{self.name!r} has weights that are NaN or infinite.")
    kernel, bias, step = integers
    for name, numbers, limit in (
      ("kernel", kernel, _MAX_KERNEL),
      ("bias", bias, _MAX_BIAS),
    ):
      if np.any(numbers != np.round(numbers)) or np.abs(numbers).max() > limit:
        raise AssertionError(f"{self.name!r} has a {name} that is not of integers.")
    if np.any(np.frexp(step)[0] != 0.5):
      raise AssertionError(f"{self.name!r} has steps that are not powers of two.")
    reach = LIMIT * self._sums(tf.cast(tf.abs(integers.kernel), tf.float64)).numpy()
    # Half of what a rounding shift rounds to: some libraries round x by floor(x + 1/2).
    half = 0.5 / np.minimum(step, 0.5)
    if np.any(reach + np.abs(bias) + half > _EXACT):
      raise AssertionError(f"{self.name!r} has sums that could exceed 2^24.")
    return integers

  def probe(self, integers: Integers):
    """Inputs that tell whether a machine computes this layer exactly.

    Args:
      integers: What `freeze` gave.

    Returns:
      float32 [3, 8, 8, any], random, and such as drive the sums of a filter up and down
      to their bound; and the outputs, from float64, where sums have 53 bits.
    """
    weights = integers.kernel.sum((0, 1))
    weights = weights if self._stride == 1 else weights.T
    largest = np.argmax(np.abs(weights).sum(0))
    towards = np.broadcast_to(np.sign(weights[:, largest]), [8, 8, len(weights)])
    random = np.random.default_rng(0).integers(-LIMIT, LIMIT + 1, towards.shape)
    inputs = np.stack([random, LIMIT * towards, -LIMIT * towards]).astype(np.float32)
    with tf.init_scope():  # Now, even where a graph is being built.
      wide = (tf.constant(x, tf.float64) for x in integers)
      outputs = self._convolve(tf.constant(inputs, tf.float64), *wide)
      return inputs, outputs.numpy().astype(np.float32)

  def _numbers(self):
    """Integers nearest to the trained weights, with gradients to these."""
    source, target = self._exponents
    if not self._exact:
      return self.kernel, self.bias * 2.0**-source, 2.0 ** (source - target)
    peak = tf.reduce_max(tf.abs(self.kernel), self._other_axes())
    sums = self._sums(tf.abs(self.kernel))
    taps = self.kernel.shape.num_elements() // self._filters
    exponent = tf.reduce_max(
      [
        _exponent_above(peak / _MAX_KERNEL),
        # Rounding a weight adds at most half to it.
        _exponent_above(sums / (_MAX_SUM / LIMIT - 0.5 * taps)),
        tf.fill(peak.shape, target - source - _MAX_SHIFT),
      ],
      axis=0,
    )
    per_filter = _power_of_two(-exponent)
    if self._stride > 1:
      per_filter = per_filter[:, None]
    kernel = _rounded(self.kernel * per_filter)
    bias = quantization.clip_straight_through(
      self.bias * _power_of_two(-exponent - source), -_MAX_BIAS, _MAX_BIAS
    )
    bias = _rounded(bias)
    return kernel, bias, _power_of_two(exponent + source - target)

  def _other_axes(self):
    return (0, 1, 3) if self._stride > 1 else (0, 1, 2)

  def _sums(self, kernel):
    """Largest sum of the taps that one output of each filter is made of."""
    if self._stride == 1:
      return tf.reduce_sum(kernel, (0, 1, 2))
    # An output of a transposed convolution reads every stride-th tap along each axis.
    phases = [
      tf.reduce_sum(kernel[i :: self._stride, j :: self._stride], (0, 1, 3))
      for i in range(self._stride)
      for j in range(self._stride)
    ]
    return tf.reduce_max(phases, 0)


def _exponent_above(x):
  """int32 e with 2^(e-1) <= x < 2^e for normal positive x; -126 for zero."""
  x = tf.maximum(tf.stop_gradient(x), np.finfo(np.float32).tiny)
  return tf.bitwise.right_shift(tf.bitcast(x, tf.int32), 23) - 126


def _power_of_two(exponent):
  """float32 2^exponent, exact, for int32 exponents in [-126, 127]."""
  return tf.bitcast(tf.bitwise.left_shift(exponent + 127, 23), tf.float32)
