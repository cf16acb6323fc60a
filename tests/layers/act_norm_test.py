"""ActNorm: its formula, its undoing, its start."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers.act_norm import ActNorm, data_dependent_start


def test_formula_and_undoing():
  layer = ActNorm(3, dtype="float64")
  for variable, values in zip(
    layer.trainable_variables, ([0.1, -0.2, 0.3], [0.2, 0.0, -0.1])
  ):
    variable.assign(values)
  x = np.random.default_rng(0).normal(size=[2, 4, 5, 3])
  y = layer(tf.constant(x))
  bias, log_scale = np.array([[0.1, -0.2, 0.3], [0.2, 0.0, -0.1]])
  expected = (x + bias) * np.exp(3 * log_scale)
  np.testing.assert_allclose(y, expected, 1e-12)
  np.testing.assert_allclose(layer.undo(y), x, 1e-12)
  np.testing.assert_allclose(layer.log_scale, [0.6, 0.0, -0.3], 1e-6)


@pytest.mark.parametrize("steps", [None, 2])
def test_start_normalises_each_channel_of_each_step(steps):
  layer = ActNorm(3, steps)
  rng = np.random.default_rng(0)
  x = rng.normal(size=[6, 2, 4, 5, 3]) * [1, 2, 3] + [0, 5, -1]
  x[:, 1] = 10 * x[:, 1] + 2
  x = x.astype(np.float32)
  np.testing.assert_array_equal(layer(x), x)  # No start outside of the context.
  with data_dependent_start():
    y = layer(x).numpy()
  axes = (0, 1, 2, 3) if steps is None else (0, 2, 3)
  np.testing.assert_allclose(y.mean(axes), 0, atol=1e-5)
  np.testing.assert_allclose(y.std(axes), 1, atol=1e-5)
  np.testing.assert_array_equal(layer(x), y)
  other = layer(2 * x + 1).numpy()
  assert np.abs(other.mean(axes)).max() > 0.1  # The start is over.


def test_what_starts_otherwise_is_left_alone():
  layer = ActNorm(2, data_dependent=False)
  x = np.random.default_rng(0).normal(3, 2, size=[5, 2]).astype(np.float32)
  with data_dependent_start():
    np.testing.assert_array_equal(layer(x), x)


def test_the_start_ends_with_an_error_too():
  layer = ActNorm(2)
  with pytest.raises(RuntimeError), data_dependent_start():
    raise RuntimeError
  x = np.full([3, 2], 7, np.float32)
  np.testing.assert_array_equal(layer(x), x)
