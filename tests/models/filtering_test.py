"""The filtering bound against Kalman filters in float64 NumPy.

z_t = a z_t-1 + N(0, q), x_t = c z_t + N(0, r), z_0 = 0.
"""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.models import filtering

tfd = tfp.distributions
A, Q, C, R = 0.9, 0.7, 1.3, 0.4
FLOAT = tf.float64


def log_normal(x, mean, variance):
  return -0.5 * ((x - mean) ** 2 / variance + np.log(2 * np.pi * variance))


def data(batch=3, length=8, seed=0):
  random = np.random.default_rng(seed)
  z, rows = np.zeros(batch), []
  for _ in range(length):
    z = A * z + np.sqrt(Q) * random.normal(size=batch)
    rows.append(C * z + np.sqrt(R) * random.normal(size=batch))
  return np.stack(rows, 1)


def kalman(x, present=None):
  """log p(x_t | x_<t) [batch, time], 0 where there is no x_t."""
  mean, variance = np.zeros(len(x)), np.zeros(len(x))
  rows = []
  for t in range(x.shape[1]):
    mean, variance = A * mean, A**2 * variance + Q
    there = np.ones(len(x), bool) if present is None else present[:, t]
    seen = C**2 * variance + R
    rows.append(np.where(there, log_normal(x[:, t], C * mean, seen), 0.0))
    gain = np.where(there, variance * C / seen, 0.0)
    mean = mean + gain * np.where(there, x[:, t] - C * mean, 0.0)
    variance = (1 - gain * C) * variance
  return np.stack(rows, 1)


def normal(mean, variance):
  return tfd.Normal(mean, tf.sqrt(tf.cast(variance, FLOAT)))


def update(mean, variance, x):
  """Mean and variance of z given x = c z + noise."""
  gain = variance * C / (C**2 * variance + R)
  return mean + gain * (x - C * mean), (1 - gain * C) * variance


class Belief(filtering.LatentCell):
  """Its state is the Kalman filter's belief: the latent is marginalised, not carried.

  Then posterior and prior are those of z_t given the data alone, and log p - log q + log
  p(x | z) is log p(x_t | x_<t) at every z: the bound is tight, step by step.
  """

  def initial_state(self, batch_size):
    return tf.zeros([batch_size], FLOAT), tf.fill([batch_size], tf.constant(Q, FLOAT))

  def prior(self, state):
    return normal(*state)

  def posterior(self, state, evidence):
    belief = update(*state, evidence)
    return filtering.Posterior(normal(*belief), belief)

  def step(self, state, latent, evidence):
    return A * state[0], A**2 * state[1] + Q


class ReadingBelief(Belief):
  """The same, but it is `step` that puts the data into the state, not `posterior`."""

  def posterior(self, state, evidence):
    return filtering.Posterior(normal(*update(*state, evidence)), state)

  def step(self, state, latent, evidence):
    belief = state if evidence is None else update(*state, evidence)
    return super().step(belief, latent, evidence)


class Path(filtering.LatentCell):
  """Its state is z_t-1, as in paper 000: q(z_t | z_t-1, x_t), exact but for `error`."""

  def __init__(self, error=0.0):
    super().__init__(dtype=FLOAT)
    self.error = error

  def initial_state(self, batch_size):
    return tf.zeros([batch_size], FLOAT)

  def prior(self, state):
    return normal(A * state, Q)

  def posterior(self, state, evidence):
    mean, variance = update(A * state, Q, evidence)
    return filtering.Posterior(normal(mean + self.error, variance), state)

  def step(self, state, latent, evidence):
    return latent


def emission(features):
  return tfd.Normal(C * features, tf.sqrt(tf.constant(R, FLOAT)))


def run(cell, x, seed=(0, 1), **options):
  x = tf.constant(x, FLOAT)
  return filtering.filter_sequence(cell, emission, x, x, seed, **options).terms


def test_bound_is_tight_where_the_posterior_is_that_of_the_filter():
  x = data()
  terms = run(Belief(), x, num_samples=2, analytic_kl=False)
  assert terms.kl.shape == [2, 3, 8]
  per_step = terms.reconstruction - terms.kl + terms.logdet
  np.testing.assert_allclose(per_step, [kalman(x)] * 2, 1e-10)
  np.testing.assert_allclose(filtering.elbo(terms), kalman(x).sum(1), 1e-10)
  np.testing.assert_allclose(filtering.iwae(terms), kalman(x).sum(1), 1e-10)
  analytic = run(Belief(), x, num_samples=20_000)
  np.testing.assert_allclose(filtering.elbo(analytic), kalman(x).sum(1), atol=0.05)


