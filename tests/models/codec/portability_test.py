"""Streams between processes that compute differently: the same symbols, nearly the frames.

Two configurations here; benchmarks/portability.py runs all 24 on a trained codec.
"""

import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / "benchmarks"))

import portability


def test_both_ways_between_a_graph_and_xla_without_onednn(tiny_codec):
  rng = np.random.default_rng(0)
  image = np.kron(rng.integers(0, 256, [7, 9, 3]), np.ones([8, 8, 1])).astype(np.uint8)
  frames = [image[t : t + 45, t : t + 67] for t in range(4)]
  answers = portability.measure(
    tiny_codec, tiny_codec.config, frames, 2, portability.QUICK
  )
  summary = portability.summarise(answers)
  assert summary["pairs"] == 4
  assert summary["pairs_with_other_symbols"] == 0
  assert summary["long_with_other_symbols"] == 0
  assert summary["long_frames"] == 4
  assert summary["long_largest_difference"] <= 1
