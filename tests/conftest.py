"""Fixtures that several packages' tests share."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest


@pytest.fixture(scope="session")
def tiny_codec():
  """An untrained stat_ssf_sp of size tiny whose latents and motion are not zero."""
  return make_tiny_codec("stat_ssf_sp")


def make_tiny_codec(name, variable_rate=False):
  """Such a codec of another name, of those that warp through scale space."""
  import numpy as np
  import tensorflow as tf

  from tfafs.models import registry
  from tfafs.models.codec import transforms

  tf.keras.utils.set_random_seed(1)
  config = registry.load_config(name, "tiny")
  config.model.variable_rate = variable_rate
  model = registry.build(config)
  for variable in model.trainable_variables:
    if "kernel" in variable.name:
      seed = [len(variable.shape), int(tf.size(variable))]
      variable.assign(0.08 * tf.random.stateless_normal(variable.shape, seed))
  head = model.inter.transform.trainable_variables[-2]
  # Flows of pixels, gains that differ.
  unit = transforms.FLOW_UNIT
  rest = [1] * (head.shape[-2] - 2)
  head.assign(20.0 * head / np.reshape([unit, unit, *rest], [-1, 1]))
  return model


@pytest.fixture(scope="session")
def tiny_saved_model(tiny_codec, tmp_path_factory):
  """Path of the SavedModel of `tiny_codec`."""
  path = tmp_path_factory.mktemp("tiny") / "saved_model"
  tiny_codec.export_codec(path, steps=0)
  return path
