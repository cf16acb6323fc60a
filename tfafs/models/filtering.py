"""The filtering ELBO, once for every sequential latent variable model.

    log p(x_1:T) >= sum_t E_q[ log p(x_t | x_<t, z_<=t)
                               - log q(z_t | x_<=t, z_<t) / p(z_t | x_<t, z_<t) ]

(paper 000, eq. 19 to 21; paper 004, eq. 2). A model is a `LatentCell`, which holds prior
and posterior of one step, and an emission, a function from what the cell shows of a step
to a distribution over it. If x went through a temporal transform first, the bound is that
of the noise y plus the step's log |det dy/dx|. Sequences are [batch, time, ...].
"""

import abc
import math
from typing import Any, Callable, NamedTuple, Optional

import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.layers.temporal_network import dims

tfd = tfp.distributions

UNROLL_UP_TO = 32
"""Steps that become a graph of so many; longer sequences run in a loop."""


class StepTerms(NamedTuple):
  """What each step adds to the bound, in nats; float [samples, batch, time].

  Attributes:
    reconstruction: log p(y_t | ...) at a sample of the latents.
    kl: Of the posterior from the prior, or log q / p at the sample.
    logdet: log |det dy_t/dx_t| of the transform before the model, 0 without one.
  """

  reconstruction: tf.Tensor
  kl: tf.Tensor
  logdet: tf.Tensor


class Filtered(NamedTuple):
  """A sequence that was filtered.

  Attributes:
    terms: The `StepTerms`.
    latents: [samples, batch, time, ...].
    features: [samples, batch, time, ...], what the emission read.
    state: State of the cell after the last step that is there, its batch samples * batch:
      what `generate` goes on from, however much padding follows.
  """

  terms: StepTerms
  latents: tf.Tensor
  features: tf.Tensor
  state: Any


class Posterior(NamedTuple):
  """Posterior of a step, and the state in which its evidence has been read."""

  distribution: tfd.Distribution
  state: Any


class LatentCell(tf.keras.layers.Layer, abc.ABC):
  """Prior and posterior of a latent variable in time.

  A state is a nest of tensors [batch, ...] that stands for the past: for `prior`, all of
  z_<t and x_<t that it may know.
  """

  @abc.abstractmethod
  def initial_state(self, batch_size):
    """State before the first step."""

  @abc.abstractmethod
  def prior(self, state) -> tfd.Distribution:
    """p(z_t | past), a distribution over one step with batch shape [batch]."""

  @abc.abstractmethod
  def posterior(self, state, evidence) -> Posterior:
    """q(z_t | past, x_t) from `evidence` [batch, ...] of the step."""

  @abc.abstractmethod
  def step(self, state, latent, evidence):
    """State after a step with this latent; `evidence` is None if it is not at hand."""

  def features(self, state, latent):
    """What the emission reads, of the past and z_t: by default the latent alone."""
    del state
    return latent


