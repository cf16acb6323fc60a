"""Videos side by side: as one picture with time along, or moving."""

import io
import os
import pathlib
import tempfile
from fractions import Fraction

import av
import numpy as np
from PIL import Image

from tfafs.evaluation import files

_GAP = 2
_MARK = (192, 57, 43)
SUFFIXES = (".png", ".gif", ".mp4")


def strip(videos, context: int = 0, zoom: int = 1) -> np.ndarray:
  """All videos as one picture: a row each, time from left to right.

  Args:
    videos: uint8 [n, time, height, width, 1 or 3].
    context: Frames at the start that were given, not drawn; a line marks where they end.
    zoom: Pixels for each pixel.

  Returns:
    uint8 [rows, columns, 3].
  """
  n, time, height, width = videos.shape[:4]
  high, wide = height * zoom + _GAP, width * zoom + _GAP
  sheet = np.full([n * high + _GAP, time * wide + _GAP, 3], 255, np.uint8)
  for i, row in enumerate(_enlarge(videos, zoom)):
    for t, frame in enumerate(row):
      top, left = _GAP + i * high, _GAP + t * wide
      sheet[top : top + high - _GAP, left : left + wide - _GAP] = frame
  if 0 < context < time:
    sheet[:, context * wide : context * wide + _GAP] = _MARK
  return sheet


def mosaic(videos, context: int = 0, zoom: int = 2) -> np.ndarray:
  """All videos beside each other, moving; a frame marks those that were given.

  Args:
    videos: uint8 [n, time, height, width, 1 or 3].
    context: Frames at the start that were given, not drawn.
    zoom: Pixels for each pixel.

  Returns:
    uint8 [time, rows, columns, 3], of even size.
  """
  n, time, height, width = videos.shape[:4]
  columns = int(np.ceil(np.sqrt(n)))
  rows = -(-n // columns)
  high, wide = height * zoom + _GAP, width * zoom + _GAP
  shape = [time, rows * high + _GAP, columns * wide + _GAP, 3]
  shape[1:3] = [side + side % 2 for side in shape[1:3]]
  sheet = np.full(shape, 255, np.uint8)
  sheet[:context] = _MARK
  for i, video in enumerate(_enlarge(videos, zoom)):
    top, left = _GAP + i // columns * high, _GAP + i % columns * wide
    sheet[:, top : top + high - _GAP, left : left + wide - _GAP] = video
  return sheet


def write(path, videos, context: int = 0, frame_rate: int = 8) -> None:
  """Writes videos as a strip (.png) or moving (.gif, .mp4), whole or not at all.

  Args:
    path: File to write; its ending says how.
    videos: uint8 [n, time, height, width, 1 or 3].
    context: Frames at the start that were given, not drawn.
    frame_rate: Frames per second.

  Raises:
    ValueError: another ending.
  """
  suffix = pathlib.Path(path).suffix.lower()
  if suffix == ".png":
    file = io.BytesIO()
    Image.fromarray(strip(videos, context)).save(file, format="PNG")
    files.write(path, file.getvalue())
  elif suffix == ".gif":
    frames = [Image.fromarray(frame) for frame in mosaic(videos, context)]
    file = io.BytesIO()
    frames[0].save(
      file,
      format="GIF",
      save_all=True,
      append_images=frames[1:],
      duration=round(1000 / frame_rate),
      loop=0,
    )
    files.write(path, file.getvalue())
  elif suffix == ".mp4":
    files.write(path, _mp4(mosaic(videos, context), frame_rate))
  else:
    raise ValueError(f"{path}: the ending must be one of {', '.join(SUFFIXES)}")


def _mp4(frames, frame_rate) -> bytes:
  """H.264 in MP4, nearly lossless."""
  with tempfile.TemporaryDirectory() as folder:
    name = os.path.join(folder, "video.mp4")
    with av.open(name, "w") as container:
      stream = container.add_stream("libx264", rate=Fraction(frame_rate))
      stream.height, stream.width = frames.shape[1:3]
      stream.pix_fmt = "yuv420p"
      stream.options = {"crf": "12"}
      for frame in frames:
        for packet in stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")):
          container.mux(packet)
      for packet in stream.encode():
        container.mux(packet)
    return pathlib.Path(name).read_bytes()


def _enlarge(videos, zoom):
  """[n, time, zoom * height, zoom * width, 3]."""
  videos = np.repeat(np.repeat(videos, zoom, 2), zoom, 3)
  return np.broadcast_to(videos, [*videos.shape[:4], 3])
