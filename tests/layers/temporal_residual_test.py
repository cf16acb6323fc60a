"""The network of VideoFlow's prior: its start, what it reads, its blocks."""

import numpy as np
import tensorflow as tf

from tfafs.layers.temporal_residual import TemporalResidualNetwork, dilations_for


def make(moved=True, **options):
  tf.keras.utils.set_random_seed(0)
  network = TemporalResidualNetwork(
    2, blocks=2, width=3, dilations=(1, 2), dtype="float64", **options
  )
  for i, variable in enumerate(network.trainable_variables if moved else ()):
    noise = tf.random.stateless_normal(variable.shape, [i, 1], dtype=variable.dtype)
    variable.assign_add(0.2 * noise)
  return network


def frames(count, batch=(2,), channels=2):
  return tf.random.stateless_normal(
    [*batch, count, 5, 5, channels], [0, 2], dtype=tf.float64
  )


def test_dilations_are_those_that_fit():
  assert dilations_for(32) == dilations_for(16) == dilations_for(9) == (1, 2, 4)
  assert dilations_for(8) == dilations_for(5) == (1, 2)
  assert dilations_for(4) == (1,)


def test_at_the_start_the_next_frame_is_the_last():
  x = frames(5)
  shift, log_scale = make(moved=False)(x)
  np.testing.assert_array_equal(shift, x[:, 2:])
  np.testing.assert_array_equal(log_scale, tf.zeros_like(shift))
  shift, _ = make(moved=False, predict_change=False)(x)
  np.testing.assert_array_equal(shift, tf.zeros_like(shift))


def test_all_predictions_at_once_are_those_of_each_window():
  network = make(condition_channels=3)
  x, condition = frames(5, (2, 3)), frames(3, (2, 3), 3)
  shift, log_scale = network(x, condition)
  assert shift.shape == log_scale.shape == [2, 3, 3, 5, 5, 2]
  for j in range(3):
    one = network(x[:, :, j : j + 3], condition[:, :, j : j + 1])
    np.testing.assert_allclose(one.shift[:, :, 0], shift[:, :, j], 1e-10)
    np.testing.assert_allclose(one.log_scale[:, :, 0], log_scale[:, :, j], 1e-10)


def test_predictions_read_their_window_and_their_condition():
  network = make(condition_channels=3)
  x, condition = frames(5), frames(3, channels=3)
  with tf.GradientTape(persistent=True) as tape:
    tape.watch([x, condition])
    shifts = tf.unstack(network(x, condition).shift, axis=1)
  for j, shift in enumerate(shifts):
    gradients = tape.gradient(shift, [x, condition])
    read, given = (np.abs(g).sum((0, 2, 3, 4)) > 0 for g in gradients)
    np.testing.assert_array_equal(read, [j <= t < j + 3 for t in range(5)])
    np.testing.assert_array_equal(given, [t == j for t in range(3)])


def test_blocks_are_convolutions_of_time():
  """Of three axes, over one padded window, as the published code writes them."""
  network = make()
  x = frames(3)

  def convolve(layer, x, dilation):
    if layer.edge_kernel is None:
      x = x @ layer.kernel[0, 0]
    else:
      around = [[0, 0], [1, 0], [dilation] * 2, [dilation] * 2, [0, 0]]
      marks = tf.pad(tf.zeros_like(x[..., :1]), around, constant_values=1)
      kernel = tf.concat(
        [
          tf.reshape(layer.kernel, [3, 3, 2, x.shape[-1], -1]),
          layer.edge_kernel[:, :, :, tf.newaxis],
        ],
        3,
      )
      x = tf.concat([tf.pad(x, around), marks], -1)
      kernel = tf.transpose(kernel, [2, 0, 1, 3, 4])
      rates = [1, dilation, dilation]
      x = tf.nn.convolution(x, kernel, padding="VALID", dilations=rates)
    return (x + layer.norm.bias) * tf.exp(layer.norm.log_scale)

  h = x
  for stacks in network._blocks:
    total = 0.0
    for stack, dilation in zip(stacks, (1, 2)):
      inner = tf.nn.relu(convolve(stack._first, h, dilation))
      gate = tf.sigmoid(convolve(stack._gate, inner, 1))
      inner = tf.tanh(convolve(stack._tanh, inner, 1)) * gate
      total += convolve(stack._last, inner, dilation)
    h += total
  head = convolve(network._head, h[:, -1], 1)
  shift, log_scale = network(x)
  np.testing.assert_allclose(shift[:, 0], head[..., 0::2] + x[:, -1], 1e-9)
  np.testing.assert_allclose(log_scale[:, 0], head[..., 1::2], 1e-9)
