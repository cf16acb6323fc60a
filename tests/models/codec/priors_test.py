"""Priors: their rates against scipy, what each branch reads, sizes."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tfafs.layers import scale_table
from tfafs.models import registry
from tfafs.models.codec import priors


@pytest.fixture(scope="module")
def hyper():
  return registry.load_config("stat_ssf_sp", "tiny").model.hyper


def stir(prior):
  """Gives weight to all kernels; before training the last ones are zero."""
  for i, variable in enumerate(prior.trainable_variables):
    if "kernel" in variable.name:
      noise = tf.random.stateless_normal(variable.shape, [i, 0])
      variable.assign_add(0.03 * noise)


@pytest.fixture(scope="module")
def plain(hyper):
  prior = priors.Hyperprior(6, hyper, "float32", "plain")
  prior(tf.zeros([1, 4, 4, 6]))
  stir(prior)
  return prior


def context_of(coded):
  """What a prior reads of another latent (SP)."""
  return priors.Context((coded.hyper_symbols,), (coded.symbols,), (coded.value,))


@pytest.fixture(scope="module")
def structured(hyper, plain):
  prior = priors.Hyperprior(6, hyper, "float32", "structured", (True, True))
  prior(tf.zeros([1, 4, 4, 6]), context_of(plain(tf.zeros([1, 4, 4, 6]))))
  stir(prior)
  return prior


def latents(*shape, seed=0):
  return tf.constant(np.random.default_rng(seed).normal(size=shape), tf.float32)


def test_rate_is_the_probability_of_a_unit_bin_of_a_normal(plain):
  coded = plain(latents(2, 5, 3, 6))
  scale = np.geomspace(0.11, 256, 64)[coded.index.numpy().astype(int)]
  symbols = coded.symbols.numpy().astype(np.float64)
  upper, lower = (-np.abs(symbols) + d for d in (0.5, -0.5))
  mass = stats.norm.cdf(upper / scale) - stats.norm.cdf(lower / scale)
  expected = -np.log2(mass).sum((1, 2, 3))
  np.testing.assert_allclose(coded.bits, expected, rtol=1e-4)


def test_an_untrained_prior_has_the_scales_it_is_given(hyper):
  scales = np.array([0.0, 0.5, 1.0, 3.0, 40.0, 1e4])
  prior = priors.Hyperprior(6, hyper, "float32", "given", start_scales=scales)
  got = scale_table.scale_of_index(prior(latents(1, 4, 4, 6)).index)
  expected = np.clip(scales, priors.MIN_START, scale_table.MAX_SCALE)
  np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), rtol=0.07)


def test_symbols_and_indices_are_integers_in_range(plain):
  coded = plain(20 * latents(1, 7, 9, 6))
  for integers in (coded.symbols, coded.index, coded.hyper_symbols):
    np.testing.assert_array_equal(integers, np.round(integers))
  assert coded.index.numpy().min() >= 0
  assert coded.index.numpy().max() < scale_table.NUM_SCALES


def test_value_is_within_half_a_step_of_the_latent(plain):
  latent = latents(1, 6, 6, 6)
  error = np.abs(plain(latent).value - latent)
  assert error.max() <= priors.STEP / 2 + 1e-6


def test_training_rate_depends_on_the_seed_alone(plain):
  latent = latents(1, 4, 4, 6)
  first, again, other = (plain(latent, seed=tf.constant([7, s])) for s in (1, 1, 2))
  np.testing.assert_array_equal(first.bits, again.bits)
  assert first.bits != other.bits
  np.testing.assert_array_equal(first.value, other.value)


def test_training_rate_is_an_upper_bound_near_the_exact_rate(plain):
  latent = latents(1, 16, 16, 6)
  exact = float(plain(latent).bits[0])
  noisy = np.mean(
    [float(plain(latent, seed=tf.constant([0, s])).bits[0]) for s in range(8)]
  )
  assert 0.9 * exact < noisy < 1.5 * exact + 10


def test_index_reads_integer_symbols_and_not_the_float_value(plain, structured):
  """What makes an exact index branch possible: the float latent never reaches it."""
  context = plain(latents(1, 5, 4, 6, seed=1))
  hyper_symbols = tf.round(3 * latents(1, 2, 1, 8, seed=2))
  size = tf.constant([5, 4])
  mean, index = structured.parameters(hyper_symbols, size, context_of(context))
  moved = context._replace(value=context.value + 0.3)
  moved_mean, same_index = structured.parameters(hyper_symbols, size, context_of(moved))
  np.testing.assert_array_equal(index, same_index)
  assert np.abs(moved_mean - mean).max() > 1e-4
  other = context._replace(symbols=context.symbols + 40.0)
  assert np.any(
    structured.parameters(hyper_symbols, size, context_of(other))[1] != index
  )


def test_structured_prior_reads_the_other_hyper_latent(plain, structured):
  context = plain(latents(1, 4, 4, 6, seed=1))
  hyper_symbols, size = tf.zeros([1, 1, 1, 8]), tf.constant([4, 4])
  mean, _ = structured.parameters(hyper_symbols, size, context_of(context))
  other = context._replace(hyper_symbols=context.hyper_symbols + 20.0)
  assert (
    np.abs(
      structured.parameters(hyper_symbols, size, context_of(other))[0] - mean
    ).max()
    > 1e-4
  )


def test_structured_prior_without_context_says_so(structured):
  with pytest.raises(ValueError, match="conditioned on"):
    structured(tf.zeros([1, 4, 4, 6]))


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 6), (13, 4)])
def test_hyper_size_is_that_of_the_analysis(plain, size):
  coded = plain(tf.zeros([1, *size, 6]))
  assert tuple(plain.hyper_size(tf.constant(size))) == coded.hyper_symbols.shape[1:3]
  assert coded.index.shape == coded.symbols.shape == [1, *size, 6]


def test_gradients_reach_every_variable(plain, structured):
  latent = latents(2, 8, 8, 6)
  variables = plain.trainable_variables + structured.trainable_variables
  with tf.GradientTape() as tape:
    context = plain(latent, seed=tf.constant([0, 0]))
    coded = structured(latent, context_of(context), seed=tf.constant([0, 1]))
    loss = tf.reduce_sum(
      coded.bits + coded.hyper_bits + context.bits + context.hyper_bits
    )
    loss += tf.reduce_sum(coded.value**2 + context.value**2)
  missing = [
    v.name
    for v, g in zip(variables, tape.gradient(loss, variables))
    if g is None or not np.any(g)
  ]
  assert not missing
