"""How many bits the range coder spends on a symbol, read from its own tables.

The information content under a Gaussian is not what a file pays: probabilities are
rounded to 16 bits, and a symbol outside its table costs an escape symbol, a sign and the
Elias gamma code of its distance from the table, far less than a Gaussian's tail asks for.
"""

import numpy as np
import tensorflow as tf


class CodeLength:
  """Bits of each symbol under the tables of an entropy model of tensorflow-compression.

  Their format: for each index `-precision, 0, ..., 2^precision`, cumulative counts of
  the symbols from `offset` upwards, of which the last is the escape symbol.
  """

  def __init__(self, cdf, cdf_offset):
    """Reads the tables.

    Args:
      cdf: int32 [any], tables one behind the other.
      cdf_offset: int32 [tables], the first symbol of each.
    """
    heads = np.flatnonzero(cdf < 0)
    bits, starts, counts = [], [], []
    for head, end in zip(heads, [*heads[1:], len(cdf)]):
      counts_of_table = np.diff(cdf[head + 1 : end])
      starts.append(sum(map(len, bits)))
      counts.append(len(counts_of_table) - 1)
      bits.append(-cdf[head] - np.log2(np.maximum(counts_of_table, 0.5)))
    self._bits = np.concatenate(bits).astype(np.float32)
    # Per table: where it starts, its symbols without the escape, its first symbol.
    self._tables = np.stack([starts, counts, cdf_offset], -1).astype(np.int32)

  def __call__(self, symbols, index):
    """Bits of integer symbols.

    Args:
      symbols: float32 of any shape, integers.
      index: Number of the table of each, broadcast to `symbols`.

    Returns:
      float32, shape of `symbols`.
    """
    table = tf.gather(self._tables, tf.cast(index, tf.int32))
    start, count, first = tf.unstack(table, axis=-1)
    place = tf.cast(symbols, tf.int32) - first
    inside = (place >= 0) & (place < count)
    bits = tf.gather(self._bits, start + tf.where(inside, place, count))
    beyond = tf.maximum(tf.maximum(-place, place - count + 1), 1)
    return bits + tf.where(inside, 0.0, 1.0 + _elias_gamma_bits(beyond))


def _elias_gamma_bits(number):
  """Length of the Elias gamma code of int32 numbers of at least 1."""
  # A float may round log2(2^k) down; it holds 2^k - 1 apart for all symbols there are.
  log2 = tf.math.log(tf.cast(number, tf.float32)) / np.float32(np.log(2.0))
  return 2.0 * tf.floor(log2 + 1e-6) + 1.0
