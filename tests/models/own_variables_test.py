"""Weights files of the models that have weights in bijectors: nothing is lost."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.models import registry
from tfafs.models.video import variants

NAMES = (*variants.VARIANTS, *variants.VIDEOFLOW, "bnaf")


def build(name, seed, **fields):
  tf.keras.utils.set_random_seed(seed)
  config = registry.load_config(name, "tiny")
  config.update_from_flattened_dict(fields)
  return registry.build(config)


@pytest.mark.parametrize("name", NAMES)
def test_a_weights_file_holds_every_variable(name, tmp_path):
  model, other = build(name, 0), build(name, 0)
  path = str(tmp_path / "model.weights.h5")
  for i, variable in enumerate(model.variables):
    variable.assign_add(tf.random.stateless_uniform(variable.shape, [i, 1], 1, 2))
  model.save_weights(path)
  before = [variable.numpy() for variable in other.variables]
  other.load_weights(path)
  assert len(before) == len(model.variables) > 0
  for new, old, start in zip(other.variables, model.variables, before):
    np.testing.assert_array_equal(new, old)
    assert np.all(new != start), new.name


def test_what_is_no_file_of_this_model_is_refused(tmp_path):
  model = build("videoflow", 0)
  path = str(tmp_path / "model.weights.h5")
  model.save_weights(path)
  more = build("videoflow_af", 0)
  with pytest.raises(ValueError, match="of its model; videoflow_af has"):
    more.load_weights(path)
  wider = build("videoflow", 0, **{"model.glow.width": 5})
  before = [variable.numpy() for variable in wider.variables]
  with pytest.raises(ValueError, match=r"with shape \(.*; of videoflow it has"):
    wider.load_weights(path)
  for variable, old in zip(wider.variables, before):
    np.testing.assert_array_equal(variable, old)
  for name in ("model.h5", "model.keras"):
    with pytest.raises(ValueError, match=r"ends in \.weights\.h5"):
      model.save_weights(str(tmp_path / name))
    with pytest.raises(ValueError, match=r"ends in \.weights\.h5"):
      model.load_weights(str(tmp_path / name))
  assert [path.name for path in tmp_path.iterdir()] == ["model.weights.h5"]
