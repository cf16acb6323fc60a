"""EdgeConvolution and GatedStack against loops over places."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers.act_norm import data_dependent_start
from tfafs.layers.edge_convolution import EdgeConvolution, GatedStack


def randomized(layer):
  for i, variable in enumerate(layer.trainable_variables):
    noise = tf.random.stateless_normal(variable.shape, [i, 1], dtype=variable.dtype)
    variable.assign(0.3 * noise)
  return layer


def naive(layer, x, dilation):
  """x [steps, H, W, C] with a marking channel on all padding, place by place."""
  kernel, edges = layer.kernel.numpy(), layer.edge_kernel.numpy()
  size, taps, inputs = len(kernel), edges.shape[2], x.shape[-1]
  # [size, size, taps, inputs + 1, filters]
  kernel = kernel.reshape(size, size, taps, inputs, -1)
  kernel = np.concatenate([kernel, edges[:, :, :, None]], 3)
  reach = dilation * (size - 1) // 2
  steps, height, width, _ = x.shape
  padded = np.zeros([steps + 1, height + 2 * reach, width + 2 * reach, inputs + 1])
  padded[..., -1] = 1
  inside = padded[1:, reach : reach + height, reach : reach + width]
  inside[..., :-1], inside[..., -1] = x, 0
  result = np.zeros([steps, height, width, kernel.shape[-1]])
  for t, i, j in np.ndindex(steps, height, width):
    for a, b, c in np.ndindex(size, size, taps):
      place = padded[t + 2 - taps + c, i + dilation * a, j + dilation * b]
      result[t, i, j] += place @ kernel[a, b, c]
  bias, scale = layer.norm.bias.numpy(), np.exp(layer.norm.log_scale.numpy())
  return (result + bias) * scale


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("zero", [False, True])
def test_of_time(dilation, zero):
  """Each step has a normalisation of its own, unless the layer starts at zero."""
  layer = EdgeConvolution(
    2, 3, dilation=dilation, steps=3, starts_at_zero=zero, dtype="float64"
  )
  assert layer.norm.bias.shape == ([3] if zero else [3, 1, 1, 3])
  randomized(layer)
  x = np.random.default_rng(0).normal(size=[2, 3, 4, 5, 2])
  expected = [naive(layer, sequence, dilation) for sequence in x]
  np.testing.assert_allclose(layer(tf.constant(x)), expected, 1e-10, 1e-10)


def test_of_images():
  layer = randomized(EdgeConvolution(2, 3, dtype="float64"))
  x = np.random.default_rng(0).normal(size=[2, 3, 4, 5, 2])
  expected = [[naive(layer, image[None], 1)[0] for image in row] for row in x]
  np.testing.assert_allclose(layer(tf.constant(x)), expected, 1e-10, 1e-10)


def test_starts():
  tf.keras.utils.set_random_seed(0)
  x = tf.random.stateless_normal([4, 6, 6, 8], [0, 1])
  zero = EdgeConvolution(8, 16, starts_at_zero=True)
  with data_dependent_start():
    np.testing.assert_array_equal(zero(x), tf.zeros([4, 6, 6, 16]))
  layer = EdgeConvolution(8, 16)
  assert abs(np.std(layer.kernel) - 0.05) < 0.005
  assert abs(np.std(layer.edge_kernel) - 0.05) < 0.01
  with data_dependent_start():
    y = layer(x).numpy()
  np.testing.assert_allclose(y.std((0, 1, 2)), 1, atol=1e-3)


def test_gated_stack():
  """Its parts by their formula; at the start 0, and all normalisations started."""
  stack = GatedStack(2, 4, 3, dtype="float64")
  x = tf.random.stateless_normal([3, 5, 5, 2], [0, 1], dtype=tf.float64)
  with data_dependent_start():
    np.testing.assert_array_equal(stack(x), tf.zeros([3, 5, 5, 3]))
  hidden = tf.nn.relu(stack._first(x))
  for part in (stack._tanh, stack._gate):
    np.testing.assert_allclose(np.std(part(hidden), (0, 1, 2)), 1, 1e-3)
  randomized(stack)
  hidden = np.maximum(stack._first(x), 0)
  matrices = [part.kernel.numpy()[0, 0] for part in (stack._tanh, stack._gate)]
  values = [
    (hidden @ matrix + part.norm.bias) * np.exp(part.norm.log_scale)
    for matrix, part in zip(matrices, (stack._tanh, stack._gate))
  ]
  gated = np.tanh(values[0]) / (1 + np.exp(-values[1]))
  np.testing.assert_allclose(stack(x), stack._last(tf.constant(gated)), 1e-10)
