"""Random clips and crops: inside the video, reproducible, and spread as promised."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfafs.coding.video_writer import open_writer
from tfafs.datasets import video


def numbered_video(length, height, width, first=0):
  """A video whose pixels tell where they come from: (frame, row, column)."""
  frame, row, column = np.meshgrid(
    np.arange(first, first + length), np.arange(height), np.arange(width), indexing="ij"
  )
  return np.stack([frame, row, column], -1).astype(np.uint8)


@settings(max_examples=150, deadline=None)
@given(
  seed=st.integers(0, 2**40),
  index=st.integers(0, 2**50),
  lengths=st.lists(st.integers(4, 30), min_size=1, max_size=4),
  size=st.tuples(st.integers(8, 30), st.integers(8, 30)),
  num_frames=st.integers(1, 4),
  crop_size=st.integers(1, 8),
  frame_interval=st.integers(1, 9),
  reversal=st.booleans(),
)
def test_examples_are_cut_out_of_one_video(
  seed, index, lengths, size, num_frames, crop_size, frame_interval, reversal
):
  starts = np.cumsum([0, *lengths])
  videos = [numbered_video(n, *size, first) for n, first in zip(lengths, starts)]
  names = [str(i) for i in range(len(videos))]
  examples = video.VideoExamples(
    videos, names, num_frames, crop_size, frame_interval, reversal, seed=seed
  )
  example = examples(index)
  np.testing.assert_array_equal(example, examples(index))
  assert example.dtype == np.uint8
  assert example.shape == (num_frames, crop_size, crop_size, 3)
  frames = example[:, 0, 0, 0].astype(int)
  chosen = np.searchsorted(starts, frames[0], side="right") - 1
  assert np.all((starts[chosen] <= frames) & (frames < starts[chosen + 1]))
  steps = np.diff(frames)
  if num_frames > 1:
    assert np.all(steps == steps[0])
    assert 1 <= abs(steps[0]) <= frame_interval
    assert reversal or steps[0] > 0
  top, left = example[0, 0, 0, 1], example[0, 0, 0, 2]
  expected = [
    videos[chosen][f - starts[chosen]][top : top + crop_size, left : left + crop_size]
    for f in frames
  ]
  np.testing.assert_array_equal(example, expected)


def test_choices_are_spread():
  videos = [numbered_video(30, 10, 12), numbered_video(10, 10, 12)]
  examples = video.VideoExamples(videos, ["a", "b"], 3, 8, 3, True, seed=1)
  choices = [examples.choose(i) for i in range(4000)]
  assert abs(np.mean([c.video == 0 for c in choices]) - 0.75) < 0.03
  intervals = [abs(c.frames.step) for c in choices]
  for interval in (1, 2, 3):
    assert abs(np.mean(np.equal(intervals, interval)) - 1 / 3) < 0.03
  assert abs(np.mean([c.frames.step < 0 for c in choices]) - 0.5) < 0.03
  assert {c.corners[0][0] for c in choices} == set(range(3))
  assert {c.corners[0][1] for c in choices} == set(range(5))
  first = {c.frames[0] for c in choices if c.video == 1}
  assert first == set(range(10))


def test_the_crop_pans_at_a_steady_speed_as_far_as_there_is_room():
  videos = [numbered_video(5, 60, 60), numbered_video(5, 12, 12)]
  examples = video.VideoExamples(videos, "ab", 5, 10, pan=6)
  fastest = [0.0, 0.0]
  for i in range(400):
    choice = examples.choose(i)
    path = np.array(choice.corners)
    size = len(videos[choice.video][0])
    assert path.min() >= 0 and path.max() <= size - 10
    speed = (path[-1] - path[0]) / 4
    line = path[0] + np.arange(5)[:, None] * speed
    assert np.abs(path - line).max() <= 1
    fastest[choice.video] = max(fastest[choice.video], np.abs(speed).max())
    for frame, (top, left), cut in zip(choice.frames, path, examples(i)):
      expected = videos[choice.video][frame, top : top + 10, left : left + 10]
      np.testing.assert_array_equal(cut, expected)
  np.testing.assert_allclose(fastest, [6, 0.5], atol=0.3)


def test_videos_of_one_frame_are_chosen_alike():
  examples = video.VideoExamples([numbered_video(1, 4, 4)] * 3, "abc", 1, 4)
  counts = np.bincount([examples.choose(i).video for i in range(3000)])
  assert np.abs(counts - 1000).max() < 120


def test_short_videos_take_the_intervals_they_have_room_for():
  examples = video.VideoExamples([numbered_video(6, 4, 4)], ["a"], 3, 4, 9, False)
  intervals = {examples.choose(i).frames.step for i in range(200)}
  assert intervals == {1, 2}


def test_seeds_give_other_examples():
  videos = [numbered_video(50, 40, 40)]
  one, two = (
    video.VideoExamples(videos, ["a"], 2, 8, 1, False, seed=s) for s in (0, 1)
  )
  assert sum(one.choose(i) == two.choose(i) for i in range(50)) < 3


def test_videos_that_cannot_give_an_example_are_named():
  videos = [numbered_video(9, 20, 30), numbered_video(3, 20, 30)]
  with pytest.raises(ValueError, match=r"short\.mp4 has 3 frames, an example takes 4"):
    video.VideoExamples(videos, ["long.mp4", "short.mp4"], 4, 8)
  with pytest.raises(
    ValueError, match=r"a\.mp4 has 30x20 pixels after downscaling, .* takes 24x24"
  ):
    video.VideoExamples(videos, ["a.mp4", "b.mp4"], 2, 24)
  for key in ("num_frames", "crop_size", "frame_interval"):
    arguments = {"num_frames": 2, "crop_size": 8, key: 0}
    with pytest.raises(ValueError, match=f"{key} must be at least 1, not 0"):
      video.VideoExamples(videos, ["a", "b"], **arguments)


@pytest.fixture
def tree(tmp_path):
  frames = np.zeros((2, 4, 4, 3), np.uint8)
  (tmp_path / "deep" / "er").mkdir(parents=True)
  for name in ("b10.mkv", "b9.mkv", "deep/c.y4m", "deep/er/frames"):
    with open_writer(tmp_path / name, 4, 4) as writer:
      for frame in frames:
        writer.write(frame)
  (tmp_path / "notes.txt").write_text("none")
  return tmp_path


def test_find_videos(tree):
  names = ["b9.mkv", "b10.mkv", "deep/c.y4m", "deep/er/frames"]
  paths = [tree / name for name in names]
  assert video.find_videos(str(tree)) == paths
  assert video.find_videos(str(tree / "b9.mkv")) == paths[:1]
  assert video.find_videos(str(tree / "b*.mkv")) == paths[:2]
  assert video.find_videos(str(tree / "**" / "*.y4m")) == paths[2:3]
  assert video.find_videos(str(tree / "deep/er/frames")) == paths[3:]
  assert video.find_videos(str(tree / "deep/er/frames/*.png")) == paths[3:]


def test_find_videos_errors(tree):
  with pytest.raises(ValueError, match=r"data\.path is empty"):
    video.find_videos("")
  with pytest.raises(ValueError, match="does not exist, nor does it match any file"):
    video.find_videos(str(tree / "*.webm"))
  (tree / "empty").mkdir()
  with pytest.raises(ValueError, match=r"no video found; looked for \.mp4"):
    video.find_videos(str(tree / "empty"))
  (tree / "raw.yuv").write_bytes(bytes(24))
  with pytest.raises(ValueError, match=r"raw\.yuv: .* set data\.raw_size"):
    video.find_videos(str(tree))
  assert tree / "raw.yuv" in video.find_videos(str(tree), (4, 4))
