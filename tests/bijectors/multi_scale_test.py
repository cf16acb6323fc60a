"""MultiScale and Glow: its latents, what is kept beside them, its start."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors import multi_scale
from tfafs.layers.act_norm import data_dependent_start

tfd = tfp.distributions


def make(levels=3, depth=1, channels=1, dtype="float64"):
  tf.keras.utils.set_random_seed(0)
  flow = multi_scale.glow(channels, levels, depth, width=3, dtype=dtype)
  for i, variable in enumerate(flow.trainable_variables):
    noise = tf.random.stateless_normal(variable.shape, [i, 1], dtype=variable.dtype)
    variable.assign_add(0.1 * noise)
  return flow


def images(shape, seed=0):
  return tf.random.stateless_normal(shape, [seed, 3], dtype=tf.float64)


def test_shapes():
  """Those of VideoFlow on 64 x 64 in colour."""
  flow = multi_scale.glow(3, 3, depth=0)
  shapes = flow.inverse_event_shape([64, 64, 3])
  assert [tuple(s) for s in shapes] == [(32, 32, 6), (16, 16, 12), (8, 8, 48)]
  assert flow.forward_event_shape(shapes) == [64, 64, 3]
  tensors = flow.inverse_event_shape_tensor([64, 64, 3])
  np.testing.assert_array_equal(np.stack(tensors), shapes)
  np.testing.assert_array_equal(flow.forward_event_shape_tensor(tensors), [64, 64, 3])


def test_latents_and_what_is_kept():
  flow = make()
  x = images([2, 3, 8, 8, 1])
  scales = flow.split(x)
  for z, expected in zip(flow.inverse(x), scales.latents):
    np.testing.assert_array_equal(z, expected)
  log_det = flow.inverse_log_det_jacobian(x, event_ndims=3)
  assert log_det.shape == [2, 3]
  np.testing.assert_array_equal(scales.log_det, log_det)
  seen = {}

  def latent(level, kept):
    seen[level] = kept
    return scales.latents[level]

  np.testing.assert_allclose(flow.merge(latent), x, 1e-9, 1e-9)
  assert list(seen) == [2, 1, 0] and seen[2] is None and scales.kept[2] is None
  for level in (0, 1):
    np.testing.assert_allclose(seen[level], scales.kept[level], 1e-9, 1e-9)
  back = flow.forward_log_det_jacobian(list(scales.latents), event_ndims=[3, 3, 3])
  np.testing.assert_allclose(back, -log_det, 1e-9)


def test_without_steps_it_is_a_permutation():
  layout = multi_scale.glow(1, 2, depth=0)
  x = tf.reshape(tf.range(16.0), [1, 4, 4, 1])
  fine, coarse = layout.inverse(x)
  # Of each block of 2 x 2 the lower row is fine, the upper row goes on.
  np.testing.assert_array_equal(fine[0, :, :, 0], [[4, 6], [12, 14]])
  np.testing.assert_array_equal(coarse[0, 0, 0], [0, 2, 8, 10, 1, 3, 9, 11])
  np.testing.assert_array_equal(layout.forward([fine, coarse]), x)
  np.testing.assert_array_equal(layout.inverse_log_det_jacobian(x, 3), [0])


def test_in_a_distribution():
  """Over a joint distribution of the latents, as TFP composes them."""
  flow = make(levels=2)
  shapes = flow.inverse_event_shape([8, 8, 1])
  zeros = [tf.zeros(shape, tf.float64) for shape in shapes]
  base = tfd.JointDistributionSequential(
    [tfd.Independent(tfd.Normal(zero, 2.0), 3) for zero in zeros]
  )
  density = tfd.TransformedDistribution(base, flow)
  assert density.event_shape == [8, 8, 1]
  x = density.sample(3, seed=(1, 2))
  assert x.shape == [3, 8, 8, 1]
  latents = flow.inverse(tf.identity(x))
  expected = base.log_prob(latents) + flow.split(x).log_det
  np.testing.assert_allclose(density.log_prob(tf.identity(x)), expected, 1e-9)


def test_start_normalises_what_enters_each_step():
  tf.keras.utils.set_random_seed(0)
  flow = multi_scale.glow(1, 2, depth=2, width=3)
  x = 5 + 3 * tf.random.stateless_normal([8, 8, 8, 1], [0, 1])
  with data_dependent_start():
    flow.inverse(x)
  h = tf.identity(x)
  for level in flow.levels:
    for part in level.bijectors:
      h = part.inverse(h)
      if "activation" in part.name:
        np.testing.assert_allclose(np.mean(h, (0, 1, 2)), 0, atol=1e-4)
        np.testing.assert_allclose(np.std(h, (0, 1, 2)), 1, atol=1e-3)
    # The coupling starts by scaling its half by sigmoid(2).
    half = h.shape[-1] // 2
    h = h[..., :half]


def test_refusals():
  with pytest.raises(ValueError, match="cannot divide 3 pixels"):
    make(levels=2).split(images([1, 6, 8, 1]))
  with pytest.raises(ValueError, match="levels must be at least 1; got 0"):
    multi_scale.glow(1, 0)
  with pytest.raises(ValueError, match="depth must be at least 0; got -1"):
    multi_scale.glow(1, 2, -1)
  with pytest.raises(ValueError, match="levels must be one bijector at least"):
    multi_scale.MultiScale([])
