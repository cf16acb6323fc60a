"""Clips of one size out of sequences of frames of any length."""

import hashlib
import itertools
import os
import pathlib
import shutil
import time
import uuid
from collections.abc import Iterable, Sequence

import numpy as np
from absl import logging
from PIL import Image

from tfafs.coding import video_reader
from tfafs.datasets import cache, video

FITS = ("crop", "stretch")
_LOG_SECONDS = 5.0
_TEST_SHARE = 5
"""Of so many videos one is for testing, or of so many frames if there are fewer."""


class SequenceClips:
  """Clips as a pure function of their number.

  For training, a sequence is chosen with a chance that is its share of all starts, then
  a start, uniformly. For evaluation, clip i is of sequence i, its start drawn once and for
  all; or clips go through all of each sequence.

  Attributes:
    num_clips: Clips for evaluation.
  """

  def __init__(
    self,
    sequences: Sequence[np.ndarray],
    names: Sequence[str],
    num_frames: int,
    size: int,
    channels: int,
    interval: int = 1,
    fit: str = "crop",
    seed: int = 0,
    scored: int = 0,
  ):
    """Checks that every sequence can give a clip.

    Args:
      sequences: uint8 [frames, height, width, 1 or 3] each.
      names: What messages call them.
      num_frames: Frames of a clip.
      size: Height and width of a clip.
      channels: 1 or 3; colour becomes grey by its luma, grey is repeated.
      interval: Distance of a clip's frames.
      fit: What becomes of frames that are not square: "crop" takes the middle, "stretch"
        all of them.
      seed: Which sequence of clips.
      scored: Of the frames of a clip for evaluation the last so many are scored, and
        clips lie such that each frame of a sequence that can be is, once. With 0
        evaluation takes one clip of a sequence.

    Raises:
      ValueError: nothing there, or a sequence that is too short.
    """
    check(channels, interval, fit)
    if not sequences:
      raise ValueError("there is no sequence for this split: give more data")
    self._span = (num_frames - 1) * interval + 1
    short = [n for n, s in zip(names, sequences) if len(s) < self._span]
    if short:
      name, length = min(zip(names, map(len, sequences)), key=lambda pair: pair[1])
      more = (
        f" (and {len(short)} of {len(sequences)} are too short)" if short[1:] else ""
      )
      raise ValueError(
        f"{name} has {length} frames{more}, a clip takes {self._span} ({num_frames} "
        f"frames, data.frame_interval={interval}): give longer ones or lower these, or "
        "give data.test_path if they were split for testing"
      )
    self._sequences, self._interval, self._seed = sequences, interval, seed
    self._size, self._channels, self._fit = size, channels, fit
    self._ends = np.cumsum([len(s) - self._span + 1 for s in sequences])
    starts = [len(sequence) - self._span + 1 for sequence in sequences]
    if scored:
      # Of frames that are `interval` apart there are so many rows, one beside the other.
      self._evaluated = [
        (i, start)
        for i, count in enumerate(starts)
        for first in range(min(interval, count))
        for start in range(first, count, scored * interval)
      ]
    else:
      self._evaluated = [
        (i, int(self._random(1, i).integers(count))) for i, count in enumerate(starts)
      ]
    self.num_clips = len(self._evaluated)

  def __call__(self, index: int) -> np.ndarray:
    """Returns training clip `index`, uint8 [num_frames, size, size, channels]."""
    number = self._random(0, index).integers(self._ends[-1])
    which = int(np.searchsorted(self._ends, number, side="right"))
    starts = self._ends[which] - (self._ends[which - 1] if which else 0)
    return self._cut(which, int(number - self._ends[which] + starts))

  def evaluation(self, index: int) -> np.ndarray:
    """Returns clip `index` for evaluation, below `num_clips`, as `__call__` does."""
    return self._cut(*self._evaluated[int(index)])

  def _random(self, purpose, index):
    key = np.random.SeedSequence([self._seed, purpose, int(index)])
    return np.random.Generator(np.random.Philox(key))

  def _cut(self, which, start):
    frames = self._sequences[which][start : start + self._span : self._interval]
    return np.stack(
      [fit_frame(frame, self._size, self._channels, self._fit) for frame in frames]
    )


def check(channels: int, interval: int, fit: str) -> None:
  """Refuses what no clip can be like; see `SequenceClips`."""
  if fit not in FITS:
    raise ValueError(f"data.fit must be one of {', '.join(FITS)}, not {fit!r}")
  if channels not in (1, 3):
    raise ValueError(f"data.channels must be 1 or 3, not {channels}")
  if interval < 1:
    raise ValueError(f"data.frame_interval must be at least 1, not {interval}")


