"""Bijectors for TensorFlow Probability: the invertible maps that the models share."""

from tfafs.bijectors.activation_normalization import ActivationNormalization
from tfafs.bijectors.block_neural_autoregressive import BlockNeuralAutoregressive
from tfafs.bijectors.conditional_chain import ConditionalChain
from tfafs.bijectors.invertible_convolution import InvertibleConvolution
from tfafs.bijectors.masked_autoregressive import MaskedAutoregressive
from tfafs.bijectors.multi_scale import MultiScale
from tfafs.bijectors.nonlinear_squared import NonlinearSquared
from tfafs.bijectors.planar import Planar
from tfafs.bijectors.sequence_flow import SequenceFlow
from tfafs.bijectors.split_coupling import SplitCoupling
from tfafs.bijectors.squeeze import Squeeze
from tfafs.bijectors.sylvester import Sylvester
from tfafs.bijectors.temporal_affine import TemporalAffineAutoregressive
from tfafs.bijectors.temporal_chain import TemporalChain

__all__ = [
  "ActivationNormalization",
  "BlockNeuralAutoregressive",
  "ConditionalChain",
  "InvertibleConvolution",
  "MaskedAutoregressive",
  "MultiScale",
  "NonlinearSquared",
  "Planar",
  "SequenceFlow",
  "SplitCoupling",
  "Squeeze",
  "Sylvester",
  "TemporalAffineAutoregressive",
  "TemporalChain",
]
