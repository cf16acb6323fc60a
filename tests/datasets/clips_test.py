"""Clips for densities of video from files of every kind, good and bad."""

import numpy as np
import pytest
from PIL import Image

from tfafs.coding import video_writer
from tfafs.datasets import clips, make_dataset, sequences
from tfafs.models import registry


def data(**fields):
  config = registry.load_config("af1", "tiny").data
  config.update(fields)
  return config


def counting(count, frames, height=16, width=16, channels=1):
  """Sequence s, frame t is of value 16 s + t."""
  values = 16 * np.arange(count)[:, None] + np.arange(frames)
  shape = [count, frames, height, width, channels]
  return np.broadcast_to(values[..., None, None, None], shape).astype(np.uint8)


def write_video(path, frames, value, height=24, width=32):
  with video_writer.open_writer(path, width, height) as writer:
    for t in range(frames):
      writer.write(np.full([height, width, 3], value + 4 * t, np.uint8))


def test_training_clips_are_functions_of_their_number():
  config = data()
  whole = iter(make_dataset(config, 2, 5, seed=1))
  first, second = next(whole).numpy(), next(whole).numpy()
  assert first.shape == (2, 5, 16, 16, 1) and first.dtype == np.float32
  resumed = next(iter(make_dataset(config, 2, 5, start_index=2, seed=1)))
  np.testing.assert_array_equal(resumed, second)
  assert np.any(first != second)
  test = np.stack(list(clips.evaluation_dataset(config, 5, 4, seed=1)))
  assert test.shape == (4, 5, 16, 16, 1)
  assert not np.any([np.all(a == b) for a in test for b in (*first, *second)])


def test_no_training_has_the_seed_of_evaluation():
  make_dataset(data(), 2, 5, seed=clips.EVALUATION_SEED - 1)
  with pytest.raises(ValueError, match="which is of evaluation"):
    make_dataset(data(), 2, 5, seed=clips.EVALUATION_SEED)


def test_starts_are_uniform_and_frames_in_order():
  arrays = list(counting(2, 6)) + list(counting(1, 9) + 100)
  source = sequences.SequenceClips(arrays, "abc", 4, 16, 1)
  starts = [source(i)[:, 0, 0, 0] for i in range(3000)]
  for clip in starts:
    np.testing.assert_array_equal(np.diff(clip), 1)
  values, counts = np.unique([clip[0] for clip in starts], return_counts=True)
  expected = [0, 1, 2, 16, 17, 18, *range(100, 106)]
  np.testing.assert_array_equal(values, expected)
  assert np.all(np.abs(counts - 250) < 6 * np.sqrt(250))
  apart = sequences.SequenceClips(arrays, "abc", 3, 16, 1, interval=2)
  np.testing.assert_array_equal(np.diff(apart(0)[:, 0, 0, 0]), 2)


