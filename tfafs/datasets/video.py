"""Training examples from video files: random clips and crops out of a decoded cache."""

import glob
import os
import pathlib
from typing import NamedTuple

import numpy as np
from absl import logging

from tfafs.coding import video_reader
from tfafs.datasets import cache


class Choice(NamedTuple):
  """What an example is cut out of.

  Attributes:
    video: Which file, by its number.
    frames: The frames, in the order of the example.
    corners: First row and column of each frame's crop.
  """

  video: int
  frames: range
  corners: tuple


class VideoExamples:
  """Examples as a pure function of their number.

  A file is chosen with a chance that is its share of all frames; then an interval
  between frames, a start, whether time runs backwards, a velocity at which the crop pans,
  and a place, each uniformly.
  """

  def __init__(
    self,
    videos,
    names,
    num_frames: int,
    crop_size: int,
    frame_interval: int = 1,
    temporal_reversal: bool = False,
    pan: int = 0,
    seed: int = 0,
  ):
    """Checks that every video can give an example.

    Args:
      videos: Arrays uint8 [frames, height, width, 3], of any sizes.
      names: What messages call them.
      num_frames: Frames of an example.
      crop_size: Rows and columns of an example.
      frame_interval: Greatest distance between its frames; each from 1 is as likely. A
        short video takes only those that it has room for.
      temporal_reversal: Whether every other example, by chance, runs backwards.
      pan: Greatest speed of the crop along each axis, in pixels from frame to frame, as
        far as the video has room for it. Footage of still cameras alone teaches a codec
        little about motion.
      seed: Which sequence of examples.

    Raises:
      ValueError: a video is too short or too small. The message names it.
    """
    for key, value, least in (
      ("num_frames", num_frames, 1),
      ("crop_size", crop_size, 1),
      ("frame_interval", frame_interval, 1),
      ("pan", pan, 0),
    ):
      if value < least:
        raise ValueError(f"{key} must be at least {least}, not {value}")
    for video, name in zip(videos, names):
      length, height, width = video.shape[:3]
      if length < num_frames:
        raise ValueError(
          f"{name} has {length} frames, an example takes {num_frames}: remove the file "
          "or lower data.num_frames"
        )
      if min(height, width) < crop_size:
        raise ValueError(
          f"{name} has {width}x{height} pixels after downscaling, an example takes "
          f"{crop_size}x{crop_size}: remove the file, lower data.crop_size (and "
          "training.large_crop_size) or data.downscale"
        )
    self._videos = videos
    self._num_frames, self._crop_size = num_frames, crop_size
    self._frame_interval, self._temporal_reversal = frame_interval, temporal_reversal
    self._pan, self._seed = pan, seed
    self._ends = np.cumsum([len(video) for video in videos])

  def choose(self, index: int) -> Choice:
    """Chooses what example `index` is cut out of."""
    key = np.random.SeedSequence([self._seed, index])
    random = np.random.Generator(np.random.Philox(key))
    number = random.integers(self._ends[-1])
    video = int(np.searchsorted(self._ends, number, side="right"))
    length, height, width = self._videos[video].shape[:3]
    steps = self._num_frames - 1
    room = (length - 1) // steps if steps else 1
    interval = int(random.integers(1, min(self._frame_interval, room) + 1))
    start = int(random.integers(length - steps * interval))
    frames = range(start, start + steps * interval + 1, interval)
    if self._temporal_reversal and random.integers(2):
      frames = frames[::-1]
    room = np.array([height, width]) - self._crop_size
    speed = np.minimum(self._pan, room / max(steps, 1))
    velocity = random.uniform(-speed, speed)
    path = np.rint(np.arange(self._num_frames)[:, None] * velocity).astype(int)
    path -= path.min(0)
    path += random.integers(room - path.max(0) + 1)
    return Choice(video, frames, tuple(map(tuple, path.tolist())))

  def __call__(self, index: int) -> np.ndarray:
    """Returns example `index`, uint8 [num_frames, crop_size, crop_size, 3]."""
    choice, size = self.choose(int(index)), self._crop_size
    video = self._videos[choice.video]
    return np.stack(
      [
        video[frame, top : top + size, left : left + size]
        for frame, (top, left) in zip(choice.frames, choice.corners)
      ]
    )


def find_videos(path: str, raw_size=None) -> list:
  """Finds video files and folders of PNG files.

  Args:
    path: A file, a folder (searched with all below it), or a glob pattern.
    raw_size: (width, height) of raw YUV, where ".yuv" files are wanted.

  Returns:
    Paths in natural order. A folder that holds PNG files stands for one video.

  Raises:
    ValueError: nothing found, or raw YUV without its size.
  """
  if not path:
    raise ValueError(
      "data.path is empty: give a video file, a folder or a glob pattern"
    )
  path = os.path.expanduser(path)
  roots = [path] if os.path.exists(path) else glob.glob(path, recursive=True)
  if not roots:
    raise ValueError(f"data.path={path} does not exist, nor does it match any file")
  found = set()
  for root in map(pathlib.Path, roots):
    if not root.is_dir():
      found.add(root.parent if root.suffix.lower() == ".png" else root)
      continue
    for folder, _, names in os.walk(root):
      for name in names:
        suffix = pathlib.Path(name).suffix.lower()
        if suffix == ".png":
          found.add(pathlib.Path(folder))
        elif suffix in video_reader.SUFFIXES or suffix == ".yuv":
          found.add(pathlib.Path(folder, name))
  if not found:
    raise ValueError(
      f"data.path={path}: no video found; looked for "
      f"{', '.join(video_reader.SUFFIXES)} and .yuv"
    )
  raw = [file for file in found if file.suffix.lower() == ".yuv" and file.is_file()]
  if raw and raw_size is None:
    raise ValueError(
      f"{min(raw)}: raw YUV does not state its size: set data.raw_size, for example "
      "832x480"
    )
  return sorted(found, key=lambda file: video_reader.natural_key(file))


def open_examples(config, num_frames: int, crop_size: int, seed: int) -> VideoExamples:
  """Decodes the videos of `config` (config.data) into the cache and opens it."""
  raw_size = video_reader.parse_size(config.raw_size, "data.raw_size")
  files = find_videos(config.path, raw_size)
  matrix = config.color_matrix or None
  folder = config.cache_dir or str(cache.default_cache_dir())
  videos = []
  for file in files:
    is_raw = file.suffix.lower() == ".yuv" and file.is_file()
    videos.append(
      cache.cached_video(
        file,
        folder,
        config.downscale,
        matrix=matrix,
        size=raw_size if is_raw else None,
      )
    )
  logging.info(
    "%d videos, %d frames, decoded take %.2f GB in %s",
    len(videos),
    sum(len(video) for video in videos),
    sum(video.nbytes for video in videos) / 1e9,
    folder,
  )
  return VideoExamples(
    videos,
    [str(file) for file in files],
    num_frames,
    crop_size,
    config.frame_interval,
    config.temporal_reversal,
    config.pan,
    seed,
  )
