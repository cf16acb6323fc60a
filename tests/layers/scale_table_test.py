"""The scale table: its ends, its steps, its rounding and the gradients through it."""

import numpy as np
import tensorflow as tf

from tfafs.layers import scale_table


def test_64_scales_log_spaced_from_011_to_256():
  scales = scale_table.scale_of_index(tf.range(64.0)).numpy()
  np.testing.assert_allclose(scales, np.geomspace(0.11, 256, 64), rtol=1e-5)


def test_index_is_rounded_and_clipped():
  index = scale_table.round_index(tf.constant([-3.0, 0.4, 17.6, 63.4, 90.0]))
  np.testing.assert_array_equal(index, [0, 0, 18, 63, 63])


def test_gradient_passes_inside_and_leads_back_from_outside():
  raw = tf.constant([-3.0, 20.3, 90.0])
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(raw)
    up = tf.reduce_sum(scale_table.round_index(raw))
    down = -up
  # Descent moves against the gradient: minimising `down` raises the index.
  np.testing.assert_array_equal(tape.gradient(up, raw), [0, 1, 1])
  np.testing.assert_array_equal(tape.gradient(down, raw), [-1, -1, 0])
