"""Priors of the quantised latents: what the range coder knows before it reads a symbol.

    symbols = round(latent / step - mean),    p(symbols) = table[index],
    value = step * (symbols + mean)

Mean and index come from two networks of a hyper-latent, which is itself coded under a
learned factorised density. A prior may also read a context: what was decoded before
(`conditions.py`). The index network reads integer symbols only and computes in exact
integers, so that every machine finds the same tables; the mean may be inexact, since it
never decides a symbol.
"""

from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf
import tensorflow_compression as tfc

from tfafs.layers import convolutional, quantization, scale_table
from tfafs.models.codec import index_network

# Quantisation step: small enough that an untrained codec already fills several bins and
# learns from its first step.
STEP = 1 / 8

# The output of the mean network is scaled, so that it learns as fast as its neighbours.
MEAN_GAIN = 8.0
# Standard deviation that a symbol starts with; none starts at less than half of it.
START_SCALE = 1.0
MIN_START = 0.2

# A hyper-latent starts at a few symbols and a density that is as narrow: what it says is
# worth its bits only once the networks that read it have learned.
_HYPER_VARIANCE = 0.01
_HYPER_SCALE = 0.3


class CodedLatent(NamedTuple):
  """A quantised latent with what was needed to code it.

  Attributes:
    value: float32 [batch, h, w, channels], the latent the synthesis reads.
    symbols: float32, shape of `value`, integers that are coded.
    index: float32, shape of `value`, integers, scale table entry of each symbol.
    hyper_symbols: float32 [batch, hh, hw, hyper_channels], integers.
    bits: float32 [batch], information content of `symbols`.
    hyper_bits: float32 [batch], information content of `hyper_symbols`.
  """

  value: tf.Tensor
  symbols: tf.Tensor
  index: tf.Tensor
  hyper_symbols: tf.Tensor
  bits: tf.Tensor
  hyper_bits: tf.Tensor


class Context(NamedTuple):
  """What a prior reads beside its own hyper-latent. All float32.

  Attributes:
    hyper_symbols: Tuple of [batch, hh, hw, any], integers; both networks read them.
    symbols: Tuple of [batch, h, w, any], integers, for the index network.
    values: Tuple of [batch, h, w, any], for the mean network.
  """

  hyper_symbols: tuple = ()
  symbols: tuple = ()
  values: tuple = ()


NO_CONTEXT = Context()


def merge(contexts) -> Context:
  """All that several contexts hold, as one."""
  return Context(*(sum(parts, ()) for parts in zip(NO_CONTEXT, *contexts)))


class MeanNetwork(tf.keras.layers.Layer):
  """Maps hyper-latent (and context) to the mean of each symbol.

  Without context: the mirror image of the hyper-analysis. With context: all
  hyper-latents climb to latent resolution, where the context's values join them.
  """

  def __init__(self, channels, hyper, has_context: bool, dtype, name: str):
    super().__init__(name=name, dtype=dtype)
    kernels, strides = tuple(hyper.kernels)[::-1], tuple(hyper.strides)[::-1]
    if has_context:
      climbing = [(k, s) for k, s in zip(kernels, strides) if s > 1]
      width = [hyper.channels] * len(climbing)
      self._climb = convolutional.synthesis_network(
        width, *zip(*climbing), dtype, "climb"
      )
      self._head = convolutional.analysis_network(
        (hyper.channels, channels), (3, 3), (1, 1), dtype, "head", [None, "zeros"]
      )
    else:
      width = [hyper.channels] * (len(kernels) - 1) + [channels]
      starts = [None] * (len(kernels) - 1) + ["zeros"]
      self._climb = convolutional.synthesis_network(
        width, kernels, strides, dtype, "climb", starts
      )
      self._head = None

  def call(self, hyper, size, values=()):
    """Returns float32 [batch, *size, channels].

    Args:
      hyper: List of hyper-latents [batch, hh, hw, any].
      size: int32 [2], height and width of the latent.
      values: Tuple of [batch, *size, any], the context's.
    """
    features = self._climb(tf.concat(hyper, -1))[:, : size[0], : size[1]]
    if self._head is not None:
      values = [tf.cast(x, features.dtype) for x in values]
      features = tf.concat([tf.nn.relu(features), *values], -1)
      features = self._head(features)
    return tf.cast(features, tf.float32)


