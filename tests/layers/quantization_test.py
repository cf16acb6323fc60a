"""Rounding, clipping, noise."""

import numpy as np
import tensorflow as tf

from tfafs.layers import quantization


def test_to_8bit_gives_the_levels_of_a_file():
  image = tf.constant([-0.1, 0.0, 0.5001, 127.4 / 255, 1.0, 1.2])
  got = quantization.to_8bit(image).numpy()
  np.testing.assert_allclose(got * 255, [0, 0, 128, 127, 255, 255], atol=1e-4)


def test_to_8bit_passes_the_gradient_inside():
  image = tf.constant([-0.1, 0.3, 1.2])
  with tf.GradientTape() as tape:
    tape.watch(image)
    total = tf.reduce_sum(quantization.to_8bit(image))
  np.testing.assert_allclose(tape.gradient(total, image), [0, 1, 0], atol=1e-6)


def test_noise_is_a_function_of_its_seed():
  x = tf.zeros([1000])
  first, again, other = (
    quantization.uniform_noise_like(x, tf.constant(seed)).numpy()
    for seed in ([1, 2], [1, 2], [1, 3])
  )
  np.testing.assert_array_equal(first, again)
  assert np.any(first != other)
  assert -0.5 <= first.min() < -0.45 and 0.45 < first.max() < 0.5
