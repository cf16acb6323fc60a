"""The table of scales that a latent's entropy model chooses from.

A prior does not give a standard deviation but an index into 64 log-spaced ones, rounded
before the rate is taken and before anything is coded: what is trained is what is written,
and the decoder needs to agree on small integers only.
"""

import math

import numpy as np
import tensorflow as tf

NUM_SCALES = 64
MIN_SCALE = 0.11
MAX_SCALE = 256.0

_STEP = (math.log(MAX_SCALE) - math.log(MIN_SCALE)) / (NUM_SCALES - 1)


def scale_of_index(index):
  """Standard deviation of table entry `index` (any float shape, values in [0, 63])."""
  return tf.exp(math.log(MIN_SCALE) + _STEP * index)


def index_of_scale(scale):
  """Inverse of `scale_of_index`, not rounded, for scales of at least 0 (NumPy)."""
  return (np.log(np.maximum(scale, MIN_SCALE)) - math.log(MIN_SCALE)) / _STEP


def index_of_ratio(log_ratio):
  """How many entries lie between two scales, from the logarithm of their ratio."""
  return log_ratio / _STEP
