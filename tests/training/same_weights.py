"""Comparison of two runs' last checkpoints."""

import numpy as np
import tensorflow as tf


def compare(folder, names=("run", "whole"), step=6) -> int:
  """Asserts equal weights and slots of the optimizer; returns how many there are."""
  one, other = (
    tf.train.load_checkpoint(str(folder / name / "checkpoints" / f"ckpt-{step}"))
    for name in names
  )
  compared = 0
  for name in one.get_variable_to_shape_map():
    if name.startswith(("model/", "optimizer/")) and one.has_tensor(name):
      np.testing.assert_array_equal(one.get_tensor(name), other.get_tensor(name), name)
      compared += 1
  return compared
