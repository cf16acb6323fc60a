"""Rounding with useful gradients, and the stateless noise that stands for it."""

import tensorflow as tf
import tensorflow_compression as tfc

round_straight_through = tfc.round_st


def clip_straight_through(x, low, high):
  """Clips `x` to [low, high]; outside, only gradients that lead back inside pass."""
  x = tfc.lower_bound(x, low, gradient="identity_if_towards")
  return tfc.upper_bound(x, high, gradient="identity_if_towards")


def uniform_noise_like(x, seed):
  """Noise in [-1/2, 1/2) of the shape of `x`, a function of `seed` (int32 [2]) alone."""
  return tf.random.stateless_uniform(tf.shape(x), seed, -0.5, 0.5, x.dtype)


def to_levels(image):
  """Rounds an image in [0, 1] to the levels 0 to 255 of a file; float, no gradient.

  A codec's reference frames go through here in training and in coding alike, so that
  the decoder's reference is the encoder's.
  """
  return tf.round(tf.clip_by_value(image, 0.0, 1.0) * 255.0)
