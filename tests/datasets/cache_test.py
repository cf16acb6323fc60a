"""The cache of decoded videos: exact, keyed by all that matters, never half-written."""

import collections
import os
import pathlib
import shutil

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfafs.coding.video_writer import open_writer
from tfafs.datasets import cache


def write_video(path, frames, rate=25):
  with open_writer(path, frames.shape[2], frames.shape[1], rate) as writer:
    for frame in frames:
      writer.write(frame)


@pytest.fixture
def frames():
  return np.random.default_rng(0).integers(0, 256, (5, 21, 34, 3)).astype(np.uint8)


@settings(max_examples=60, deadline=None)
@given(
  seed=st.integers(0, 2**32 - 1),
  factor=st.integers(1, 16),
  rows=st.integers(1, 3),
  columns=st.integers(1, 3),
  rest=st.tuples(st.integers(0, 15), st.integers(0, 15)),
)
def test_downscale_is_the_rounded_mean_of_each_box(seed, factor, rows, columns, rest):
  height, width = rows * factor + rest[0] % factor, columns * factor + rest[1] % factor
  random = np.random.default_rng(seed)
  frame = random.integers(random.choice([0, 250]), 256, (height, width, 3)).astype(
    np.uint8
  )
  small = cache.downscale_area(frame, factor)
  assert (small.dtype, small.shape) == (np.uint8, (rows, columns, 3))
  for row, column, channel in np.ndindex(small.shape):
    box = frame[
      row * factor : (row + 1) * factor,
      column * factor : (column + 1) * factor,
      channel,
    ]
    exact = sum(int(value) for value in box.flat)
    assert small[row, column, channel] == (2 * exact + factor**2) // (2 * factor**2)


def test_downscale_errors():
  frame = np.zeros((4, 8, 3), np.uint8)
  for factor in (0, 17):
    with pytest.raises(ValueError, match=f"downscale must be 1 to 16, not {factor}"):
      cache.downscale_area(frame, factor)
  with pytest.raises(ValueError, match="8x4 pixels is too small for downscale 5"):
    cache.downscale_area(frame, 5)


@pytest.mark.parametrize("name", ["a.mkv", "frames"])
@pytest.mark.parametrize("downscale", [1, 2])
def test_entry_holds_the_frames(tmp_path, frames, name, downscale):
  write_video(tmp_path / name, frames)
  folder = tmp_path / "made" / "cache"
  video = cache.cached_video(tmp_path / name, folder, downscale)
  expected = [cache.downscale_area(frame, downscale) for frame in frames]
  assert isinstance(video, np.memmap)
  np.testing.assert_array_equal(video, expected)
  with pytest.raises(ValueError, match="read-only"):
    video[0] = 0
  (entry,) = os.listdir(folder)
  assert entry.startswith(pathlib.Path(name).stem)
  # It is an ordinary NumPy file.
  np.testing.assert_array_equal(np.load(folder / entry), expected)


def test_entry_is_used_again(tmp_path, frames):
  path, folder = tmp_path / "a.mkv", tmp_path / "cache"
  write_video(path, frames)
  cache.cached_video(path, folder)
  (entry,) = folder.iterdir()
  stamp = entry.stat().st_mtime_ns
  again = cache.cached_video(os.path.relpath(path), folder)
  np.testing.assert_array_equal(again, frames)
  assert [e.stat().st_mtime_ns for e in folder.iterdir()] == [stamp]


def test_other_content_or_settings_make_another_entry(tmp_path, frames):
  path, folder = tmp_path / "a.mkv", tmp_path / "cache"
  write_video(path, frames)
  cache.cached_video(path, folder)
  cache.cached_video(path, folder, 2)
  cache.cached_video(path, folder, matrix="bt709")
  assert len(list(folder.iterdir())) == 3
  write_video(path, frames[::-1])
  np.testing.assert_array_equal(cache.cached_video(path, folder), frames[::-1])
  shutil.copy(path, tmp_path / "b.mkv")
  cache.cached_video(tmp_path / "b.mkv", folder)
  assert len(list(folder.iterdir())) == 5


def test_a_changed_png_makes_another_entry(tmp_path, frames):
  write_video(tmp_path / "frames", frames)
  cache.cached_video(tmp_path / "frames", tmp_path / "cache")
  (tmp_path / "frames" / "000004.png").unlink()
  shorter = cache.cached_video(tmp_path / "frames", tmp_path / "cache")
  np.testing.assert_array_equal(shorter, frames[:4])


def test_raw_video_by_its_size(tmp_path):
  data = np.random.default_rng(1).integers(0, 256, 3 * 384).astype(np.uint8)
  (tmp_path / "a.yuv").write_bytes(data.tobytes())
  video = cache.cached_video(tmp_path / "a.yuv", tmp_path / "cache", size=(16, 16))
  assert video.shape == (3, 16, 16, 3)
  wide = cache.cached_video(tmp_path / "a.yuv", tmp_path / "cache", size=(32, 8))
  assert wide.shape == (3, 8, 32, 3)


def test_a_failure_leaves_nothing(tmp_path):
  folder = tmp_path / "frames"
  folder.mkdir()
  for name, size in (("0.png", (8, 8)), ("1.png", (8, 9))):
    PIL.Image.new("RGB", size).save(folder / name)
  with pytest.raises(ValueError, match=r"1\.png has 8x9 pixels"):
    cache.cached_video(folder, tmp_path / "cache")
  assert os.listdir(tmp_path / "cache") == []
  with pytest.raises(ValueError, match="no such file or folder"):
    cache.cached_video(tmp_path / "missing.mp4", tmp_path / "cache")


def test_a_disk_too_small_is_said_before_decoding(tmp_path, frames, monkeypatch):
  write_video(tmp_path / "frames", frames)
  usage = collections.namedtuple("usage", "total used free")(10, 9, 100)
  monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
  with pytest.raises(ValueError, match=r"takes 0\.0 GB.* set data\.cache_dir"):
    cache.cached_video(tmp_path / "frames", tmp_path / "cache")
  assert os.listdir(tmp_path / "cache") == []


def test_default_folder(monkeypatch, tmp_path):
  monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
  assert cache.default_cache_dir() == tmp_path / "tfafs"
  monkeypatch.delenv("XDG_CACHE_HOME")
  monkeypatch.setenv("HOME", str(tmp_path))
  assert cache.default_cache_dir() == tmp_path / ".cache" / "tfafs"
