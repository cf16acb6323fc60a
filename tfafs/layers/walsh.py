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


class Basis(NamedTuple):
  """Orthogonal combinations of input channels, and how soon each is dropped.

  Attributes:
    weights: float [signals, input channels].
    costs: For each signal, the detail it counts as much as, in coarsest levels.
    max_cost: Signals of more detail are dropped even where there are channels for them.
  """

  weights: np.ndarray
  costs: Sequence
  max_cost: float = np.inf


# Grey, red against blue, green against both; natural images have little chroma.
COLORS = Basis(
  np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]]), (0, 2, 2)
)
FLOW = Basis(np.eye(2), (0, 0), max_cost=3)
"""Displacements (x, y): both axes alike, and smooth."""


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


def _signals(filters, basis):
  """The signals that each layer of an analysis keeps."""
  costs, layers = list(basis.costs), []
  for i, channels in enumerate(filters):
    final = i == len(filters) - 1
    signals = _layer(costs, channels if final else channels // 2, len(filters) - i)
    signals = [signal for signal in signals if signal.cost <= basis.max_cost]
    costs = [signal.cost for signal in signals]
    layers.append(signals)
  return layers


def analysis_kernels(
  filters: Sequence[int], kernels: Sequence[int], basis: Basis = COLORS
) -> list:
  """Kernels of an analysis of images whose layers all have stride 2.

  Args:
    filters: Output channels of each layer.
    kernels: Side of each layer's kernel.
    basis: What the first layer reads of its input.

  Returns:
    List of float32 [kernel, kernel, channels in, channels out]. In reverse order
    they are the kernels of the synthesis.
  """
  result, paired = [], False
  for i, signals in enumerate(_signals(filters, basis)):
    final = i == len(filters) - 1
    channels, side = filters[i], kernels[i]
    inputs = filters[i - 1] if i else basis.weights.shape[1]
    kernel = np.zeros([side, side, inputs, channels], np.float32)
    # Where "same" padding puts the pixels 2p and 2p + 1 of output p.
    first = (side - 2) // 2
    block = kernel[first : first + 2, first : first + 2]
    for target, signal in enumerate(signals):
      if paired:
        weights = np.zeros(inputs)
        weights[2 * signal.source : 2 * signal.source + 2] = 1, -1
      else:
        weights = basis.weights[signal.source]
      value = signal.walsh[:, :, None] * weights
      if final:
        block[..., target] = value
      else:
        block[..., 2 * target] = value
        block[..., 2 * target + 1] = -value
    paired = True
    result.append(kernel)
  return result


def latent_scales(filters: Sequence[int], basis: Basis, largest: float) -> np.ndarray:
  """Standard deviations to expect of what `analysis_kernels` keeps.

  Args:
    filters: Output channels of each layer of the analysis.
    basis: As of the analysis.
    largest: Standard deviation of the block means. It halves with every level of detail,
      as the spectra of natural images and flows do.

  Returns:
    float [filters[-1]].
  """
  signals = _signals(filters, basis)[-1]
  scales = [largest * 0.5**signal.cost for signal in signals]
  # Channels beyond the transform start with little in them.
  return np.array(scales + [0.0] * (filters[-1] - len(scales)))


def synthesis_kernels(
  filters: Sequence[int], kernels: Sequence[int], basis: Basis = COLORS
) -> list:
  """Kernels of the synthesis that inverts `analysis_kernels` on what it keeps.

  Args:
    filters: Output channels of each layer of the analysis.
    kernels: Side of each layer's kernel of the analysis.
    basis: As of the analysis.

  Returns:
    List of float32 [kernel, kernel, channels out, channels in], first layer first, as
    `Conv2DTranspose` stores them.
  """
  # Of each pair the analysis writes x and -x, which is how the synthesis has to read it.
  return analysis_kernels(filters, kernels, basis)[::-1]


def start(make_kernels, config, basis: Basis = COLORS):
  """Initializers of a network with the layers of `config`, None for the usual ones.

  Args:
    make_kernels: `analysis_kernels` or `synthesis_kernels`.
    config: Config with `filters`, `kernels` and `strides` of the analysis.
    basis: As of the kernels.
  """
  if set(config.strides) != {2}:
    return None
  return [
    Given(kernel) for kernel in make_kernels(config.filters, config.kernels, basis)
  ]


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