def filter_sequence(
  cell: LatentCell,
  emission: Callable,
  evidence,
  targets,
  seed,
  logdet=None,
  mask=None,
  num_samples: int = 1,
  analytic_kl: bool = True,
  state=None,
) -> Filtered:
  """Runs the posterior over a sequence and takes the terms of the bound.

  Args:
    cell: The latent variable.
    emission: Function from features [n, time, ...] to a distribution over targets, its
      batch shape [n, time].
    evidence: [batch, time, ...], what the posterior reads of each step.
    targets: [batch, time, ...], what the emission is a distribution of.
    seed: int32 [2].
    logdet: [batch, time], or None for 0.
    mask: Bool [batch, time], or None if all steps are there. Of a step that is not, the
      cell sees no evidence: the latent comes from the prior, the posterior reads nothing,
      `step` gets None for the evidence. All its terms are 0, its targets are not read.
    num_samples: Paths of latents for each datum.
    analytic_kl: Whether `kl` is the divergence in closed form, which has less variance,
      or log q / p at the sample, which `iwae` needs.
    state: State to go on from, its batch num_samples * batch; by default the initial.

  Returns:
    `Filtered`.

  Raises:
    ValueError: For fewer samples than 1, or evidence and targets of different length.
  """
  if num_samples < 1:
    raise ValueError(f"num_samples must be at least 1; got {num_samples}.")
  if not evidence.shape[1:2].is_compatible_with(targets.shape[1:2]):
    raise ValueError(
      "evidence and targets must have the same steps, axis 1; got "
      f"{evidence.shape} and {targets.shape}."
    )
  batch = targets.shape[0] or tf.shape(targets)[0]
  length = targets.shape[1] or tf.shape(targets)[1]
  if mask is not None:
    evidence = tf.where(_expand(mask, evidence), evidence, 0)
    targets = tf.where(_expand(mask, targets), targets, 0)
  if state is None:
    state = cell.initial_state(batch * num_samples)
  inputs = [evidence] if mask is None else [evidence, mask]
  inputs = [_time_first(_repeat(x, num_samples)) for x in inputs]

  def run(t, states):
    # The second is that after the last step that was there.
    state, last = states
    there = None if mask is None else inputs[1][t]
    step_seed = tf.random.experimental.stateless_fold_in(seed, t)
    prior = cell.prior(state)
    posterior, read = cell.posterior(state, inputs[0][t])
    latent = posterior.sample(seed=step_seed)
    if there is not None:
      latent = _choose(there, latent, prior.sample(seed=step_seed))
      read = _choose_all(there, read, state)
    if analytic_kl:
      kl = posterior.kl_divergence(prior)
    else:
      kl = posterior.log_prob(latent) - prior.log_prob(latent)
    # Of the state before the step, as when drawing: `read` knows x_t.
    features = cell.features(state, latent)
    state = cell.step(read, latent, inputs[0][t])
    if there is None:
      return (state, ()), (kl, latent, features)
    state = _choose_all(there, state, cell.step(read, latent, None))
    return (state, _choose_all(there, state, last)), (kl, latent, features)

  # Without a mask each step is the last one, and nothing need be kept.
  states = (state, () if mask is None else state)
  (state, last), (kl, latents, features) = over_time(run, states, length)
  if mask is not None:
    state = last
  kl, latents, features = map(_time_first, (kl, latents, features))
  repeated = _repeat(targets, num_samples)
  reconstruction = emission(features).log_prob(repeated)

  def by_sample(x):
    return tf.reshape(x, [num_samples, batch, *dims(x)[1:]])

  terms = [by_sample(reconstruction), by_sample(kl)]
  if logdet is None:
    terms.append(tf.zeros_like(terms[0]))
  else:
    terms.append(tf.broadcast_to(logdet, tf.shape(terms[0])))
  if mask is not None:
    terms = [tf.where(mask, term, 0) for term in terms]
  return Filtered(StepTerms(*terms), by_sample(latents), by_sample(features), state)


def without_latent(distribution, targets, logdet=None) -> StepTerms:
  """Terms of a model that has no latent variable: one sample, no divergence.

  Args:
    distribution: Over one step, such that `log_prob(targets)` is [batch, time].
    targets: [batch, time, ...].
    logdet: [batch, time], or None for 0.
  """
  log_prob = distribution.log_prob(targets)[tf.newaxis]
  zeros = tf.zeros_like(log_prob)
  return StepTerms(log_prob, zeros, zeros if logdet is None else logdet[tf.newaxis])


class Generated(NamedTuple):
  """A sequence that was drawn.

  Attributes:
    values: [batch, time, ...].
    features: [batch, time, ...], what the emission read.
  """

  values: tf.Tensor
  features: tf.Tensor


def generate(
  cell: LatentCell,
  emission: Callable,
  state,
  num_steps,
  seed,
  temperature=1.0,
  encode: Optional[Callable] = None,
) -> Generated:
  """Draws a sequence from the prior and the emission.

  Args:
    cell: The latent variable.
    emission: As for `filter_sequence`.
    state: State to go on from.
    num_steps: Steps to draw.
    seed: int32 [2].
    temperature: Factor of the deviations from the mean of every draw; 0 takes means.
    encode: Function from a drawn step [batch, ...] to the evidence that `step` reads. If
      None, the cell reads no data, and the emission runs once over all steps.

  Returns:
    `Generated`.
  """

  def run(t, state):
    seeds = tf.random.experimental.stateless_split(
      tf.random.experimental.stateless_fold_in(seed, t), 2
    )
    latent = tempered_sample(cell.prior(state), temperature, seeds[0])
    features = cell.features(state, latent)
    if encode is None:
      return cell.step(state, latent, None), (features,)
    value = emission(features[:, tf.newaxis])
    value = tempered_sample(value, temperature, seeds[1])[:, 0]
    return cell.step(state, latent, encode(value)), (features, value)

  _, (features, *values) = over_time(run, state, num_steps)
  features = _time_first(features)
  if encode is None:
    seed = tf.random.experimental.stateless_fold_in(seed, -1)
    return Generated(tempered_sample(emission(features), temperature, seed), features)
  return Generated(_time_first(values[0]), features)


def tempered_sample(distribution, temperature, seed):
  """Mean + temperature * (sample - mean): a draw at another temperature.

  For a location-scale family that is the family with its scale times `temperature`.
  """
  mean = distribution.mean()
  return mean + temperature * (distribution.sample(seed=seed) - mean)


