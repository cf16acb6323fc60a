"""The scale table: its ends, its steps, and from scales back to indexes."""

import numpy as np
import tensorflow as tf

from tfafs.layers import scale_table


def test_64_scales_log_spaced_from_011_to_256():
  scales = scale_table.scale_of_index(tf.range(64.0)).numpy()
  np.testing.assert_allclose(scales, np.geomspace(0.11, 256, 64), rtol=1e-5)


def test_index_of_scale_inverts_scale_of_index():
  scales = scale_table.scale_of_index(tf.range(64.0)).numpy()
  np.testing.assert_allclose(
    scale_table.index_of_scale(scales), np.arange(64), atol=1e-4
  )
  assert scale_table.index_of_scale(0.0) == 0
