"""Strided networks: sizes, the alignment of their grids, their variance at the start."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfafs.layers import convolutional

KERNELS, STRIDES = (5, 5, 3), (2, 2, 2)
STYLE = convolutional.Style()


@pytest.fixture(scope="module")
def analysis():
  return convolutional.analysis_network((8, 8, 4), KERNELS, STRIDES, STYLE, "a")


@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_analysis_rounds_sizes_up(analysis, height, width):
  latent = analysis(tf.zeros([1, height, width, 3]))
  assert latent.shape == [1, -(-height // 8), -(-width // 8), 4]


@given(st.integers(0, 7), st.integers(0, 7))
@settings(max_examples=10, deadline=None)
def test_the_grid_is_the_same_for_every_size(analysis, less_height, less_width):
  """Cropping an image at bottom and right leaves the latents away from there alone."""
  image = np.random.default_rng(0).normal(size=[1, 64, 64, 3]).astype(np.float32)
  cropped = image[:, : 64 - less_height, : 64 - less_width]
  np.testing.assert_allclose(
    analysis(image)[:, :4, :4], analysis(cropped)[:, :4, :4], atol=1e-5
  )


def test_synthesis_multiplies_sizes():
  net = convolutional.synthesis_network((8, 3), (5, 5), (2, 2), STYLE, "s")
  assert net(tf.zeros([2, 3, 5, 4])).shape == [2, 12, 20, 3]


def test_variance_neither_vanishes_nor_explodes():
  tf.keras.utils.set_random_seed(0)
  filters = [64] * 4
  down = convolutional.analysis_network(filters, [5] * 4, [2] * 4, STYLE, "a")
  up = convolutional.synthesis_network(filters, [5] * 4, [2] * 4, STYLE, "s")
  latent = down(tf.random.stateless_normal([2, 128, 128, 64], [0, 0])).numpy()
  image = up(latent / latent.std()).numpy()
  assert 0.3 < latent.std() < 3
  assert 0.3 < image.std() < 3


def test_a_missing_entry_is_named():
  with pytest.raises(ValueError, match="'net' need one entry for each layer"):
    convolutional.analysis_network((8, 8), (5,), (2, 2), STYLE, "net")
