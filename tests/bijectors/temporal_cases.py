"""Temporal autoregressive transforms, for the conformance test."""

import numpy as np
import tensorflow as tf

from tfafs import testing
from tfafs.bijectors.temporal_affine import TemporalAffineAutoregressive
from tfafs.bijectors.temporal_chain import TemporalChain
from tfafs.layers import temporal_networks as networks


def causal(steps, size):
  """Frames depend on the noise of frames before, and value by value on their own."""
  before = np.tril(np.ones([steps, steps], bool), -1)
  return np.kron(before, np.ones([size, size], bool)) | np.eye(steps * size, dtype=bool)


def context(frames, *frame_shape):
  def kwargs(batch_shape, dtype, seed):
    shape = [*batch_shape, frames, *frame_shape]
    return {"context": tf.random.stateless_normal(shape, [seed, 3], dtype=dtype)}

  return kwargs


def lengths_and_condition(batch_shape, dtype, seed):
  lengths = tf.random.stateless_uniform(batch_shape, [seed, 4], 1, 5, tf.int32)
  condition = tf.random.stateless_normal([*batch_shape, 2], [seed, 5], dtype=dtype)
  return {"lengths": lengths, "conditional_input": condition}


def dense(dtype, **options):
  return networks.DenseTemporalNetwork(
    [2], hidden_units=[4], activation="tanh", dtype=dtype, **options
  )


def make_dense(dtype):
  return TemporalAffineAutoregressive(dense(dtype, conditional_size=2))


def make_convolutional(dtype):
  network = networks.ConvolutionalTemporalNetwork(
    1,
    filters=2,
    encoder_layers=1,
    fusion_layers=1,
    predict_change=True,
    dtype=dtype,
  )
  return TemporalAffineAutoregressive(network)


def make_chain(dtype):
  network = networks.RecurrentTemporalNetwork(
    [2], units=[3], predict_change=True, dtype=dtype
  )
  start = tf.Variable(tf.ones([2], dtype), name="start")
  upper = TemporalAffineAutoregressive(network, start=start, name="upper")
  return TemporalChain([TemporalAffineAutoregressive(dense(dtype, window=2)), upper])


CASES = {
  "temporal_dense": testing.BijectorCase(
    make_dense,
    (4, 2),
    kwargs=lengths_and_condition,
    unknown_shape=(None, None, 2),
    jacobian_mask=causal(4, 2),
  ),
  "temporal_convolutional": testing.BijectorCase(
    make_convolutional,
    (3, 2, 2, 1),
    unknown_shape=(None, None, None, None, 1),
    jacobian_mask=causal(3, 4),
  ),
  "temporal_chain": testing.BijectorCase(
    make_chain,
    (4, 2),
    kwargs=context(2, 2),
    unknown_shape=(None, None, 2),
    jacobian_mask=causal(4, 2),
  ),
}
