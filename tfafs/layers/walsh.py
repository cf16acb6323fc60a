"""Initial weights that make a convolutional transform an orthogonal one.

A deep strided network with random weights needs thousands of steps before it passes an
image at all. Here an untrained analysis is a partial Walsh-Hadamard transform of 16x16
blocks and an untrained synthesis its transpose; training starts from there. Each layer
takes every signal through the four 2x2 Walsh functions and keeps those of lowest
frequency that it has channels for. A ReLU layer carries a signal x as a pair of channels,
relu(x) and relu(-x), whose difference the next layer reads.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# Random weights beside the transform, as a fraction of what is usual.
_NOISE = 0.02

# Orthogonal opponent colours: grey, red against blue, green against both.
_COLORS = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
# Natural images have little chroma; counted like detail of the coarsest level.
_COLOR_COSTS = (0, 2, 2)


class _Signal(NamedTuple):
  """One kept coefficient: where it comes from and how high its frequency is."""

  source: int
  walsh: np.ndarray
  cost: int


def _layer(costs, limit: int, detail_cost: int):
  """The `limit` signals of lowest cost among all sources and Walsh functions."""
  signals = []
  for source, cost in enumerate(costs):
    for a, b in itertools.product((0, 1), repeat=2):
      walsh = 0.5 * np.array([[1, (-1) ** b], [(-1) ** a, (-1) ** (a + b)]])
      signals.append(_Signal(source, walsh, cost + detail_cost * (a + b)))
  return sorted(signals, key=lambda signal: signal.cost)[:limit]


def analysis_kernels(filters: Sequence[int], kernels: Sequence[int]) -> list:
  """Kernels of an analysis of RGB images whose layers all have stride 2.

  Args:
    filters: Output channels of each layer.
    kernels: Side of each layer's kernel.

  Returns:
    List of float32 [kernel, kernel, channels in, channels out]. Transposed in their last
    two axes and in reverse order they are the kernels of the synthesis.
  """
  costs, paired = list(_COLOR_COSTS), False
  result = []
  for i, (channels, side) in enumerate(zip(filters, kernels)):
    final = i == len(filters) - 1
    signals = _layer(costs, channels if final else channels // 2, len(filters) - i)
    inputs = filters[i - 1] if i else 3
    kernel = np.zeros([side, side, inputs, channels], np.float32)
    # Where "same" padding puts the pixels 2p and 2p + 1 of output p.
    first = (side - 2) // 2
    block = kernel[first : first + 2, first : first + 2]
    for target, signal in enumerate(signals):
      if paired:
        weights = np.zeros(inputs)
        weights[2 * signal.source : 2 * signal.source + 2] = 1, -1
      else:
        weights = _COLORS[signal.source]
      value = signal.walsh[:, :, None] * weights
      if final:
        block[..., target] = value
      else:
        block[..., 2 * target] = value
        block[..., 2 * target + 1] = -value
    costs, paired = [signal.cost for signal in signals], True
    result.append(kernel)
  return result


def synthesis_kernels(filters: Sequence[int], kernels: Sequence[int]) -> list:
  """Kernels of the synthesis that inverts `analysis_kernels` on what it keeps.

  Args:
    filters: Output channels of each layer of the analysis.
    kernels: Side of each layer's kernel of the analysis.

  Returns:
    List of float32 [kernel, kernel, channels out, channels in], first layer first, as
    `Conv2DTranspose` stores them.
  """
  # Of each pair the analysis writes x and -x, which is how the synthesis has to read it.
  return analysis_kernels(filters, kernels)[::-1]


@tf.keras.utils.register_keras_serializable("tfafs")
class Given(tf.keras.initializers.Initializer):
  """Starts a kernel at given values, zero beyond them, with a little noise."""

  def __init__(self, value):
    """Makes the initializer; `value` is an array no larger than the kernel."""
    self._value = np.asarray(value, np.float32)

  def __call__(self, shape, dtype=None, **kwargs):
    """Returns the kernel."""
    padding = [(0, n - m) for n, m in zip(shape, self._value.shape)]
    noise = tf.keras.initializers.HeNormal()(shape, dtype, **kwargs)
    return tf.constant(np.pad(self._value, padding), dtype) + _NOISE * noise

  def get_config(self):
    """Config for Keras."""
    return {"value": self._value.tolist()}