def test_evaluation_takes_one_clip_of_each_or_all():
  arrays = [*counting(1, 9), *(counting(1, 4) + 100)]
  one = sequences.SequenceClips(arrays, "ab", 4, 16, 1, seed=5)
  assert one.num_clips == 2
  assert [one.evaluation(i)[0, 0, 0, 0] // 100 for i in range(2)] == [0, 1]
  again = sequences.SequenceClips(arrays, "ab", 4, 16, 1, seed=5)
  np.testing.assert_array_equal(one.evaluation(0), again.evaluation(0))
  every = sequences.SequenceClips(arrays, "ab", 4, 16, 1, scored=4)
  firsts = [every.evaluation(i)[0, 0, 0, 0] for i in range(every.num_clips)]
  assert firsts == [0, 4, 100]


@pytest.mark.parametrize("interval", [1, 2, 3])
@pytest.mark.parametrize("length", [10, 14, 23])
def test_no_frame_is_scored_twice_and_few_are_left_out(length, interval):
  """The last three of four; left out are, of each row of frames, first and last ones."""
  source = sequences.SequenceClips(
    list(counting(1, length)), "a", 4, 16, 1, interval, scored=3
  )
  scored = [source.evaluation(i)[-3:, 0, 0, 0] for i in range(source.num_clips)]
  scored = np.concatenate(scored)
  assert len(set(scored)) == len(scored) == 3 * source.num_clips
  assert len(scored) >= length - interval * (1 + 2)


def test_frames_are_fitted():
  frame = np.zeros([8, 16, 3], np.uint8)
  frame[:, 4:12] = (200, 100, 0)
  crop = sequences.fit_frame(frame, 4, 3)
  np.testing.assert_array_equal(crop, np.broadcast_to([200, 100, 0], [4, 4, 3]))
  stretched = sequences.fit_frame(frame, 4, 3, "stretch")
  assert stretched[0, 0, 0] < 100 < stretched[0, 1, 0]
  grey = sequences.fit_frame(frame, 4, 1)
  luma = round(0.299 * 200 + 0.587 * 100)
  np.testing.assert_array_equal(grey, np.full([4, 4, 1], luma))
  back = sequences.fit_frame(grey, 4, 3)
  np.testing.assert_array_equal(back, np.full([4, 4, 3], luma))


def test_folder_of_videos(tmp_path):
  for i in range(5):
    write_video(tmp_path / f"{i}.mkv", 8, 40 * i)
  config = data(dataset="video", path=str(tmp_path), cache_dir=str(tmp_path / "c"))
  train = clips.open_source(config, 6, "train")
  seen = {int(train(i)[0, 0, 0, 0]) // 40 for i in range(60)}
  assert seen == {0, 1, 2, 3}
  (test,) = clips.evaluation_dataset(config, 6, 9)
  level = np.rint(255 * test.numpy())
  assert abs(level[0, 0, 0, 0] - 160) <= 1
  np.testing.assert_allclose(np.diff(level[:, 3, 3, 0]), 4, atol=1)
  with pytest.raises(ValueError, match=r"4\.mkv has 8 frames, a clip takes 9"):
    next(iter(make_dataset(config, 2, 9)))


@pytest.mark.parametrize("interval", [1, 2])
def test_first_frames_are_those_of_a_clip(tmp_path, interval):
  """Also of raw YUV, whose size the config tells: it can be opened in no other way."""
  levels = np.arange(16, 88, 8, dtype=np.uint8)
  planes = [np.r_[np.full(32 * 48, y), np.full(2 * 16 * 24, 128)] for y in levels]
  (tmp_path / "a.yuv").write_bytes(np.stack(planes).astype(np.uint8).tobytes())
  config = data(dataset="video", path=str(tmp_path / "a.yuv"), raw_size="48x32")
  config.update(cache_dir=str(tmp_path / "c"), frame_interval=interval)
  config.test_path = config.path
  frames = sequences.first_frames(config.path, 4, config)
  expected = clips.open_source(config, 4, "test").evaluation(0)
  np.testing.assert_array_equal(frames, expected)
  # A step of 8 in limited range is one of 9.3 in full range.
  steps = np.diff(frames[:, 0, 0, 0].astype(int))
  np.testing.assert_allclose(steps, interval * 8 * 255 / 219, atol=1)
  with pytest.raises(ValueError, match=f"too short: 10 .* take {9 * interval + 1}"):
    sequences.first_frames(config.path, 10, config)


def test_one_video_is_split_in_time(tmp_path):
  write_video(tmp_path / "a.mkv", 30, 0)
  write_video(tmp_path / "b.mkv", 6, 200)
  config = data(dataset="video", path=str(tmp_path / "a.mkv"))
  config.cache_dir = str(tmp_path / "c")
  train, test = (clips.open_source(config, 5, s) for s in ("train", "test"))
  assert max(int(train(i)[-1, 0, 0, 0]) for i in range(99)) <= 4 * 23 + 1
  assert abs(int(test.evaluation(0)[0, 0, 0, 0]) - 4 * 24) <= 1
  config.test_path = str(tmp_path / "b.mkv")
  test = clips.open_source(config, 5, "test")
  assert abs(int(test.evaluation(0)[0, 0, 0, 0]) - 200) <= 1


def test_folder_of_pictures_of_two_sizes_is_refused(tmp_path):
  for i, width in enumerate((16, 16, 20)):
    Image.fromarray(np.zeros([16, width, 3], np.uint8)).save(tmp_path / f"{i}.png")
  config = data(dataset="video", path=str(tmp_path), cache_dir=str(tmp_path / "c"))
  with pytest.raises(ValueError, match=r"2\.png.*20x16"):
    clips.open_source(config, 2, "train")


def test_arrays(tmp_path):
  array = counting(10, 6)
  np.save(tmp_path / "a.npy", array)
  config = data(dataset="arrays", path=str(tmp_path / "a.npy"))
  train, test = (clips.open_source(config, 3, s) for s in ("train", "test"))
  assert (train.num_clips, test.num_clips) == (9, 1)
  assert test.evaluation(0)[0, 0, 0, 0] // 16 == 9
  # As Moving MNIST's own file: frames first, no channels.
  np.save(tmp_path / "b.npy", array[..., 0].swapaxes(0, 1))
  config.path, config.time_major = str(tmp_path / "b.npy"), True
  np.testing.assert_array_equal(
    clips.open_source(config, 3, "train").evaluation(4), train.evaluation(4)
  )
  np.save(tmp_path / "f.npy", array / 255.0)
  config.path, config.time_major = str(tmp_path / "f.npy"), False
  np.testing.assert_array_equal(
    clips.open_source(config, 3, "train").evaluation(4), train.evaluation(4)
  )


def test_cached_frames(tmp_path):
  videos = [np.full([n, 4, 4, 1], n, np.uint8) for n in (3, 5)]

  def cached(key="a", videos=(), count=2):
    return sequences.cached_frames("these", key, videos, count, tmp_path / "c")

  for found in (cached(videos=iter(videos)), cached()):  # Then from the cache.
    for one, other in zip(found, videos):
      np.testing.assert_array_equal(one, other)
  before = sorted((tmp_path / "c").iterdir())
  with pytest.raises(ValueError, match="these: there are no examples"):
    cached("b")

  def cut_off():
    yield videos[0]
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    cached("c", cut_off())
  with pytest.raises(
    ValueError, match=r"takes about .* GB more, .*set data\.cache_dir"
  ):
    cached("d", iter(videos), count=10**15)
  assert sorted((tmp_path / "c").iterdir()) == before

  def overtaken():
    yield videos[0]
    cached("e", iter(videos))  # Another process, done before this one.
    yield videos[1]

  assert [len(frames) for frames in cached("e", overtaken())] == [3, 5]
  assert len(list((tmp_path / "c").iterdir())) == len(before) + 1


def test_a_fraction_of_the_training_data(tmp_path):
  """A third of nine sequences, always the same; all of the test data."""
  np.save(tmp_path / "a.npy", counting(10, 4))
  config = data(dataset="arrays", path=str(tmp_path), fraction=0.3)
  seen = []
  for seed in (0, 1):
    train = clips.open_source(config, 3, "train", seed)
    assert train.num_clips == 3
    seen.append({int(train(i)[0, 0, 0, 0]) // 16 for i in range(60)})
  assert seen[0] == seen[1] and len(seen[0]) == 3 and 9 not in seen[0]
  assert clips.open_source(config, 3, "test").num_clips == 1
  digits = clips.open_source(data(fraction=0.001), 3, "train")
  assert len(digits._digits) == 2
  for bad in (0.0, 1.5):
    with pytest.raises(ValueError, match=r"data\.fraction must be more than 0"):
      make_dataset(data(fraction=bad), 2, 4)


@pytest.mark.parametrize(
  "array, words",
  [
    (np.zeros([6, 16, 16], np.uint8), r"shape \(6, 16, 16\); it must be \[sequences"),
    (np.zeros([2, 6, 16, 16, 2], np.uint8), "with an axis of 1 or 3 channels"),
    (
      np.full([2, 6, 16, 16], 1.5),
      "values from 1.5 to 1.5; floats must be from 0 to 1",
    ),
    (np.full([2, 6, 16, 16], np.nan), "values from nan to nan"),
    (np.zeros([2, 6, 16, 16], np.int32), "holds int32; it must be uint8, or floats"),
    (np.zeros([2, 2, 16, 16], np.uint8), r"sequence 1 has 2 frames, a clip takes 4"),
    (np.array([object()]), "no .npy file of numbers"),
  ],
)
def test_bad_arrays_are_named(tmp_path, array, words):
  np.save(tmp_path / "bad.npy", array)
  with pytest.raises(ValueError, match=words) as error:
    make_dataset(data(dataset="arrays", path=str(tmp_path)), 2, 4)
  assert "bad.npy" in str(error.value)


def test_arrays_of_two_sizes_are_refused(tmp_path):
  np.save(tmp_path / "a.npy", np.zeros([2, 4, 16, 16], np.uint8))
  np.save(tmp_path / "b.npy", np.zeros([2, 4, 16, 18], np.uint8))
  with pytest.raises(ValueError, match=r"b\.npy: frames of \(16, 18, 1\), those of"):
    make_dataset(data(dataset="arrays", path=str(tmp_path)), 2, 4)


@pytest.mark.parametrize(
  "fields, words",
  [
    (
      {"dataset": "synthetic"},
      "data.dataset must be one of moving_digits, moving_mnist",
    ),
    ({"dataset": "moving_mnist"}, "give the folder with MNIST's files of images"),
    ({"dataset": "video"}, "data.path is empty"),
    ({"dataset": "arrays"}, "data.path is empty"),
    ({"dataset": "arrays", "path": "/nowhere.npy"}, "does not exist"),
    ({"dataset": "video", "path": "/nowhere"}, "nor does it match any file"),
    ({"dataset": "moving_mnist", "path": __file__}, "as it is no folder"),
  ],
)
def test_what_is_not_there(fields, words):
  with pytest.raises(ValueError, match=words):
    make_dataset(data(**fields), 2, 4)


def test_bad_fields(tmp_path):
  np.save(tmp_path / "a.npy", counting(3, 4))
  for name, value, words in (
    ("fit", "pad", "data.fit must be one of crop, stretch"),
    ("channels", 2, "data.channels must be 1 or 3"),
    ("frame_interval", 0, "data.frame_interval must be at least 1"),
  ):
    for dataset in ("arrays", "moving_digits"):
      config = data(dataset=dataset, path=str(tmp_path), **{name: value})
      with pytest.raises(ValueError, match=words):
        make_dataset(config, 2, 4)


def test_of_few_sequences_a_part_of_each_is_used(tmp_path):
  np.save(tmp_path / "a.npy", counting(3, 8))
  config = data(dataset="arrays", path=str(tmp_path), fraction=0.5)
  source = clips.open_source(config, 4, "train")
  assert {int(source(i)[0, 0, 0, 0]) for i in range(30)} == {0, 16}
  with pytest.raises(ValueError, match=r"sequence 0 has 4 frames \(and 2 of 2 are"):
    clips.open_source(config, 5, "train")
  np.save(tmp_path / "a.npy", counting(1, 8))
  with pytest.raises(ValueError, match="1 sequence: a tenth of them, at least one"):
    clips.open_source(config, 4, "train")
