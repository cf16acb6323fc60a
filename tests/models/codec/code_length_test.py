"""Predicted lengths against strings that the range coder wrote."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers import scale_table
from tfafs.models.codec import code_length, range_coding


@pytest.fixture(scope="module")
def tables():
  return range_coding.scale_tables()


@pytest.fixture(scope="module")
def length(tables):
  return code_length.CodeLength(tables.cdf.numpy(), tables.cdf_offset.numpy())


def written_bits(tables, symbols, index):
  return 8 * len(tables.compress(symbols, index).numpy())


@pytest.mark.parametrize("index", [0, 1, 18, 40, 63])
@pytest.mark.parametrize("times", [0.0, 1.0, -3.0, 4.5, -4.5, 20.0, -300.0])
def test_one_symbol_again_and_again(tables, length, index, times):
  scale = scale_table.scale_of_index(float(index)).numpy()
  symbols = np.full([1, 1, 1, 2000], np.rint(times * scale), np.float32)
  indices = np.full_like(symbols, index)
  predicted = float(tf.reduce_sum(length(symbols, indices)))
  # The coder writes whole bytes, a few of them to finish, and rounds on the way.
  written = written_bits(tables, symbols, indices)
  assert abs(written - predicted) <= 0.002 * predicted + 32


@pytest.mark.parametrize("step", [0, 1])
def test_escape_codes_of_every_length(tables, length, step):
  """Numbers on both sides of each power of two, above and below the table."""
  powers = 2 ** np.arange(1, 18)
  for symbols in (powers, -powers):
    symbols = (symbols - step).astype(np.float32).reshape(1, 1, 1, -1)
    symbols = np.tile(symbols, [1, 1, 50, 1])
    indices = np.full_like(symbols, 5)
    predicted = float(tf.reduce_sum(length(symbols, indices)))
    assert abs(written_bits(tables, symbols, indices) - predicted) <= 32


def test_heavy_tails_under_all_tables(tables, length):
  random = np.random.default_rng(0)
  indices = random.integers(0, 64, [1, 40, 50, 12]).astype(np.float32)
  scale = scale_table.scale_of_index(indices).numpy()
  symbols = np.rint(scale * random.standard_t(1.5, scale.shape)).astype(np.float32)
  predicted = float(tf.reduce_sum(length(symbols, indices)))
  assert abs(written_bits(tables, symbols, indices) / predicted - 1) < 1e-3
