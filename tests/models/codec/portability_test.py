"""Streams between processes that compute differently: the same symbols, nearly the frames.

Two configurations here; benchmarks/portability.py runs all 24 on a trained codec.
"""

import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfafs.models import registry

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "benchmarks"))

import portability


def make_frames():
  rng = np.random.default_rng(0)
  image = np.kron(rng.integers(0, 256, [7, 9, 3]), np.ones([8, 8, 1])).astype(np.uint8)
  return [image[t : t + 45, t : t + 67] for t in range(4)]


@pytest.fixture(params=["stat_ssf_sp", "ssf_tp of variable rate"])
def codec(request, tiny_codec):
  """Its index reads the motion; or the frame before, and a level of quality."""
  if request.param == "stat_ssf_sp":
    return tiny_codec
  config = registry.load_config("ssf_tp", "tiny")
  config.model.variable_rate = True
  tf.keras.utils.set_random_seed(0)
  model = registry.build(config)
  for i, variable in enumerate(model.inter.trainable_variables):
    if "kernel" in variable.name:
      noise = tf.random.stateless_normal(variable.shape, [i, 0])
      variable.assign_add(0.03 * noise)
  return model


def test_both_ways_between_a_graph_and_xla_without_onednn(codec):
  frames = make_frames()
  answers = portability.measure(codec, codec.config, frames, 2, portability.QUICK)
  summary = portability.summarise(answers)
  assert summary["pairs"] == 4
  assert summary["pairs_with_other_symbols"] == 0
  assert summary["long_with_other_symbols"] == 0
  assert summary["long_frames"] == 4
  assert summary["long_largest_difference"] <= 1


def test_one_index_off_by_one_is_found(tiny_codec):
  """What this folder's other test must not find is found where it is."""
  fixed = portability.fix(tiny_codec)
  frames, size = make_frames()[:2], (45, 67)
  coded = portability.Coder(tiny_codec, fixed, "eager").encode(frames)
  same = portability.Coder(tiny_codec, fixed, "eager")
  assert portability.judge(same, coded, size)["frames_with_other_symbols"] == 0
  tables, integers = fixed[0]  # Of intra frames.
  *layers, last = integers.layers
  bias = last.bias.copy()
  bias[0] += 1.0 / last.step[0]
  integers = integers._replace(layers=[*layers, last._replace(bias=bias)])
  other = [(tables, integers), *fixed[1:]]
  row = portability.judge(portability.Coder(tiny_codec, other, "eager"), coded, size)
  assert row.get("error") or row["first"] == 0