def test_what_the_emission_reads_of_the_state_knows_no_data_of_the_step():
  class Predicting(Belief):
    def features(self, state, latent):
      return state[0]

  x = data()
  mean, variance, expected = np.zeros(3), Q, []
  for t in range(x.shape[1]):
    expected.append(log_normal(x[:, t], C * mean, R))
    gain = variance * C / (C**2 * variance + R)
    mean = A * (mean + gain * (x[:, t] - C * mean))
    variance = A**2 * (1 - gain * C) * variance + Q
  terms = run(Predicting(), x)
  np.testing.assert_allclose(terms.reconstruction[0], np.stack(expected, 1), 1e-10)


def test_bound_of_a_carried_latent_has_its_closed_form_and_is_below():
  """sum_t E_q(z_t-1) log N(x_t; c a z_t-1, c^2 q + r), q Gaussian by recursion."""
  x = data()
  mean, variance, expected = np.zeros(3), 0.0, 0.0
  for t in range(x.shape[1]):
    predicted = C**2 * Q + R
    expected += log_normal(x[:, t], C * A * mean, predicted)
    expected -= 0.5 * (C * A) ** 2 * variance / predicted
    new_mean, new_variance = update(A * mean, Q, x[:, t])
    slope = A * (1 - Q * C / predicted * C)
    mean, variance = new_mean, slope**2 * variance + new_variance
  terms = run(Path(), x, num_samples=20_000)
  np.testing.assert_allclose(filtering.elbo(terms), expected, atol=0.05)
  assert np.all(expected < kalman(x).sum(1) - 0.05)
  worse = filtering.elbo(run(Path(error=0.3), x, num_samples=5000))
  assert np.all(worse < expected - 0.1)


def test_importance_weights_tighten_the_bound():
  x = data()
  bounds = []
  for samples in (1, 10, 5000):
    repeats = 5000 // samples
    terms = run(
      Path(), np.tile(x, [repeats, 1]), num_samples=samples, analytic_kl=False
    )
    bounds.append(np.mean(np.reshape(filtering.iwae(terms), [repeats, 3]), 0))
  assert np.all(np.diff(bounds, axis=0) > 0)
  np.testing.assert_allclose(bounds[-1], kalman(x).sum(1), atol=0.05)


@pytest.mark.parametrize("cell", [Belief(), ReadingBelief()])
@pytest.mark.parametrize("length", [6, filtering.UNROLL_UP_TO + 3])
def test_masked_steps_are_marginalised_and_padding_changes_nothing(length, cell):
  x = data(length=length)
  present = np.random.default_rng(1).random(x.shape) < 0.6
  hidden = np.where(present, x, np.nan)
  terms = run(cell, hidden, mask=tf.constant(present), analytic_kl=False)
  per_step = (terms.reconstruction - terms.kl)[0]
  np.testing.assert_allclose(per_step, kalman(x, present), 1e-10)
  longer = np.concatenate([hidden, np.full([3, 2], np.nan)], 1)
  mask = tf.constant(np.concatenate([present, np.zeros([3, 2], bool)], 1))
  padded = run(cell, longer, mask=mask, analytic_kl=False)
  np.testing.assert_allclose(filtering.elbo(padded), filtering.elbo(terms), 1e-12)


@pytest.mark.parametrize("cell", [Belief(), ReadingBelief()])
@pytest.mark.parametrize("padding", [3, filtering.UNROLL_UP_TO])
def test_the_state_is_that_after_the_last_step_that_is_there(cell, padding):
  """Of sequences of different length in one batch, one of them with a gap, one empty."""
  x = data(length=5)
  lengths = (5, 3, 0)
  mask = np.arange(5 + padding) < np.array(lengths)[:, None]
  mask[0, 2] = False
  padded = tf.constant(np.pad(x, [(0, 0), (0, padding)], constant_values=np.nan))

  def state(x, mask):
    mask = tf.constant(mask)
    return filtering.filter_sequence(cell, emission, x, x, (0, 1), mask=mask).state

  together = state(padded, mask)
  for i, length in enumerate(lengths):
    expected = cell.initial_state(1)
    if length:
      part = tf.constant(x[i : i + 1, :length])
      expected = state(part, mask[i : i + 1, :length])
    for one, other in zip(together, expected):
      np.testing.assert_allclose(one[i], other[0], 1e-12)
  # The gap moves the belief on: its state is not that of the other four in a row.
  four = tf.constant(np.delete(x[:1], 2, 1))
  assert abs(together[0][0] - state(four, np.ones([1, 4], bool))[0][0]) > 1e-3


