"""The parts of Glow, for the conformance test."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfafs import testing
from tfafs.bijectors import (
  ActivationNormalization,
  InvertibleConvolution,
  MultiScale,
  SplitCoupling,
  Squeeze,
)
from tfafs.layers.coupling_networks import ConvolutionalCouplingNetwork

tfb = tfp.bijectors


def make_coupling(dtype, half=1):
  network = ConvolutionalCouplingNetwork(half, half, 2, width=3, dtype=dtype)
  return SplitCoupling(network, range(half), "sigmoid_affine")


def make_squeeze(dtype):
  """Between a squeeze and its undoing something that has weights."""
  scale = tfb.Scale(tf.Variable(tf.ones([4], dtype)))
  return tfb.Chain([tfb.Invert(Squeeze()), scale, Squeeze()])


def make_multi_scale(dtype):
  """Latents of two levels from a vector, and the image as a vector."""
  levels = [
    tfb.Chain([tfb.Invert(Squeeze()), InvertibleConvolution.build(4, dtype)]),
    tfb.Chain(
      [
        tfb.Invert(Squeeze()),
        InvertibleConvolution.build(8, dtype),
        make_coupling(dtype, 4),
      ]
    ),
  ]
  shapes = [(2, 2, 2), (1, 1, 8)]
  latents = tfb.JointMap([tfb.Reshape(shape, [8]) for shape in shapes])
  flow = MultiScale(levels, dtype)
  return tfb.Chain([tfb.Reshape([16], [4, 4, 1]), flow, latents, tfb.Split(2)])


CASES = {
  "activation_normalization": testing.BijectorCase(
    lambda dtype: ActivationNormalization.build(3, dtype), (3,)
  ),
  "invertible_convolution": testing.BijectorCase(
    lambda dtype: InvertibleConvolution.build(3, dtype), (3,)
  ),
  "convolutional_coupling": testing.BijectorCase(
    make_coupling, (2, 3, 2), unknown_shape=(None, None, None, 2)
  ),
  "squeeze": testing.BijectorCase(make_squeeze, (2, 4, 1)),
  "multi_scale": testing.BijectorCase(make_multi_scale, (16,)),
}
