"""B-NAF, planar and Sylvester flows, for the conformance test."""

import numpy as np
import tensorflow as tf

from tfafs import testing
from tfafs.bijectors import presets
from tfafs.bijectors.block_neural_autoregressive import BlockNeuralAutoregressive
from tfafs.layers.block_masked import BlockAutoregressiveNetwork

LOWER = np.tril(np.ones([2, 2], bool))


def network(dtype, **options):
  return BlockAutoregressiveNetwork(2, (3,), dtype=dtype, **options)


def modulation(batch_shape, dtype, seed):
  size = network(dtype).modulation_size
  shape = [*batch_shape, size]
  return {"modulation": 0.3 * tf.random.stateless_normal(shape, [seed, 6], dtype=dtype)}


CASES = {
  "bnaf": testing.BijectorCase(
    lambda dtype: BlockNeuralAutoregressive(network(dtype)), (2,), jacobian_mask=LOWER
  ),
  "bnaf_amortised": testing.BijectorCase(
    lambda dtype: BlockNeuralAutoregressive(network(dtype, residual="gated")),
    (2,),
    kwargs=modulation,
    jacobian_mask=LOWER,
  ),
  "planar": testing.BijectorCase(
    lambda dtype: presets.planar_flow(3, num_flows=1, dtype=dtype), (3,)
  ),
  "sylvester": testing.BijectorCase(
    lambda dtype: presets.sylvester_flow(3, num_flows=1, num_directions=2, dtype=dtype),
    (3,),
  ),
}
