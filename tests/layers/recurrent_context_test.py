"""RecurrentContext: passes against steps, Keras' LSTM, masks and positions."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers import recurrent_context


def make(**options):
  tf.keras.utils.set_random_seed(0)
  layer = recurrent_context.RecurrentContext(3, 4, dtype="float64", **options)
  for i, variable in enumerate(layer.trainable_variables):
    noise = tf.random.stateless_normal(variable.shape, [1, i], dtype=tf.float64)
    variable.assign_add(0.3 * noise)
  return layer


def frames(*shape):
  return tf.constant(np.random.default_rng(0).normal(size=shape))


def test_a_pass_is_what_keras_lstm_gives_one_frame_later():
  layer = make()
  x = frames(2, 5, 3)
  cell = layer._cells[0]
  lstm = tf.keras.layers.LSTM(4, return_sequences=True, dtype="float64")
  lstm(x)  # Makes the weights.
  lstm.set_weights([cell.kernel, cell.recurrent_kernel, cell.bias])
  first = tf.broadcast_to(layer._start, [2, 4])
  expected = lstm(x, initial_state=[first, tf.zeros_like(first)])
  contexts = layer(x)
  np.testing.assert_allclose(contexts[:, 0], first)
  np.testing.assert_allclose(contexts[:, 1:], expected[:, :-1], 1e-10)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_pass_is_what_steps_give(layers):
  layer = make(layers=layers, max_length=6)
  x = frames(2, 5, 3)
  present = tf.constant([[True] * 5, [True, False, True, True, False]])
  index = tf.constant([[0, 1, 2, 3, 4], [0, 1, 1, 2, 3]])
  positions = recurrent_context.Positions(index, 4 - index)
  state, outputs = layer.initial_state(2), []
  for t in range(5):
    at = recurrent_context.Positions(index[:, t], 4 - index[:, t])
    outputs.append(layer.output(state, at))
    state = layer.next_state(state, x[:, t], present[:, t])
  np.testing.assert_allclose(layer(x, present, positions), tf.stack(outputs, 1), 1e-10)


def test_a_context_depends_on_frames_before_only():
  layer = make()
  x = tf.Variable(frames(1, 5, 3))
  with tf.GradientTape(persistent=True) as tape:
    totals = [tf.reduce_sum(layer(x)[:, t]) for t in range(5)]
  for t, total in enumerate(totals):
    gradient = tape.gradient(total, x, unconnected_gradients="zero")
    seen = np.abs(gradient).max((0, 2)) > 0
    np.testing.assert_array_equal(seen, np.arange(5) < t)


def test_absent_frames_are_not_read():
  layer = make()
  x = frames(1, 4, 3)
  present = tf.constant([[True, False, True, True]])
  with_hole = layer(x, present)
  without = layer(tf.gather(x, [0, 2, 3], axis=1))
  np.testing.assert_allclose(tf.gather(with_hole, [0, 2, 3], axis=1), without, 1e-10)


def test_sizes_are_checked():
  with pytest.raises(ValueError, match="must be at least 1"):
    recurrent_context.RecurrentContext(3, 4, max_length=0)
