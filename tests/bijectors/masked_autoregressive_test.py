"""MaskedAutoregressive against the loop over dimensions, and its errors."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors import MaskedAutoregressive, scalar_maps

tfb, tfd = tfp.bijectors, tfp.distributions


def wild(size, scalar, gain, **options):
  """A bijector far from the identity."""
  tf.keras.utils.set_random_seed(0)
  bijector = MaskedAutoregressive.build(
    size, scalar, hidden_units=(16,), dtype="float64", **options
  )
  for variable in bijector.trainable_variables:
    noise = tf.random.stateless_normal(variable.shape, [1, 2], dtype=tf.float64)
    variable.assign_add(gain * noise)
  return bijector


@pytest.mark.parametrize("scalar", ["affine", "nonlinear_squared"])
@pytest.mark.parametrize("order", ["left_to_right", "right_to_left", [2, 0, 3, 1]])
def test_sampling_is_what_dimension_after_dimension_gives(scalar, order):
  bijector = wild(4, scalar, 0.5, order=order)
  y = tf.constant(np.random.default_rng(0).normal(size=[5, 4]))
  ranks = {"left_to_right": [0, 1, 2, 3], "right_to_left": [3, 2, 1, 0]}
  x = np.zeros([5, 4])
  for i in np.argsort(order if isinstance(order, list) else ranks[order]):
    parameters = bijector.network(tf.constant(x))
    x[:, i] = bijector.scalar.to_data(y, parameters)[:, i]
  np.testing.assert_allclose(bijector.forward(y), x, 1e-10, 1e-10)


def test_agrees_with_tfp():
  bijector = wild(4, "affine", 0.3)

  def shift_and_log_scale(x):
    shift, raw = tf.unstack(bijector.network(x), axis=-1)
    return shift, raw / (1 + tf.abs(raw) / np.log(1e3))

  theirs = tfb.MaskedAutoregressiveFlow(shift_and_log_scale)
  y = tf.constant(np.random.default_rng(0).normal(size=[3, 4]))
  x = theirs.forward(y)
  np.testing.assert_allclose(bijector.forward(y), x, 1e-10, 1e-10)
  np.testing.assert_allclose(
    bijector.inverse_log_det_jacobian(tf.identity(x)),
    theirs.inverse_log_det_jacobian(tf.identity(x)),
    1e-10,
  )


@pytest.mark.parametrize("jit", [False, True])
def test_passes_are_reported_and_few_for_a_tame_flow(jit):
  tame = wild(32, "affine", 0.02)
  y = tf.constant(np.random.default_rng(0).normal(size=[8, 32]))
  run = tf.function(tame.forward_with_passes, jit_compile=jit)
  x, passes = run(y)
  assert 3 <= int(passes) <= 16
  np.testing.assert_allclose(tame.inverse(x), y, 1e-9, 1e-9)
  _, passes = wild(5, "affine", 3.0).forward_with_passes(y[:, :5])
  assert int(passes) <= 5


def test_scales_stay_bounded_whatever_the_network_says():
  bijector = wild(3, "affine", 1e4)
  x = tf.constant(np.random.default_rng(0).normal(size=[9, 3]))
  log_det = bijector.inverse_log_det_jacobian(x)
  assert np.all(np.abs(log_det) <= 3 * np.log(1e3))


def test_one_dimension_is_a_scalar_map_of_the_context():
  bijector = wild(1, "affine", 0.5, context_size=2)
  context = tf.constant(np.random.default_rng(0).normal(size=[6, 2]))
  y = tf.zeros([6, 1], tf.float64)
  x = bijector.forward(y, context=context)
  assert np.std(x) > 0.01
  np.testing.assert_allclose(
    bijector.inverse(tf.identity(x), context=context), y, 0, 1e-12
  )


def test_a_context_brings_its_batch():
  bijector = wild(3, "affine", 0.5, context_size=2)
  y = tf.zeros([3], tf.float64)
  context = tf.constant(np.random.default_rng(0).normal(size=[4, 2]))
  assert bijector.forward(y, context=context).shape == [4, 3]
  assert bijector.inverse(y, context=context).shape == [4, 3]
  assert bijector.inverse_log_det_jacobian(y, context=context).shape == [4]


def test_errors_name_the_remedy():
  conditional = MaskedAutoregressive.build(3, context_size=2)
  plain = MaskedAutoregressive.build(3)
  y = tf.zeros([3])
  with pytest.raises(ValueError, match="needs one: give context="):
    conditional.forward(y)
  with pytest.raises(ValueError, match="takes none"):
    plain.forward(y, context=tf.zeros([2]))
  with pytest.raises(ValueError, match=r"context must have shape \[\.\.\., 2\]"):
    conditional.forward(y, context=tf.zeros([3]))
  with pytest.raises(ValueError, match="last dimension must be 3"):
    plain.inverse(tf.zeros([4]))
  with pytest.raises(ValueError, match="make the network with parameters=5"):
    MaskedAutoregressive(plain.network, "nonlinear_squared")
  with pytest.raises(ValueError, match="scalar must be one of"):
    MaskedAutoregressive.build(3, "spline")
  with pytest.raises(ValueError, match="order must be"):
    MaskedAutoregressive.build(3, order=[0, 0, 1])
  with pytest.raises(ValueError, match="alpha must lie inside"):
    scalar_maps.NonlinearSquaredMap(alpha=1.5)
