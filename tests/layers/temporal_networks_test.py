"""Networks that predict frames: exact sizes, both paths, what they read."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers import temporal_networks as networks


def count(network):
  return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def small(kind, **options):
  options = {"head_initializer": "glorot_normal", "dtype": "float64", **options}
  if kind == "dense":
    return networks.DenseTemporalNetwork([2, 3], hidden_units=[7], **options)
  if kind == "convolutional":
    return networks.ConvolutionalTemporalNetwork(
      2, filters=3, encoder_layers=2, fusion_layers=1, **options
    )
  return networks.RecurrentTemporalNetwork([2, 3], units=[4, 3], cell=kind, **options)


def frames(network, *leading, seed=0):
  shape = [n or 4 for n in network.frame_shape]
  return tf.random.stateless_normal([*leading, *shape], [seed, 1], dtype=tf.float64)


@pytest.mark.parametrize("channels, expected", [(1, 335_042), (3, 338_502)])
def test_the_convolutional_network_has_the_published_size(channels, expected):
  """Paper 000, Table 2: 343k and 363k, of which 2 * 64 * 64 * channels are unused.

  Its 2-AF are two such networks: 670,084 and 677,004, published as 686k and 726k.
  """
  network = networks.ConvolutionalTemporalNetwork(channels)
  assert count(network) == expected
  unused = 2 * 64 * 64 * channels
  published = {1: (343, 686), 3: (363, 726)}[channels]
  for levels, thousands in zip((1, 2), published):
    assert round(levels * (expected + unused) / 1000) == thousands


def test_sizes_of_dense_and_recurrent():
  """By hand: inputs * units + units; four gates of (inputs + units + 1) * units."""
  dense = networks.DenseTemporalNetwork([4], window=2, hidden_units=[8])
  assert count(dense) == (2 * 5 + 1) * 8 + (8 + 1) * 8
  lstm = networks.RecurrentTemporalNetwork([4], units=[6], conditional_size=2)
  assert count(lstm) == 4 * (7 + 6 + 1) * 6 + (6 + 1) * 8


KINDS = ["dense", "convolutional", "lstm", "gru"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("predict_change", [False, True])
@pytest.mark.parametrize("leading", [(), (2,), (2, 1)])
def test_steps_are_the_parallel_pass(kind, predict_change, leading):
  network = small(kind, window=2, predict_change=predict_change)
  x = frames(network, *leading, 6)
  absent = np.zeros([*leading, 6], bool)
  absent[..., [0, 3]] = True
  present = tf.constant(~absent)
  axis = len(leading)
  x = tf.where(
    tf.reshape(present, [*present.shape, *[1] * len(x.shape[axis + 1 :])]), x, 0
  )
  expected = network(x, present=present)
  assert expected.shift.shape == expected.log_scale.shape
  assert expected.shift.shape[axis] == 5
  by_time = tf.unstack(x, axis=axis)
  state = network.initial_state(tf.stack(by_time[:2], axis), present=present[..., :2])
  for t in range(5):
    for got, all_of_them in zip(network.parameters(state), expected):
      want = tf.gather(all_of_them, t, axis=axis)
      np.testing.assert_allclose(got, want, 1e-12, 1e-12)
    if t < 4:
      state = network.next_state(state, by_time[t + 2], present=present[..., t + 2])


@pytest.mark.parametrize("kind", KINDS)
def test_a_prediction_reads_its_window_and_nothing_later(kind):
  network = small(kind, window=2)
  x = tf.Variable(frames(network, 5))
  for target in range(4):
    with tf.GradientTape() as tape:
      shift, log_scale = network(x)
      value = tf.reduce_sum(shift[target] ** 2 + log_scale[target] ** 2)
    gradient = np.abs(tape.gradient(value, x)).reshape([5, -1]).max(-1)
    oldest = 0 if network.unlimited_memory else target
    expected = [oldest <= s <= target + 1 for s in range(5)]
    np.testing.assert_array_equal(gradient > 0, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_config_makes_the_same_network(kind):
  network = small(kind, window=2, predict_change=True)
  again = type(network).from_config(network.get_config())
  assert [v.shape for v in again.variables] == [v.shape for v in network.variables]
  again.set_weights(network.get_weights())
  x = frames(network, 2, 4)
  for one, other in zip(again(x), network(x)):
    np.testing.assert_array_equal(one, other)


def test_without_batch_normalisation_and_fusion():
  network = networks.ConvolutionalTemporalNetwork(
    1, filters=2, encoder_layers=1, fusion_layers=0, batch_normalization=False
  )
  assert count(network) == (9 * 1 + 1) * 2 + (9 * 6 + 1) * 2
  assert network(tf.zeros([2, 5, 6, 7, 1])).shift.shape == [2, 3, 6, 7, 1]


def test_wrong_arguments_are_named():
  with pytest.raises(ValueError, match="frame_shape must be known"):
    networks.DenseTemporalNetwork([None, 3])
  with pytest.raises(ValueError, match="window must be at least 1"):
    networks.DenseTemporalNetwork([3], window=0)
  with pytest.raises(ValueError, match="cell must be 'lstm' or 'gru'"):
    networks.RecurrentTemporalNetwork([3], cell="rnn")
  with pytest.raises(ValueError, match="at least one recurrent layer"):
    networks.RecurrentTemporalNetwork([3], units=[])
  with pytest.raises(ValueError, match="encoder_layers must be at least 1"):
    networks.ConvolutionalTemporalNetwork(1, encoder_layers=0)
  network = networks.DenseTemporalNetwork([3], conditional_size=2)
  with pytest.raises(ValueError, match="conditional_input must be given"):
    network(tf.zeros([4, 3]))
  with pytest.raises(ValueError, match=r"conditional_input must be \[..., 2\]"):
    network(tf.zeros([4, 3]), conditional_input=tf.zeros([3]))
