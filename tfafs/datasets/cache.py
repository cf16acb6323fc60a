"""Decoded videos on disk: each file once decoded, downscaled, and mapped into memory.

A cache entry is an uncompressed NumPy file, uint8 [frames, height, width, 3], that any
number of processes can map. Its name holds a hash of all that it depends on, so that a
changed video or another setting makes a new entry; old ones can be deleted at any time.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import time
import uuid

import numpy as np
from absl import logging

from tfafs.coding import video_reader

_VERSION = 1  # Of what decoding does; a new number makes all entries anew.
_HEADER_BYTES = 128
_LOG_SECONDS = 5.0


def default_cache_dir() -> pathlib.Path:
  """`$XDG_CACHE_HOME/tfafs`, which is ~/.cache/tfafs unless set otherwise."""
  base = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
  return pathlib.Path(base).expanduser() / "tfafs"


def downscale_area(frame: np.ndarray, factor: int) -> np.ndarray:
  """Reduces a frame by exact box averages, rounded half up.

  Args:
    frame: uint8 [H, W, C].
    factor: Side of the box, 1 to 16. Odd remainders are cropped at the bottom and
      right.

  Returns:
    uint8 [H // factor, W // factor, C].
  """
  if not 1 <= factor <= 16:
    raise ValueError(f"downscale must be 1 to 16, not {factor}")
  height, width = (side // factor for side in frame.shape[:2])
  if not height or not width:
    raise ValueError(
      f"a frame of {frame.shape[1]}x{frame.shape[0]} pixels is too small for downscale "
      f"{factor}"
    )
  if factor == 1:
    return frame
  frame = frame[: height * factor, : width * factor]
  total = np.full((height, width, frame.shape[2]), factor**2 // 2, np.uint16)
  for row in range(factor):
    for column in range(factor):
      total += frame[row::factor, column::factor]
  return (total // np.uint16(factor**2)).astype(np.uint8)


def cached_video(
  path, cache_dir="", downscale: int = 1, **reader_options
) -> np.ndarray:
  """Decodes a video unless the cache has it, and maps the frames into memory.

  Args:
    path: A video file or a folder of PNG files.
    cache_dir: Where the cache lies; "" is `default_cache_dir()`.
    downscale: Factor of the reduction by area, 1 to 16.
    **reader_options: For `video_reader.open_video`: size, matrix, ...

  Returns:
    uint8 [frames, height, width, 3], read-only, paged in by the system as it is used.

  Raises:
    ValueError: no video, or the disk is too small for it.
  """
  path = pathlib.Path(path)
  folder = pathlib.Path(cache_dir).expanduser() if cache_dir else default_cache_dir()
  entry = folder / _entry_name(path, downscale, reader_options)
  if not entry.exists():
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{entry.name}.{uuid.uuid4().hex[:8]}.part"
    try:
      with video_reader.open_video(path, **reader_options) as reader:
        _decode(reader, part, downscale)
      os.replace(part, entry)
    finally:
      part.unlink(missing_ok=True)
  return np.load(entry, mmap_mode="r")


def _entry_name(path, downscale, reader_options) -> str:
  """File name of the entry: readable, and different whenever the content would be."""
  if not path.exists():
    raise ValueError(f"{path}: no such file or folder")
  files = sorted(path.glob("*.png")) if path.is_dir() else [path]
  stats = [(file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files]
  key = [
    _VERSION,
    str(path.resolve()),
    stats,
    downscale,
    sorted(reader_options.items()),
  ]
  digest = hashlib.sha256(json.dumps(key, default=str).encode()).hexdigest()
  return f"{re.sub('[^A-Za-z0-9]+', '_', path.stem)[:40]}-{digest[:20]}.npy"


def _decode(reader, part: pathlib.Path, downscale: int):
  """Writes all frames of `reader` to `part` as a NumPy file."""
  frame_bytes = 3 * (reader.height // downscale) * (reader.width // downscale)
  if reader.frame_count:
    needed, free = reader.frame_count * frame_bytes, shutil.disk_usage(part.parent).free
    if needed > free:
      raise ValueError(
        f"{reader.name}: decoded it takes {needed / 1e9:.1f} GB, {part.parent} has "
        f"{free / 1e9:.1f} GB: set data.cache_dir to a larger disk or raise "
        "data.downscale"
      )
  logging.info("decoding %s, once, into %s", reader.name, part.parent)
  count, shape, logged = 0, None, time.monotonic()
  with open(part, "xb") as file:
    file.write(bytes(_HEADER_BYTES))
    for frame in reader:
      frame = downscale_area(frame, downscale)
      file.write(frame.tobytes())
      shape, count = frame.shape, count + 1
      if time.monotonic() - logged > _LOG_SECONDS:
        logged = time.monotonic()
        of = f" of {reader.frame_count}" if reader.frame_count else ""
        logging.info("decoding %s: frame %d%s", reader.name, count, of)
    # The number of frames is known only now. Format 1.0 of numpy.lib.format.
    header = repr({"descr": "|u1", "fortran_order": False, "shape": (count, *shape)})
    header = header.ljust(_HEADER_BYTES - 11).encode() + b"\n"
    file.seek(0)
    file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
