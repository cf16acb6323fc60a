"""Fixed points of autoregressive maps: values, numbers of passes, gradients."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.bijectors import fixed_point


def coupled(strength, size=6):
  """noise, weights, step with step(x)_i depending on x_<i."""
  rng = np.random.default_rng(0)
  noise = tf.Variable(rng.normal(size=[4, size]))
  weights = tf.Variable(strength * np.triu(rng.normal(size=[size, size]), 1))
  mask = np.triu(np.ones([size, size]), 1)
  return noise, weights, lambda x: noise + tf.sin(tf.linalg.matmul(x, weights * mask))


def sequential(noise, step):
  """One dimension after the other."""
  x = tf.zeros_like(noise)
  for i in range(noise.shape[-1]):
    x = tf.concat([x[:, :i], step(x)[:, i : i + 1], tf.zeros_like(x)[:, i + 1 :]], -1)
  return x


@pytest.mark.parametrize("strength", [0.01, 3.0])
def test_value_and_gradients_are_those_of_the_sequential_way(strength):
  noise, weights, step = coupled(strength)
  with tf.GradientTape(persistent=True) as tape:
    found = fixed_point.solve(step, tf.zeros_like(noise), 6)
    expected = sequential(noise, step)
    losses = [tf.reduce_sum(tf.cos(x)) for x in (found.value, expected)]
  np.testing.assert_allclose(found.value, expected, 1e-12, 1e-12)
  for variable in (noise, weights):
    actual, desired = (tape.gradient(loss, variable) for loss in losses)
    np.testing.assert_allclose(actual, desired, 1e-9, 1e-11)


def test_it_stops_when_nothing_moves_and_after_d_passes_at_most():
  calls = []

  def passes(strength):
    noise, _, step = coupled(strength)
    calls.clear()
    result = fixed_point.solve(
      lambda x: calls.append(0) or step(x), tf.zeros_like(noise), 6
    )
    assert len(calls) == int(result.passes)
    return int(result.passes)

  # One finds it, one sees that nothing moves, one is recorded for gradients.
  assert passes(0.0) == 3
  assert 3 < passes(1e-8) < 6
  assert passes(3.0) == 6


def test_gradients_are_right_where_the_first_guess_was():
  """From the solution itself nothing moves: what was iterated knows no derivative."""
  weights = tf.constant([[0.0, 2.0, 1.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]], tf.float64)
  noise = tf.Variable(np.zeros([1, 3]))
  with tf.GradientTape() as tape:
    found = fixed_point.solve(
      lambda x: noise + tf.linalg.matmul(x, weights), tf.zeros_like(noise), 3
    )
    total = tf.reduce_sum(found.value * [[0.0, 0.0, 1.0]])
  assert int(found.passes) == 2
  np.testing.assert_allclose(tape.gradient(total, noise), [[7.0, 3.0, 1.0]])


@pytest.mark.parametrize("graph", [False, True])
def test_second_derivatives_are_refused_and_not_wrong(graph):
  noise, weights, step = coupled(1.0)

  def second():
    with tf.GradientTape() as outer:
      with tf.GradientTape() as inner:
        total = tf.reduce_sum(fixed_point.solve(step, tf.zeros_like(noise), 6).value)
      gradient = inner.gradient(total, noise)
    return outer.gradient(gradient, weights)

  with pytest.raises(NotImplementedError, match="first-order gradients only"):
    tf.function(second)() if graph else second()


def test_what_is_not_a_number_ends_the_iteration():
  found = fixed_point.solve(lambda x: x * np.nan, tf.zeros([2]), 100)
  assert int(found.passes) == 2
