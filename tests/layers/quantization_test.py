"""Rounding, clipping, noise."""

import numpy as np
import tensorflow as tf

from tfafs.layers import quantization


def test_levels_are_those_of_a_file():
  image = tf.constant([-0.1, 0.0, 0.5001, 127.4 / 255, 1.0, 1.2])
  got = quantization.to_levels(image).numpy()
  np.testing.assert_array_equal(got, [0, 0, 128, 127, 255, 255])


def test_noise_is_a_function_of_its_seed():
  x = tf.zeros([1000])
  first, again, other = (
    quantization.uniform_noise_like(x, tf.constant(seed)).numpy()
    for seed in ([1, 2], [1, 2], [1, 3])
  )
  np.testing.assert_array_equal(first, again)
  assert np.any(first != other)
  assert -0.5 <= first.min() < -0.45 and 0.45 < first.max() < 0.5
