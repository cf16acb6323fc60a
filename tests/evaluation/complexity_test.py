"""Multiplications and parameters against a count by hand."""

import numpy as np
import tensorflow as tf

from tfafs.evaluation import complexity
from tfafs.models import registry


def mac(kernel, inputs, outputs, *strides):
  """Multiplications per pixel of a layer whose smaller side is at a stride."""
  return kernel**2 * inputs * outputs / np.prod(strides) ** 2


def analysis(inputs):
  """Of the tiny config's four layers of stride 2, at each the smaller resolution."""
  return mac(5, inputs, 8, 2) + mac(5, 8, 8, 4) + mac(5, 8, 8, 8) + mac(5, 8, 12, 16)


def synthesis(inputs, outputs):
  return (
    mac(5, inputs, 8, 16) + mac(5, 8, 8, 8) + mac(5, 8, 8, 4) + mac(5, 8, outputs, 2)
  )


# Of a latent of 12 channels at stride 16; hyper-latent of 8 channels at strides 32, 64.
HYPER_ANALYSIS = mac(3, 12, 8, 16) + mac(5, 8, 8, 32) + mac(5, 8, 8, 64)
CLIMB = mac(5, 8, 8, 64) + mac(5, 8, 8, 32)
PLAIN = 2 * (CLIMB + mac(3, 8, 12, 16))  # Mean and index network.


def test_multiplications_are_those_of_a_count_by_hand():
  config = registry.load_config("ssf_tp", "tiny")
  model = registry.build(config)
  cost = complexity.count(model)
  np.testing.assert_allclose(
    1000 * cost.intra, analysis(3) + synthesis(12, 3) + HYPER_ANALYSIS + PLAIN
  )
  # TP: the hyper-latent climbs, then two 3x3 layers read it beside v_{t-1}.
  temporal = 2 * (CLIMB + mac(3, 8 + 12, 8, 16) + mac(3, 8, 12, 16))
  decoder = synthesis(12, 3) + synthesis(24, 3) + PLAIN + temporal
  # Blurs of 7 taps along both axes of 3 channels, and of the ones that normalise them.
  blurs = sum(2 * 7 * (3 + 1) / 4**level for level in range(5))
  np.testing.assert_allclose(1000 * cost.inter_decoder, decoder + blurs, rtol=1e-6)
  encoder = analysis(8) + analysis(3) + 2 * HYPER_ANALYSIS
  np.testing.assert_allclose(1000 * cost.inter, decoder + blurs + encoder, rtol=1e-6)
  assert cost.parameters == sum(int(tf.size(v)) for v in model.trainable_variables)
  assert complexity.table(["tat"], "tiny").count("\n") == 2


def test_a_transposed_convolution_multiplies_each_of_its_inputs():
  layer = tf.keras.layers.Conv2DTranspose(5, 3, 2, "same")
  costs = complexity.multiplications(layer, tf.TensorSpec([2, 7, 6, 4], tf.float32))
  assert list(costs.values()) == [2 * 7 * 6 * 3 * 3 * 4 * 5]
