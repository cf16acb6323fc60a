"""Squeeze against a loop over blocks."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.bijectors import Squeeze


@pytest.mark.parametrize("factor", [2, 3])
def test_blocks_become_channels(factor):
  x = np.random.default_rng(0).normal(size=[2, 6, 12, 2])
  y = Squeeze(factor).forward(tf.constant(x)).numpy()
  assert y.shape == (2, 6 // factor, 12 // factor, 2 * factor**2)
  for n, i, j in np.ndindex(y.shape[:3]):
    rows = slice(factor * i, factor * (i + 1))
    columns = slice(factor * j, factor * (j + 1))
    block = x[n, rows, columns]
    expected = [v for c in range(2) for v in block[..., c].reshape(-1)]
    np.testing.assert_array_equal(y[n, i, j], expected)
  np.testing.assert_array_equal(Squeeze(factor).inverse(tf.constant(y)), x)
  assert Squeeze(factor).forward_log_det_jacobian(tf.constant(x), 3) == 0


def test_event_shapes():
  squeeze = Squeeze()
  assert squeeze.forward_event_shape([4, 6, 3]) == [2, 3, 12]
  assert squeeze.inverse_event_shape([2, 3, 12]) == [4, 6, 3]
  partial = squeeze.forward_event_shape([None, 6, 3])
  assert partial.as_list() == [None, 3, 12]
  np.testing.assert_array_equal(
    squeeze.forward_event_shape_tensor([4, 6, 3]), [2, 3, 12]
  )
  np.testing.assert_array_equal(
    squeeze.inverse_event_shape_tensor([2, 3, 12]), [4, 6, 3]
  )
  for words, call in (
    ("cannot divide 5 pixels", lambda: squeeze.forward_event_shape([5, 6, 3])),
    ("channels by 4", lambda: squeeze.inverse_event_shape([5, 6, 3])),
    ("factor must be at least 1", lambda: Squeeze(0)),
    ("cannot divide 5 pixels", lambda: squeeze.forward(tf.zeros([4, 5, 1]))),
    ("channels by 4", lambda: squeeze.inverse(tf.zeros([4, 4, 6]))),
    (
      r"\[..., height, width, channels\]; got",
      lambda: squeeze.forward(tf.zeros([4, 4])),
    ),
    (r"\[..., height, width, channels\]; got", lambda: squeeze.inverse(tf.zeros([4]))),
  ):
    with pytest.raises(ValueError, match=words):
      call()
