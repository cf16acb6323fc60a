"""Clips to evaluate on: videos that can be read more than once, a frame at a time."""

import itertools
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple, Optional, Union

import numpy as np

from tfafs.coding import color, video_reader

Source = Union[str, pathlib.Path, np.ndarray, Sequence[np.ndarray]]


class Clip(NamedTuple):
  """A video of known size that is read anew by each call of `frames`."""

  name: str
  width: int
  height: int
  frame_rate: Fraction
  matrix: str
  """Y'CbCr matrix for codecs that work on Y'CbCr: "bt601" or "bt709"."""
  read: Callable[[], Iterable[np.ndarray]]
  """Yields all frames from the first one, each time it is called."""
  max_frames: Optional[int] = None
  path: Optional[str] = None

  def frames(self) -> Iterator[np.ndarray]:
    """Yields the first `max_frames` frames, uint8 [height, width, 3] RGB.

    Raises:
      ValueError: there is none.
    """
    frame = None
    for frame in itertools.islice(self.read(), self.max_frames):
      yield frame
    if frame is None:
      raise ValueError(f"{self.name} has no frames: give a video with at least one")


def as_clip(
  source: Union[Source, Clip],
  max_frames: Optional[int] = None,
  raw_size: Optional[tuple[int, int]] = None,
  name: Optional[str] = None,
) -> Clip:
  """Makes a clip of a file, of a folder of PNG files or of frames in memory.

  Args:
    source: a path, uint8 [time, height, width, 3], a list of uint8 [height, width, 3],
      or a Clip, which is returned with `max_frames` applied.
    max_frames: how many frames to take; None takes all.
    raw_size: (width, height) of raw planar .yuv files.
    name: what reports call the clip; by default the file's name without its ending.

  Raises:
    ValueError: the file is no video, or there is no frame, or frames are not 8-bit RGB.
  """
  if max_frames is not None and max_frames < 1:
    raise ValueError(f"max_frames: must be at least 1, got {max_frames}")
  if isinstance(source, Clip):
    return source._replace(max_frames=max_frames or source.max_frames)
  if isinstance(source, (str, pathlib.Path)):
    path = pathlib.Path(source)
    size = raw_size if path.suffix.lower() == ".yuv" else None

    def read():
      with video_reader.open_video(path, size) as reader:
        yield from reader

    with video_reader.open_video(path, size) as reader:
      return Clip(
        name or path.stem,
        reader.width,
        reader.height,
        reader.frame_rate,
        color.default_matrix(reader.height),
        read,
        max_frames,
        str(path),
      )
  frames = [np.asarray(frame) for frame in source]
  if not frames:
    raise ValueError("source: no frames; give at least one uint8 [H, W, 3] frame")
  shape = frames[0].shape
  for frame in frames:
    if frame.dtype != np.uint8 or frame.shape != shape or shape[2:] != (3,):
      raise ValueError(
        "source: frames must be uint8 [H, W, 3] of one size, got "
        f"{frame.dtype} {list(frame.shape)} after {list(shape)}"
      )
  height, width = shape[:2]
  return Clip(
    name or "clip",
    width,
    height,
    Fraction(30),
    color.default_matrix(height),
    lambda: frames,
    max_frames,
  )


def signature(clip: Clip) -> list:
  """Name, bytes and time of change of a clip's file: others when it is another."""
  if clip.path is None:
    return [clip.name, None, None]
  status = os.stat(clip.path)
  return [clip.name, status.st_size, int(status.st_mtime)]


def find_clips(
  inputs: Sequence[str],
  max_frames: Optional[int] = None,
  raw_size: Optional[tuple[int, int]] = None,
) -> list[Clip]:
  """Makes a clip of each file and of each video in each folder.

  A folder that holds PNG files is one clip; any other folder gives one clip for each
  video file directly inside it, in the order of their names.

  Args:
    inputs: files and folders.
    max_frames: how many frames to take of each; None takes all.
    raw_size: (width, height) of raw planar .yuv files.

  Raises:
    ValueError: nothing is found, or a file is no video.
  """
  paths = []
  for entry in map(pathlib.Path, inputs):
    if entry.is_dir() and not any(entry.glob("*.png")):
      suffixes = (*video_reader.SUFFIXES, *((".yuv",) if raw_size else ()))
      videos = [path for path in entry.iterdir() if path.suffix.lower() in suffixes]
      videos.sort(key=lambda path: video_reader.natural_key(path.name))
      if not videos:
        raise ValueError(
          f"input: no video in folder {entry}; it needs PNG files or one of "
          f"{', '.join(suffixes)} (raw .yuv with raw_size)"
        )
      paths += videos
    else:
      paths.append(entry)
  if not paths:
    raise ValueError("input: nothing to evaluate; name a video file or a folder")
  clips = []
  for path in paths:
    clip = as_clip(path, max_frames, raw_size)
    others = {other.name for other in clips}
    if clip.name in others:
      clip = clip._replace(name=path.name)
    number = itertools.count(2)
    while clip.name in others:
      clip = clip._replace(name=f"{path.name} ({next(number)})")
    clips.append(clip)
  return clips
