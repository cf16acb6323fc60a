"""Conformance cases of scalar maps, flows over the last dimension, and of sequences."""

import tensorflow as tf

from tfafs import testing
from tfafs.bijectors import NonlinearSquared


def nonlinear_squared(dtype):
  return NonlinearSquared(*(tf.Variable(tf.zeros([3], dtype)) for _ in range(5)))


CASES = {
  "nonlinear_squared": testing.BijectorCase(
    nonlinear_squared, event_shape=(), batch_shape=(3,), perturb=0.7
  ),
}
