"""Conformance cases of scalar maps, flows over the last dimension, and of sequences."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs import testing
from tfafs.bijectors import (
  ConditionalChain,
  MaskedAutoregressive,
  NonlinearSquared,
  SequenceFlow,
  SplitCoupling,
)

tfb = tfp.bijectors

SIZE, CONTEXT = 3, 2
OPTIONS = {"event_size": SIZE, "hidden_units": (8,), "context_size": CONTEXT}


def nonlinear_squared(dtype):
  return NonlinearSquared(*(tf.Variable(tf.zeros([3], dtype)) for _ in range(5)))


def context(batch_shape, dtype, seed):
  shape = (*batch_shape, CONTEXT)
  return {"context": tf.random.stateless_normal(shape, [seed, 1], dtype=dtype)}


def over_last_dimension(family, scalar, mask, order="left_to_right", skip=None):
  return testing.BijectorCase(
    lambda dtype: family.build(**OPTIONS, scalar=scalar, order=order, dtype=dtype),
    event_shape=(SIZE,),
    kwargs=context,
    jacobian_mask=mask,
    perturb=0.3,
    skip=skip or {},
  )


def chain(dtype):
  """Layers that are conditioned, one that is not, one inverted."""
  options = {**OPTIONS, "dtype": dtype}
  return ConditionalChain(
    [
      SplitCoupling.build(**options),
      tfb.Permute([2, 0, 1]),
      tfb.Invert(SplitCoupling.build(**options, order="right_to_left")),
    ]
  )


def sequences(time, hidden, scalar, **options):
  """Three frames of two values: of the second sequence, the last one is not there."""
  options = {**options, "layers": 1, "hidden_units": (4,), "units": 4, "lstm_layers": 1}
  return testing.BijectorCase(
    lambda dtype: SequenceFlow.build(2, time, hidden, scalar, **options, dtype=dtype),
    event_shape=(3, 2),
    unknown_shape=(None, None, 2),
    kwargs=sequence_arguments if "context_size" in options else no_arguments,
    # Frame t of the data depends on the noise up to t.
    jacobian_mask=np.kron(np.tril(np.ones([3, 3])), np.ones([2, 2])),
    perturb=0.3,
    skip={"vectorized_map": "holds, but takes half a minute to trace: loops in a loop"},
  )


def no_arguments(batch_shape, dtype, seed):
  return {}


def sequence_arguments(batch_shape, dtype, seed):
  shape = (*batch_shape, 3, 1)
  context = tf.random.stateless_normal(shape, [seed, 2], dtype=dtype)
  last = tf.random.stateless_uniform(batch_shape, [seed, 3]) < 0.5
  return {"context": context, "mask": tf.stack([last | True, last | True, last], -1)}


LOWER = np.tril(np.ones([SIZE, SIZE]))
# The last one of three passes, the others read it.
COUPLING = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 1]])

CASES = {
  "nonlinear_squared": testing.BijectorCase(
    nonlinear_squared, event_shape=(), batch_shape=(3,), perturb=0.7
  ),
  "masked_autoregressive_affine": over_last_dimension(
    MaskedAutoregressive, "affine", LOWER
  ),
  "masked_autoregressive_nonlinear_squared": over_last_dimension(
    MaskedAutoregressive,
    "nonlinear_squared",
    LOWER.T,
    "right_to_left",
    skip={"vectorized_map": "holds, and is slow to trace; see the affine one"},
  ),
  "split_coupling_affine": over_last_dimension(
    SplitCoupling, "affine", COUPLING, "right_to_left"
  ),
  "conditional_chain": testing.BijectorCase(
    chain, event_shape=(SIZE,), kwargs=context, perturb=0.3
  ),
  "sequence_af_af": sequences(
    "autoregressive", "autoregressive", "affine", max_length=3
  ),
  "sequence_af_scf": sequences(
    "autoregressive", "split_coupling", "affine", context_size=1
  ),
  "sequence_iaf_scf": sequences(
    "inverse_autoregressive", "split_coupling", "affine", context_size=1, max_length=3
  ),
}
