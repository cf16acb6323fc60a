"""Stacks of temporal transforms: contexts by level, and TFP's own chain."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors.temporal_affine import TemporalAffineAutoregressive
from tfafs.bijectors.temporal_chain import TemporalChain
from tfafs.layers import temporal_networks as networks

tfb = tfp.bijectors
F64 = tf.float64


def level(kind, i, **options):
  options = {"head_initializer": "glorot_normal", "dtype": F64, **options}
  if kind == "dense":
    network = networks.DenseTemporalNetwork(
      [2], hidden_units=[5], activation="tanh", **options
    )
  else:
    network = networks.RecurrentTemporalNetwork([2], units=[3], **options)
  return TemporalAffineAutoregressive(network, min_scale=0.5, name=f"level_{i}")


def normal(*shape, seed=0):
  return tf.random.stateless_normal(shape, [seed, 0], dtype=F64)


@pytest.fixture(params=["dense dense", "dense dense dense", "lstm dense", "dense lstm"])
def chain(request):
  kinds = request.param.split()
  return TemporalChain([level(kind, i) for i, kind in enumerate(kinds)])


@pytest.mark.parametrize("k", [1, 3, 4, 6, 8])
def test_context_is_the_beginning_of_a_longer_event(chain, k):
  x = normal(2, 10, 2)
  whole, total = chain.inverse(x), chain.inverse_log_det_jacobian(x)
  first = chain.inverse_log_det_jacobian(x[:, :k])
  event, context = x[:, k:], x[:, :k]
  rest = chain.inverse(event, context=context)
  np.testing.assert_allclose(rest, whole[:, k:], 1e-12, 1e-12)
  log_det = chain.inverse_log_det_jacobian(event, context=context)
  np.testing.assert_allclose(first + log_det, total, 1e-12)
  again = chain.forward(tf.identity(rest), context=context)
  np.testing.assert_allclose(again, event, 1e-11, 1e-11)


def test_is_tfps_chain_with_the_contexts_of_its_levels(chain):
  other = tfb.Chain(list(chain.levels))
  x = normal(2, 4, 2)
  np.testing.assert_allclose(chain.inverse(x), other.inverse(x), 1e-12)
  context, lengths = normal(2, 5, 2, seed=1), tf.constant([4, 2])
  kwargs = {
    one.name: {"context": past, "lengths": lengths}
    for one, past in zip(chain.levels, chain.level_contexts(context))
  }
  own = {"context": context, "lengths": lengths}
  y = other.inverse(x, **kwargs)
  np.testing.assert_allclose(chain.inverse(x, **own), y, 1e-12)
  np.testing.assert_allclose(
    chain.inverse_log_det_jacobian(x, **own),
    other.inverse_log_det_jacobian(x, event_ndims=2, **kwargs),
    1e-12,
  )
  y = tf.identity(y)
  np.testing.assert_allclose(chain.forward(y, **own), other.forward(y, **kwargs), 1e-12)


def test_the_first_frame_reads_three_frames_a_level():
  """2-AF reads 6 frames of context, and none before them (paper 000)."""
  chain = TemporalChain([level("dense", 0), level("dense", 1)])
  context = tf.Variable(normal(8, 2))
  with tf.GradientTape() as tape:
    loss = tf.reduce_sum(chain.inverse(normal(1, 2, seed=1), context=context) ** 2)
  gradient = np.abs(tape.gradient(loss, context)).max(-1)
  np.testing.assert_array_equal(gradient > 0, [False] * 2 + [True] * 6)
  contexts = chain.level_contexts(context)
  assert [c.shape[0] for c in contexts] == [8, 3]


def test_reads_context_of_unknown_length():
  chain = TemporalChain([level("dense", 0), level("dense", 1)])
  x = normal(2, 10, 2)
  spec = tf.TensorSpec([None, None, 2], F64)
  inverse = tf.function(
    lambda x, context: chain.inverse(x, context=context), input_signature=[spec, spec]
  )
  whole = chain.inverse(x)
  for k in (0, 2, 7):
    np.testing.assert_allclose(inverse(x[:, k:], x[:, :k]), whole[:, k:], 1e-12, 1e-12)


def test_conditions_reach_every_network():
  chain = TemporalChain([level("dense", i, conditional_size=3) for i in range(2)])
  x, condition = normal(2, 4, 2), tf.Variable(normal(2, 3))
  with tf.GradientTape() as tape:
    y = chain.inverse(x, conditional_input=condition, context=normal(2, 4, 2, seed=1))
  assert np.abs(tape.gradient(y, condition)).max() > 0
  with pytest.raises(ValueError, match="conditional_input must be given"):
    chain.inverse(x)


def test_wrong_levels_are_named():
  with pytest.raises(ValueError, match="at least one"):
    TemporalChain([])
  with pytest.raises(ValueError, match="got Exp"):
    TemporalChain([level("dense", 0), tfb.Exp()])
  pictures = networks.ConvolutionalTemporalNetwork(1, filters=2)
  with pytest.raises(ValueError, match=r"one event_ndims; got \[2, 4\]"):
    TemporalChain([level("dense", 0), TemporalAffineAutoregressive(pictures)])