def test_loop_and_long_graph_are_the_same_with_gradients(monkeypatch):
  x = tf.constant(data(length=5), FLOAT)
  results = []
  for limit in (0, 32):
    monkeypatch.setattr(filtering, "UNROLL_UP_TO", limit)
    with tf.GradientTape() as tape:
      tape.watch(x)
      filtered = filtering.filter_sequence(Path(), emission, x, x, (3, 4))
      bound = filtering.elbo(filtered.terms)
    results.append((*filtered.terms, filtered.state, tape.gradient(bound, x)))
  for one, other in zip(*results):
    np.testing.assert_allclose(one, other, 1e-12)


def test_a_transform_adds_its_log_determinant():
  """y = 2 x: the bound of x is that of y plus log 2 for each step."""
  x = data()
  terms = run(Belief(), x, logdet=tf.fill([3, 8], tf.constant(np.log(2.0))))
  plain = run(Belief(), x)
  np.testing.assert_allclose(
    filtering.elbo(terms), filtering.elbo(plain) + 8 * np.log(2), 1e-10
  )


def test_an_infinite_log_determinant_stays_what_it_is():
  """Where the emission is infinite too: of the two no NaN is made."""
  x = data(batch=1, length=2)
  logdet = tf.constant([[np.inf, 1.0]], FLOAT)
  terms = run(Belief(), x, logdet=logdet, num_samples=2)
  np.testing.assert_array_equal(terms.logdet, [logdet] * 2)
  far = run(Belief(), np.full_like(x, 1e200), logdet=tf.zeros([1, 2], FLOAT))
  assert np.all(np.isinf(far.reconstruction))
  np.testing.assert_array_equal(far.logdet, 0)


def test_samples_have_the_moments_of_the_model():
  state = Path().initial_state(4000)
  values = filtering.generate(Path(), emission, state, 4, (5, 6)).values
  covariance = np.cov(np.transpose(values))
  z, expected = 0.0, []
  for _ in range(4):
    z = A**2 * z + Q
    expected.append(C**2 * z + R)
  np.testing.assert_allclose(np.diag(covariance), expected, rtol=0.1)
  np.testing.assert_allclose(covariance[0, 1], A * C**2 * Q, rtol=0.2)
  cold = filtering.generate(Path(), emission, state, 4, (5, 6), temperature=0.0)
  np.testing.assert_array_equal(cold.values, 0)
  # A cell whose steps read the data: the belief after a draw is the filter's.
  reading = Belief()
  reading.step = lambda state, latent, x: Belief.step(
    reading, update(*state, x), latent, x
  )
  state = reading.initial_state(4000)
  drawn = filtering.generate(reading, emission, state, 4, (5, 6), encode=tf.identity)
  np.testing.assert_allclose(
    np.diag(np.cov(np.transpose(drawn.values))), expected, rtol=0.1
  )


def test_objective():
  kl = tf.constant([[[1.0, 5.0], [2.0, 7.0]]])
  terms = filtering.StepTerms(tf.fill([1, 2, 2], -10.0), kl, tf.ones([1, 2, 2]))
  np.testing.assert_allclose(filtering.loss(terms), 9 + 15 / 4)
  np.testing.assert_allclose(-filtering.elbo(terms), [18 + 6, 18 + 9])
  last = filtering.scored_steps(2, last=1)
  np.testing.assert_allclose(filtering.loss(terms, last), 9 + 6)
  # The first step's mean divergence, 1.5, is raised to 3.
  np.testing.assert_allclose(filtering.loss(terms, free_nats=3.0), 9 + (3 + 6) / 2)
  np.testing.assert_allclose(filtering.loss(terms, kl_weight=0.5), 9 + 15 / 8)
  # One step of one sequence is missing.
  weights = tf.constant([[1.0, 1.0], [1.0, 0.0]])
  np.testing.assert_allclose(filtering.loss(terms, weights), 9 + (1 + 2 + 5) / 3)
  weights = [float(filtering.kl_weight(step, 0.2, 4)) for step in (0, 2, 4, 9)]
  np.testing.assert_allclose(weights, [0.2, 0.6, 1.0, 1.0])
  np.testing.assert_array_equal(filtering.scored_steps(5, 1, last=2), [0, 0, 0, 1, 1])
  np.testing.assert_array_equal(filtering.scored_steps(5, 4, last=2), [0, 0, 0, 0, 1])


def test_what_cannot_be():
  x = tf.zeros([2, 3], FLOAT)
  with pytest.raises(ValueError, match="num_samples must be at least 1; got 0"):
    run(Path(), x, num_samples=0)
  with pytest.raises(ValueError, match="must have the same steps"):
    filtering.filter_sequence(Path(), emission, x[:, 1:], x, (0, 1))
  with pytest.raises(ValueError, match="leave none of 3 steps"):
    filtering.scored_steps(3, burn_in=3)