class Hyperprior(tf.keras.layers.Layer):
  """Gaussian prior whose mean and scale index are functions of a hyper-latent.

  With a context also of what that holds, such as another latent: p(v | w).
  """

  def __init__(
    self,
    channels: int,
    hyper,
    dtype,
    name: str,
    reads: tuple[bool, bool] = (False, False),
    start_scales=None,
  ):
    """Builds the networks.

    Args:
      channels: Channels of the latent.
      hyper: Config with `channels`, `kernels` and `strides` of the hyper-analysis and
        `exact_index`.
      dtype: Keras dtype policy of mean and analysis networks. The index network is
        exact, or with `hyper.exact_index = False` float32.
      name: Name of the prior, such as "motion".
      reads: Whether the mean network reads a context's values, and whether the index
        network reads its symbols.
      start_scales: float [channels], standard deviation of each channel's symbols
        before training; by default 1.
    """
    super().__init__(name=name)
    if start_scales is None:
      start_scales = np.full([channels], START_SCALE)
    start_scales = np.maximum(start_scales, MIN_START)
    self._reads_values, self._reads_symbols = reads
    self._hyper = hyper
    self._analysis = convolutional.analysis_network(
      [hyper.channels] * len(hyper.kernels),
      hyper.kernels,
      hyper.strides,
      dtype,
      "analysis",
      [None] * (len(hyper.kernels) - 1)
      + [tf.keras.initializers.VarianceScaling(_HYPER_VARIANCE)],
    )
    self._mean = MeanNetwork(channels, hyper, self._reads_values, dtype, "mean")
    self.exact_index = hyper.exact_index
    start = scale_table.index_of_scale(start_scales)
    self._index = index_network.IndexNetwork(
      channels, hyper, self._reads_symbols, start, "index"
    )
    self.hyper_density = tfc.NoisyDeepFactorized(
      batch_shape=(hyper.channels,), num_filters=(3, 3), init_scale=_HYPER_SCALE
    )

  def call(self, latent, context: Context = NO_CONTEXT, seed=None) -> CodedLatent:
    """Quantises a latent and measures its information content.

    Args:
      latent: float32 [batch, h, w, channels].
      context: What the prior reads beside.
      seed: int32 [2] for training, where uniform noise stands for rounding in the rate;
        None for the exact information content of the rounded symbols.

    Returns:
      A `CodedLatent`.
    """
    hyper = tf.cast(self._analysis(latent), tf.float32)
    latent /= STEP
    hyper_symbols = quantization.round_straight_through(hyper)
    size = tf.shape(latent)[1:3]
    mean, index = self.parameters(hyper_symbols, size, context)
    symbols = quantization.round_straight_through(latent - mean)
    noisy_hyper, noisy = hyper_symbols, symbols
    if seed is not None:
      seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
      noisy_hyper = hyper + quantization.uniform_noise_like(hyper, seeds[0])
      noisy = latent - mean
      noisy += quantization.uniform_noise_like(noisy, seeds[1])
    density = tfc.NoisyNormal(loc=0.0, scale=scale_table.scale_of_index(index))
    return CodedLatent(
      dequantize(symbols, mean),
      symbols,
      index,
      hyper_symbols,
      _bits(density.log_prob(noisy)),
      _bits(self.hyper_density.log_prob(noisy_hyper)),
    )

  def hyper_size(self, size):
    """Height and width of the hyper-latent of a latent of `size` (int32 [2])."""
    for stride in self._hyper.strides:
      size = (size + stride - 1) // stride
    return size

  def constants(self, integers):
    """What decoding depends on beside the weights, as float32 arrays.

    Args:
      integers: What `freeze_index` gave.
    """
    yield np.array([STEP, MEAN_GAIN], np.float32)
    yield from self._index.constants(integers)

  def is_exact_here(self, integers, zero):
    """Whether the index network is exact on this machine; see `IndexNetwork`."""
    return self._index.is_exact_here(integers, zero)

  def freeze_index(self) -> Optional[list]:
    """Integers of an exact index network as it is trained now, for `index`; or None."""
    return self._index.freeze()

  def parameters(self, hyper_symbols, size, context: Context = NO_CONTEXT):
    """Mean and scale table index of each symbol.

    Args:
      hyper_symbols: float32 [batch, hh, hw, hyper_channels], integers.
      size: int32 [2], height and width of the latent.
      context: What the prior reads beside.

    Returns:
      Mean and index, each float32 [batch, *size, channels]; the index holds integers
      in [0, 63].

    Raises:
      ValueError: The context lacks what the prior is built to read.
    """
    mean = self.mean(hyper_symbols, size, context)
    return mean, self.index(hyper_symbols, size, context)

  def mean(self, hyper_symbols, size, context: Context = NO_CONTEXT):
    """The first of `parameters`."""
    hyper = [hyper_symbols, *context.hyper_symbols]
    values = self._of_context(context.values, self._reads_values)
    return MEAN_GAIN * self._mean(hyper, size, values)

  def index(self, hyper_symbols, size, context: Context = NO_CONTEXT, integers=None):
    """The second of `parameters`; `integers` is what `freeze_index` gave."""
    hyper = [hyper_symbols, *context.hyper_symbols]
    symbols = self._of_context(context.symbols, self._reads_symbols)
    return self._index(hyper, size, symbols, integers)

  def _of_context(self, tensors, reads):
    if reads and not tensors:
      raise ValueError(f"The prior {self.name!r} needs what it is conditioned on.")
    return tensors if reads else ()


def dequantize(symbols, mean):
  """Value of a latent, as the synthesis reads it."""
  return STEP * (symbols + mean)


def _bits(log_prob):
  return tf.reduce_sum(log_prob, [1, 2, 3]) / -tf.math.log(2.0)
