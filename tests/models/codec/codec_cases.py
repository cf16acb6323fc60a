"""Tiny codecs of every kind whose parts all speak, and a clip for them."""

import numpy as np
import tensorflow as tf

from tfafs.models import registry


def clip():
  """Seven frames of 21x37, a moving coarse picture; uint8."""
  rng = np.random.default_rng(0)
  coarse = rng.integers(96, 160, [5, 8, 3])
  image = np.kron(coarse, np.ones([8, 8, 1])).astype(np.uint8)
  return np.stack([image[t : t + 21, 2 * t : 2 * t + 37] for t in range(7)])


def stir(variables, amount):
  for i, variable in enumerate(variables):
    if "kernel" in variable.name:
      noise = tf.random.stateless_normal(variable.shape, [i, 0])
      variable.assign_add(amount * noise)


def build(name, volume="pyramid", exact_index=True):
  """A codec of size tiny whose parts all speak; without what takes long to trace."""
  config = registry.load_config(name, "tiny")
  config.model.motion_search, config.model.scale_space.num_levels = False, 2
  config.model.scale_space.volume = volume
  config.model.hyper.exact_index = exact_index
  tf.keras.utils.set_random_seed(0)
  model = registry.build(config)
  # Heads that start at zero, and hyper-latents that start at nothing.
  for prior in (model.intra.prior, *model.inter.prior_of.values()):
    last = prior._analysis.layers[-1]
    last.kernel.assign(10.0 * last.kernel)
    last.bias.assign(4.0 * tf.random.stateless_normal(last.bias.shape, [0, 0]))
    stir([*prior._mean.trainable_variables, *prior._index.trainable_variables], 0.03)
  stir(model.inter.transform.trainable_variables, 0.02)
  return model
