"""Conditional networks against plain ones and NumPy, and where their level comes from."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers import conditional, convolutional

SIZES = ((6, 8, 5), (5, 5, 3), (2, 2, 1))


def networks(make, condition, dtype="float32"):
  """A plain network and a conditional one with the same convolutions."""
  plain = make(*SIZES, convolutional.Style(dtype), "plain")
  network = make(*SIZES, convolutional.Style(dtype, condition), "net")
  x = tf.random.stateless_normal([3, 12, 10, 4], [0, 0])
  plain(x)
  with condition.at(conditional.level_weights(tf.zeros([1]), condition.num_levels)):
    network(x)
  convolutions = [v for v in network.variables if "level_" not in v.name]
  assert len(convolutions) == len(plain.variables) == 6
  for theirs, own in zip(plain.variables, convolutions):
    own.assign(theirs)
  return plain, network, x


def test_weights_of_levels():
  weights = conditional.level_weights([0.0, 2.0, 0.25, 1.0625], 3).numpy()
  expected = [[1, 0, 0], [0, 0, 1], [0.75, 0.25, 0], [0, 0.9375, 0.0625]]
  np.testing.assert_array_equal(weights, expected)


@pytest.mark.parametrize(
  "make", [convolutional.analysis_network, convolutional.synthesis_network]
)
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_an_untrained_network_is_the_plain_one_at_every_level(make, dtype):
  condition = conditional.Condition(4)
  plain, network, x = networks(make, condition, dtype)
  with condition.at(conditional.level_weights([0.0, 1.5, 3.0], 4)):
    outputs = network(x)
  expected = plain(x)
  assert outputs.dtype == expected.dtype
  # Convolutions of bfloat16 round before the activation here, and behind it there.
  tolerance = 1e-5 if dtype == "float32" else 0.03
  error = np.abs(tf.cast(outputs - expected, tf.float32))
  assert error.max() <= tolerance * np.abs(tf.cast(expected, tf.float32)).max()


def test_channels_are_scaled_and_moved_as_each_datum_wants():
  condition = conditional.Condition(3)
  _, network, x = networks(convolutional.analysis_network, condition)
  rng = np.random.default_rng(0)
  for variable in network.variables:
    if "level_" in variable.name:
      variable.assign(rng.normal(0, 0.4, variable.shape))
  qualities = [0.0, 2.0, 1.25]
  with condition.at(conditional.level_weights(qualities, 3)):
    outputs = network(x).numpy()
  convolutions = [layer for layer in network._chain if "level_" not in layer.name]
  affines = [layer for layer in network._chain if "level_" in layer.name]
  for datum, quality in enumerate(qualities):
    low = min(int(quality), 1)
    high = quality - low
    y = x[datum : datum + 1]
    for number, (convolution, affine) in enumerate(zip(convolutions, affines)):
      scale, shift = (
        (1 - high) * table[low] + high * table[low + 1]
        for table in (affine.log_scale.numpy(), affine.shift.numpy())
      )
      y = np.exp(scale) * convolution(y).numpy() + shift
      y = np.maximum(y, 0) if number < 2 else y
    np.testing.assert_allclose(outputs[datum : datum + 1], y, rtol=1e-4, atol=1e-5)


def test_only_the_levels_that_are_used_learn():
  condition = conditional.Condition(3)
  _, network, x = networks(convolutional.analysis_network, condition)
  with (
    tf.GradientTape() as tape,
    condition.at(conditional.level_weights([0.0, 2.0, 2.0], 3)),
  ):
    loss = tf.reduce_sum(network(x) ** 2)
  gradients = tape.gradient(loss, network.trainable_variables)
  for variable, gradient in zip(network.trainable_variables, gradients):
    if "level_" in variable.name:
      moved = np.any(gradient.numpy() != 0, axis=1)
      np.testing.assert_array_equal(moved, [True, False, True])


def test_a_level_is_set_for_a_block_and_a_thread():
  condition = conditional.Condition(2)
  layer = conditional.LevelAffine(condition, None, "level")
  x = tf.ones([1, 2, 2, 1])
  with pytest.raises(ValueError, match="outside of"):
    layer(x)
  seen = []

  def other():
    with pytest.raises(ValueError, match="outside of"):
      condition.select(tf.zeros([2, 1]))
    seen.append(condition.num_levels)

  table = tf.constant([[1.0], [3.0]])
  with condition.at(conditional.level_weights([0.0], 2)):
    with condition.at(conditional.level_weights([0.5], 2)):
      assert condition.select(table).numpy().item() == 2.0
    assert condition.select(table).numpy().item() == 1.0
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
  assert seen == [2]