def fit_frame(frame, size: int, channels: int, fit: str = "crop") -> np.ndarray:
  """A frame with another size and number of channels.

  Args:
    frame: uint8 [height, width, 1 or 3].
    size: Height and width of the result.
    channels: 1 or 3.
    fit: "crop" or "stretch".

  Returns:
    uint8 [size, size, channels].
  """
  frame = np.asarray(frame)
  if fit == "crop":
    side = min(frame.shape[:2])
    top, left = (frame.shape[0] - side) // 2, (frame.shape[1] - side) // 2
    frame = frame[top : top + side, left : left + side]
  if frame.shape != (size, size, channels):
    image = Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (size, size):
      image = image.resize((size, size), Image.Resampling.BILINEAR)
    frame = np.asarray(image).reshape(size, size, channels)
  return frame


def from_videos(config, split: str):
  """Sequences of video files and folders of PNG files, decoded into the cache.

  Args:
    config: `config.data` with path, test_path, image_size, raw_size, cache_dir.
    split: "train" or "test". Without `test_path`, every fifth file is for testing, or
      of fewer than five the last fifth of the frames of each.

  Returns:
    Sequences and their names, for `SequenceClips`.

  Raises:
    ValueError: nothing found, or no video. The message names it.
  """
  held_out = bool(config.test_path)
  path = config.test_path if held_out and split == "test" else config.path
  raw_size = video_reader.parse_size(config.raw_size, "data.raw_size")
  files = video.find_videos(path, raw_size)
  by_file = not held_out and len(files) >= _TEST_SHARE
  if by_file:
    wanted = [split == "train"] * (_TEST_SHARE - 1) + [split == "test"]
    files = [f for i, f in enumerate(files) if wanted[i % _TEST_SHARE]]
  sequences, names = [], []
  for file in files:
    size = _raw_size(file, raw_size)
    with video_reader.open_video(file, size=size) as reader:
      factor = _downscale(reader, config.image_size)
    frames = cache.cached_video(file, config.cache_dir, factor, matrix=None, size=size)
    name = str(file)
    if not held_out and not by_file:
      first_test = len(frames) - len(frames) // _TEST_SHARE
      frames = frames[:first_test] if split == "train" else frames[first_test:]
      name += f", its part for {'training' if split == 'train' else 'testing'},"
    sequences.append(frames)
    names.append(name)
  return sequences, names


def first_frames(path, count: int, config) -> np.ndarray:
  """The first frames of a video, as far apart and as large as those of clips.

  Args:
    path: Video file or folder of PNG files.
    count: Frames.
    config: `config.data` with image_size, channels, fit, frame_interval, raw_size.

  Returns:
    uint8 [count, size, size, channels].

  Raises:
    ValueError: no video, or one that is too short.
  """
  path, interval = pathlib.Path(path), config.frame_interval
  span = (count - 1) * interval + 1
  size = video_reader.parse_size(config.raw_size, "data.raw_size")
  with video_reader.open_video(path, size=_raw_size(path, size)) as reader:
    factor = _downscale(reader, config.image_size)
    frames = [
      cache.downscale_area(frame, factor)
      for frame in itertools.islice(reader, 0, span, interval)
    ]
  if len(frames) < count:
    raise ValueError(
      f"{path} is too short: {count} frames, each {interval} after the one before "
      f"(data.frame_interval), take {span}; it gives {len(frames)}"
    )
  return np.stack(
    [
      fit_frame(frame, config.image_size, config.channels, config.fit)
      for frame in frames
    ]
  )


def _raw_size(file, raw_size):
  """Of raw files the size that they cannot say; None of others."""
  return raw_size if file.suffix.lower() == ".yuv" and file.is_file() else None


