"""The datasets that training sees."""

import ml_collections
import numpy as np
import pytest
import tensorflow as tf

from tfafs.coding.video_writer import open_writer
from tfafs.datasets import make_dataset
from tfafs.datasets.synthetic import synthetic_example


@pytest.fixture
def config(tmp_path):
  random = np.random.default_rng(0)
  for name, size in (
    ("a.mkv", (9, 40, 52)),
    ("frames", (6, 36, 44)),
    ("c.y4m", (5, 33, 37)),
  ):
    with open_writer(tmp_path / name, size[2], size[1]) as writer:
      for _ in range(size[0]):
        writer.write(random.integers(0, 256, (*size[1:], 3)).astype(np.uint8))
  return ml_collections.ConfigDict(
    {
      "dataset": "video",
      "path": str(tmp_path),
      "raw_size": "",
      "frame_interval": 2,
      "temporal_reversal": True,
      "pan": 1,
      "downscale": 2,
      "cache_dir": str(tmp_path / "cache"),
      "color_matrix": "",
    }
  )


@pytest.mark.parametrize("name", ["synthetic", "video"])
def test_batches_have_static_shapes_and_a_resumed_run_sees_the_same(config, name):
  config.dataset = name
  dataset = make_dataset(config, 3, 2, 16, seed=5)
  assert dataset.element_spec == tf.TensorSpec((3, 2, 16, 16, 3), tf.float32)
  batches = list(dataset.take(4).as_numpy_iterator())
  for batch in batches:
    assert batch.min() >= 0
    assert batch.max() <= 1
    np.testing.assert_allclose(batch * 255, np.rint(batch * 255), atol=1e-4)
  assert not np.array_equal(batches[0], batches[1])
  resumed = make_dataset(config, 3, 2, 16, start_index=6, seed=5)
  for batch, expected in zip(resumed.take(2).as_numpy_iterator(), batches[2:]):
    np.testing.assert_array_equal(batch, expected)
  other = next(make_dataset(config, 3, 2, 16, seed=6).as_numpy_iterator())
  assert not np.array_equal(other, batches[0])


def test_examples_do_not_depend_on_the_size_of_the_batch(config):
  one = next(make_dataset(config, 4, 2, 16).as_numpy_iterator())
  two = np.concatenate(list(make_dataset(config, 2, 2, 16).take(2).as_numpy_iterator()))
  np.testing.assert_array_equal(one, two)


def test_synthetic_examples_in_order(config):
  config.dataset = "synthetic"
  batch = next(
    make_dataset(config, 2, 2, 24, start_index=3, seed=1).as_numpy_iterator()
  )
  for example, index in zip(batch, (3, 4)):
    expected = synthetic_example(1, index, 2, 24, 24).numpy()
    difference = np.abs(np.rint(255 * example) - np.rint(255 * expected))
    assert difference.max() <= 1
    assert difference.mean() < 1e-3


def test_errors(config):
  config.dataset = "vimeo"
  with pytest.raises(
    ValueError, match=r"data\.dataset must be one of synthetic, video"
  ):
    make_dataset(config, 2, 2, 16)
  config.dataset = "video"
  with pytest.raises(ValueError, match=r"c\.y4m has 18x16 pixels after downscaling"):
    make_dataset(config, 2, 2, 17)
  with pytest.raises(ValueError, match=r"c\.y4m has 5 frames"):
    make_dataset(config, 2, 6, 16)
  for key in ("batch_size", "num_frames", "crop_size"):
    arguments = {"batch_size": 2, "num_frames": 2, "crop_size": 16, key: 0}
    with pytest.raises(ValueError, match=f"{key} must be at least 1, not 0"):
      make_dataset(config, **arguments)
  for key in ("start_index", "seed"):
    with pytest.raises(ValueError, match=f"{key} must be at least 0, not -1"):
      make_dataset(config, 2, 2, 16, **{key: -1})