def scored_steps(length: int, burn_in: int = 0, last: Optional[int] = None):
  """Which steps count: float32 [length], 1 for those that do.

  Args:
    length: Steps.
    burn_in: Steps at the start that are run but not scored.
    last: Of the others, only so many at the end; all by default.

  Raises:
    ValueError: If no step is left.
  """
  first = max(burn_in, 0 if last is None else length - last)
  if first >= length:
    raise ValueError(
      f"burn_in={burn_in} and last={last} leave none of {length} steps to score."
    )
  return tf.cast(tf.range(length) >= first, tf.float32)


def elbo(terms: StepTerms, weights=1.0):
  """The bound of each sequence, [batch]: mean over samples, sum over steps.

  Args:
    terms: `StepTerms`.
    weights: Broadcasts to [batch, time]; 0 for steps that do not count.
  """
  steps = terms.reconstruction - terms.kl + terms.logdet
  return tf.reduce_sum(tf.reduce_mean(steps, 0) * weights, -1)


def iwae(terms: StepTerms, weights=1.0):
  """The importance weighted bound of each sequence, [batch]: tighter than `elbo`.

  log 1/S sum_s exp(log weight of path s) (Burda et al., 2016, eq. 8). The terms must be
  of `analytic_kl=False`: a divergence is no log-weight.
  """
  steps = terms.reconstruction - terms.kl + terms.logdet
  paths = tf.reduce_sum(steps * weights, -1)
  return tf.reduce_logsumexp(paths, 0) - math.log(paths.shape[0])


def loss(terms: StepTerms, weights=1.0, kl_weight=1.0, free_nats: float = 0.0):
  """The objective: negative bound in nats per step, a scalar to minimise.

  Args:
    terms: `StepTerms`.
    weights: Broadcasts to [batch, time]; 0 for steps that do not count.
    kl_weight: Factor of the divergence; see `kl_weight`.
    free_nats: What the divergence of a step, a mean over batch and samples, may cost at
      no price (Kingma et al., 2016, eq. 15, one group for each step).
  """
  weights = tf.broadcast_to(tf.cast(weights, terms.kl.dtype), tf.shape(terms.kl)[1:])
  kl = tf.reduce_mean(terms.kl, 0)
  per_step = tf.reduce_sum(weights, 0)
  mean_kl = tf.math.divide_no_nan(tf.reduce_sum(weights * kl, 0), per_step)
  if free_nats:
    mean_kl = tf.maximum(mean_kl, free_nats)
  likelihood = tf.reduce_mean(terms.reconstruction + terms.logdet, 0)
  total = kl_weight * tf.reduce_sum(per_step * mean_kl)
  total -= tf.reduce_sum(weights * likelihood)
  return total / tf.reduce_sum(weights)


def kl_weight(step, start: float = 1.0, steps: int = 0):
  """Weight of the divergence after `step` updates: linear from `start` to 1.

  Args:
    step: Number of updates done.
    start: Weight at the first.
    steps: Updates until it is 1; with 0 it always is.
  """
  if not steps:
    return tf.constant(1.0)
  done = tf.minimum(tf.cast(step, tf.float32) / steps, 1.0)
  return start + (1.0 - start) * done


def over_time(run, state, length):
  """Runs `run(t, state) -> (state, outputs)`; outputs are stacked, [time, ...]."""
  if isinstance(length, int) and length <= UNROLL_UP_TO:
    rows = []
    for t in range(length):
      state, outputs = run(t, state)
      rows.append(outputs)
    return state, tf.nest.map_structure(lambda *x: tf.stack(x), *rows)
  state, outputs = run(0, state)  # Its outputs say what the others are like.
  arrays = tf.nest.map_structure(
    lambda x: tf.TensorArray(x.dtype, length, element_shape=x.shape).write(0, x),
    outputs,
  )

  def body(t, state, arrays):
    new_state, outputs = run(t, state)
    tf.nest.map_structure(lambda a, b: b.set_shape(a.shape), state, new_state)
    flat = [
      array.write(t, x)
      for array, x in zip(tf.nest.flatten(arrays), tf.nest.flatten(outputs))
    ]
    return t + 1, new_state, tf.nest.pack_sequence_as(arrays, flat)

  _, state, arrays = tf.while_loop(
    lambda t, *_: t < length,
    body,
    (tf.constant(1), state, arrays),
    maximum_iterations=length,
  )
  return state, tf.nest.map_structure(lambda array: array.stack(), arrays)


def _time_first(x):
  """Swaps the first two axes."""
  return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])


def _repeat(x, count):
  """[batch, ...] to [count * batch, ...], sample after sample."""
  return x if count == 1 else tf.tile(x, [count, *[1] * (x.shape.rank - 1)])


def _expand(mask, x):
  """Mask with axes of length 1 up to the rank of x."""
  return tf.reshape(mask, [*dims(mask), *[1] * (x.shape.rank - mask.shape.rank)])


def _choose(there, new, old):
  return tf.where(_expand(there, new), new, old)


def _choose_all(there, new, old):
  return tf.nest.map_structure(lambda a, b: _choose(there, a, b), new, old)