def _downscale(reader, image_size):
  """Factor by which frames go into the cache: they stay as large as clips, or larger."""
  return min(max(min(reader.height, reader.width) // image_size, 1), 16)


def from_arrays(config, split: str):
  """Sequences of `.npy` files, [sequences, frames, height, width] or with channels.

  Args:
    config: `config.data` with path, test_path and `time_major`, which says that the file
      has frames before sequences, as Moving MNIST's `mnist_test_seq.npy` has.
    split: "train" or "test". Without `test_path`, the last tenth of the sequences is for
      testing.

  Returns:
    Sequences and their names, for `SequenceClips`.

  Raises:
    ValueError: no array, or another rank, type, range or size of frames than there may
      be. The message names the file.
  """
  held_out = bool(config.test_path)
  path = config.test_path if held_out and split == "test" else config.path
  files = _array_files(path)
  sequences, names, shape = [], [], None
  for file in files:
    array = _read_array(file, config.time_major)
    if shape not in (None, array.shape[2:]):
      raise ValueError(
        f"{file}: frames of {array.shape[2:]}, those of {files[0]} are {shape}: arrays "
        "of one data set must have one size"
      )
    shape = array.shape[2:]
    sequences += list(array)
    names += [f"{file}, sequence {i}" for i in range(len(array))]
  if not held_out:
    if len(sequences) < 2:
      raise ValueError(
        f"data.path={path}: {len(sequences)} sequence: a tenth of them, at least one, is "
        "for testing: give two or more, or data.test_path"
      )
    first_test = len(sequences) - max(1, len(sequences) // 10)
    part = slice(None, first_test) if split == "train" else slice(first_test, None)
    sequences, names = sequences[part], names[part]
  return sequences, names


def _array_files(path):
  if not path:
    raise ValueError("data.path is empty: give a .npy file or a folder of them")
  root = pathlib.Path(path).expanduser()
  files = sorted(root.glob("*.npy")) if root.is_dir() else [root]
  if not root.exists():
    raise ValueError(f"data.path={path} does not exist")
  if not files:
    raise ValueError(f"data.path={path}: no .npy file found")
  return files


def _read_array(file, time_major):
  """uint8 [sequences, frames, height, width, channels]."""
  try:
    array = np.load(file, mmap_mode="r", allow_pickle=False)
  except (ValueError, EOFError) as error:
    raise ValueError(f"{file}: no .npy file of numbers ({error})") from error
  if array.ndim not in (4, 5) or (array.ndim == 5 and array.shape[-1] not in (1, 3)):
    raise ValueError(
      f"{file}: has shape {array.shape}; it must be [sequences, frames, height, width], "
      "with an axis of 1 or 3 channels behind if there are any"
    )
  if array.ndim == 4:
    array = array[..., None]
  if time_major:
    array = array.swapaxes(0, 1)
  if array.dtype == np.uint8:
    return array
  if not np.issubdtype(array.dtype, np.floating):
    raise ValueError(
      f"{file}: holds {array.dtype}; it must be uint8, or floats from 0 to 1"
    )
  low, high = float(np.min(array)), float(np.max(array))
  if not (low >= 0 and high <= 1):  # NaN is neither.
    raise ValueError(f"{file}: values from {low} to {high}; floats must be from 0 to 1")
  return np.rint(array * 255).astype(np.uint8)


def cached_frames(name: str, key: str, videos: Iterable, count: int, folder="") -> list:
  """Writes sequences of one size into the cache once, and maps them into memory.

  Args:
    name: What messages call them.
    key: What the content depends on.
    videos: Iterable of uint8 [frames, height, width, channels]; consumed if the cache
      does not have them yet.
    count: How many there are.
    folder: Where the cache lies; "" is `cache.default_cache_dir()`.

  Returns:
    List of uint8 arrays, read-only.

  Raises:
    ValueError: there is no sequence, or the disk is too small for them.
  """
  folder = pathlib.Path(folder).expanduser() if folder else cache.default_cache_dir()
  digest = hashlib.sha256(key.encode()).hexdigest()[:20]
  entry = folder / f"sequences-{digest}"
  if not entry.exists():
    part = folder / f".{entry.name}.{uuid.uuid4().hex[:8]}.part"
    part.mkdir(parents=True)
    try:
      _write_sequences(name, videos, count, part)
      try:
        os.rename(part, entry)
      except OSError:
        if not entry.exists():  # Else another process was first with the same.
          raise
    finally:
      shutil.rmtree(part, ignore_errors=True)
  index = np.load(entry / "index.npz")
  shape = (int(index["lengths"].sum()), *index["shape"].tolist())
  frames = np.memmap(entry / "frames", np.uint8, "r", shape=shape)
  return np.split(frames, np.cumsum(index["lengths"])[:-1])


def _write_sequences(name, videos, count, part):
  """Writes an entry of the cache: all frames behind each other, and an index."""
  logging.info("decoding %s, once, into %s", name, part.parent)
  lengths, shape, logged = [], None, time.monotonic()
  with open(part / "frames", "wb") as file:
    for frames in videos:
      file.write(np.ascontiguousarray(frames).tobytes())
      file.flush()
      lengths.append(len(frames))
      shape = frames.shape[1:]
      # Those to come are as long as those before, about.
      needed = file.tell() / len(lengths) * (count - len(lengths))
      free = shutil.disk_usage(part).free
      if needed > free:
        raise ValueError(
          f"{name}: decoded it takes about {needed / 1e9:.1f} GB more, {part.parent} has "
          f"{free / 1e9:.1f} GB: set data.cache_dir to a larger disk"
        )
      if time.monotonic() - logged > _LOG_SECONDS:
        logged = time.monotonic()
        logging.info("decoding %s: sequence %d of %d", name, len(lengths), count)
  if not lengths:
    raise ValueError(f"{name}: there are no examples: prepare the data set again")
  np.savez(part / "index.npz", lengths=lengths, shape=shape)
