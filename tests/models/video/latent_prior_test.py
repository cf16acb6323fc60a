"""The prior of a level: where it starts, and that flows on it are what they say."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors import TemporalAffineAutoregressive
from tfafs.models.video.latent_prior import LatentPrior

tfd = tfp.distributions


def make(flow_width=None, kept=2, seed=0):
  tf.keras.utils.set_random_seed(seed)
  return LatentPrior(2, kept, 4, blocks=1, width=3, flow_width=flow_width)


def move(layer, amount=0.2):
  for i, variable in enumerate(layer.trainable_variables):
    variable.assign_add(amount * tf.random.stateless_normal(variable.shape, [i, 1]))


def latents(count, seed=0, batch=2):
  return tf.random.stateless_normal([batch, count, 4, 4, 2], [seed, 2])


def test_starts_at_the_last_latent():
  beside = latents(3, 1)
  for prior, kept in (
    (make(), beside),
    (make(flow_width=3), beside),
    (make(flow_width=3, kept=0), None),
  ):
    shift, log_scale = prior(latents(5), kept)
    np.testing.assert_array_equal(shift, latents(5)[:, 2:])
    np.testing.assert_array_equal(log_scale, tf.zeros_like(shift))
    first = prior.without_past(kept, latents(3))
    np.testing.assert_array_equal(first.shift, tf.zeros([2, 3, 4, 4, 2]))
    np.testing.assert_array_equal(first.log_scale, tf.zeros([2, 3, 4, 4, 2]))


def test_in_float64_too():
  prior = LatentPrior(2, 2, 4, blocks=1, width=3, flow_width=3, dtype="float64")
  assert {v.dtype for v in prior.variables} == {tf.float64}
  single = make(flow_width=3)
  move(single)
  for target, source in zip(prior.variables, single.variables):
    target.assign(tf.cast(source, tf.float64))
  past, kept = latents(5), latents(3, 1)
  double = prior(tf.cast(past, tf.float64), tf.cast(kept, tf.float64))
  for value, expected in zip(single(past, kept), double):
    assert expected.dtype == tf.float64
    np.testing.assert_allclose(value, expected, 1e-4, 1e-5)


def test_a_flow_that_is_zero_leaves_a_trained_prior_as_it_was():
  plain, flow = make(), make(flow_width=3)
  move(plain)
  for old, new in ((plain.base, flow.base), (plain._without_past, flow._without_past)):
    new.set_weights(old.get_weights())
  past, kept = latents(5), latents(3, 1)
  expected = plain(past, kept)
  assert np.std(expected.log_scale) > 0.1
  for one, other in zip(flow(past, kept), expected):
    np.testing.assert_allclose(one, other, 1e-5, 1e-6)


def test_the_flow_is_a_temporal_transform():
  """log p(z) by TFP: a Gaussian of u, through the library's own bijector."""
  prior = make(flow_width=3)
  move(prior)
  z, kept = latents(6), latents(3, 1)
  shift, log_scale = prior(z[:, :-1], kept)
  actual = tfd.Normal(shift, tf.exp(log_scale)).log_prob(z[:, 3:])
  transform = TemporalAffineAutoregressive(prior.flow, max_scale=None)
  assert transform.window == 3 and transform.event_ndims == 4
  condition = prior.without_past(kept, z[:, 3:]).shift
  mean, log_deviation = prior.base(z[:, :-1], condition)
  base = tfd.Independent(tfd.Normal(mean, tf.exp(log_deviation)), 4)
  density = tfd.TransformedDistribution(base, transform)
  expected = density.log_prob(z[:, 3:], bijector_kwargs={"context": z[:, :3]})
  np.testing.assert_allclose(tf.reduce_sum(actual, [1, 2, 3, 4]), expected, 1e-4)
  # And VideoFlow's own skip is that transform with a network that says nothing.
  prior.flow.set_weights([np.zeros_like(w) for w in prior.flow.get_weights()])
  u = transform.inverse(z[:, 3:], context=z[:, :3])
  np.testing.assert_allclose(u, z[:, 3:] - z[:, 2:-1], 1e-5, 1e-6)
