"""Data sets of TFDS and the builder of KTH, on small files in their own formats."""

import pathlib

import av
import numpy as np
import pytest

from tfafs.datasets import clips
from tfafs.models import registry

tfds = pytest.importorskip("tensorflow_datasets", reason="TFDS is not installed")

LIST = """
   Which frames show which person's action: a header that is no list

person01_boxing_d1\t\tframes\t1-8, 9-20
person11_boxing_d1\t\tframes\t1-10, 11-20
person22_walking_d2\tframes\t5-14
"""


def data(name, path, cache, **fields):
  config = registry.load_config("af1", "tiny").data
  config.update(dataset=name, path=str(path), cache_dir=str(cache), **fields)
  return config


def write_avi(path, frames):
  """MPEG-4 in AVI, 160x120 at 25 frames per second; frame t has the grey 10 t."""
  path.parent.mkdir(exist_ok=True)
  with av.open(str(path), "w") as container:
    stream = container.add_stream("mpeg4", rate=25)
    stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
    stream.bit_rate = 2_000_000
    for t in range(frames):
      picture = np.full([120, 160, 3], 10 * t, np.uint8)
      for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")):
        container.mux(packet)
    for packet in stream.encode():
      container.mux(packet)


def test_kth(tmp_path):
  manual = tmp_path / "manual"
  manual.mkdir()
  (manual / "00sequences.txt").write_text(LIST)
  for name in ("boxing/person01_boxing_d1", "boxing/person11_boxing_d1"):
    write_avi(manual / f"{name}_uncomp.avi", 20)
  config = data("kth", tmp_path / "tfds", tmp_path / "cache", fit="stretch")
  with pytest.raises(ValueError, match="holds no prepared kth"):
    clips.open_source(config, 5, "train")
  for folder in ("nowhere", "manual/boxing"):
    config.manual_dir = str(tmp_path / folder)
    with pytest.raises(ValueError, match=rf"{folder} holds no 00sequences\.txt\. Unpa"):
      clips.open_source(config, 5, "train")
  config.manual_dir = str(manual)
  with pytest.raises(ValueError, match=r"person22_walking_d2_uncomp\.avi is missing"):
    clips.open_source(config, 5, "train")
  write_avi(manual / "walking/person22_walking_d2_uncomp.avi", 13)
  with pytest.raises(ValueError, match=r"d2_uncomp\.avi has 13 frames; .* wants 5-14"):
    clips.open_source(config, 5, "train")
  write_avi(manual / "walking/person22_walking_d2_uncomp.avi", 20)
  train, test = (clips.open_source(config, 5, s) for s in ("train", "test"))
  assert (train.num_clips, test.num_clips) == (2, 1)
  firsts = {int(train(i)[0, 3, 3, 0]) for i in range(200)}
  expected = [10 * t for t in [*range(6), *range(10, 16)]]
  np.testing.assert_allclose(sorted(firsts), expected, atol=3)
  clip = test.evaluation(0)
  assert clip.shape == (5, 16, 16, 1)
  np.testing.assert_allclose(np.diff(clip[:, 5, 5, 0].astype(int)), 10, atol=4)
  # The second time from what was prepared and cached.
  config.manual_dir = ""
  np.testing.assert_array_equal(
    clips.open_source(config, 5, "test").evaluation(0), clip
  )
  from tfafs.datasets import kth

  builder = kth.Kth(data_dir=str(tmp_path / "tfds"))
  assert builder.info.splits["validation"].num_examples == 1 + 1
  (example,) = tfds.as_numpy(builder.as_dataset(split="test"))
  assert example["video"].shape == (10, 120, 160, 1)
  assert (example["person"], example["scenario"]) == (22, 2)
  assert kth.ACTIONS[example["action"]] == "walking"


def write_prepared(name, folder, examples):
  """Writes examples as `tfds build` does."""
  builder = tfds.builder(name, data_dir=str(folder))
  pathlib.Path(builder.data_dir).mkdir(parents=True)
  writer = tfds.core.SequentialWriter(builder.info, max_examples_per_shard=100)
  writer.initialize_splits(list(examples))
  writer.add_examples(examples)
  writer.close_all()


@pytest.mark.parametrize(
  "dataset, name, channels",
  [
    ("tfds_moving_mnist", "moving_mnist", 1),
    ("bair_robot_pushing_small", "bair_robot_pushing_small", 3),
  ],
)
def test_prepared_sets_of_tfds(tmp_path, dataset, name, channels):
  config = data(dataset, tmp_path / "tfds", tmp_path / "cache", channels=channels)
  config.image_size = 64
  with pytest.raises(ValueError, match=f"holds no prepared {name}.*run tfds build"):
    clips.open_source(config, 5, "train")
  random = np.random.default_rng(0)
  videos = random.integers(0, 256, [10, 30, 64, 64, channels], np.uint8)
  if channels == 1:
    videos = videos[:, :20]
    examples = {"test": [{"image_sequence": video} for video in videos]}
  else:
    rows = [
      [
        {
          "image_main": 255 - frame,
          "image_aux1": frame,
          "action": np.zeros(4, np.float32),
          "endeffector_pos": np.zeros(3, np.float32),
        }
        for frame in video
      ]
      for video in videos
    ]
    examples = {"train": rows[:9], "test": rows[9:]}
  write_prepared(name, tmp_path / "tfds", examples)
  train, test = (clips.open_source(config, 5, s) for s in ("train", "test"))
  assert (train.num_clips, test.num_clips) == (9, 1)
  clip = test.evaluation(0)
  assert any(np.array_equal(clip, videos[9, i : i + 5]) for i in range(26))
