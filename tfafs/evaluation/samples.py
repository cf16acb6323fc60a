"""Sample frames for reports: the same frame as each codec decodes it, and a detail."""

import io
from typing import NamedTuple, Optional

import numpy as np
from PIL import Image

from tfafs.evaluation import metrics, rd_curves


class Sample(NamedTuple):
  """One decoded frame kept for the report, as PNG files in memory."""

  index: int
  kind: str
  num_bytes: int
  psnr: float
  frame_png: bytes
  detail_png: bytes


class Box(NamedTuple):
  """Where the detail lies, in pixels."""

  top: int
  left: int
  height: int
  width: int


class Sampler:
  """Keeps one frame of a clip, original and decoded; pass it as `on_frame`.

  That frame is the one in the middle of the second group of pictures, neither the best
  nor the worst of its kind; or the last one of a clip that ends before.

  Args:
    gop: distance of I frames; 0: only the first, which counts as 24.
  """

  def __init__(self, gop: int):
    gop = gop or 24
    self.index = gop + gop // 2
    self._original: Optional[np.ndarray] = None
    self._decoded: Optional[np.ndarray] = None
    self._last = 0

  def __call__(self, index: int, original: np.ndarray, decoded: np.ndarray) -> None:
    """Takes a frame and its decoded version."""
    if index <= self.index:
      self._last = index
      self._original, self._decoded = original.copy(), decoded.copy()

  def original(self) -> Sample:
    """The original frame and its detail."""
    return self._sample(self._original, "", self._original.size, metrics.MAX_PSNR)

  def decoded(self, result: rd_curves.ClipResult) -> Sample:
    """The decoded frame, after `evaluate_clip` has returned `result`."""
    frame = result.frames[self._last]
    return self._sample(self._decoded, frame.kind, frame.num_bytes, frame.psnr)

  def _sample(self, frame, kind, num_bytes, psnr) -> Sample:
    box = busiest_box(self._original)
    detail = frame[box.top : box.top + box.height, box.left : box.left + box.width]
    return Sample(self._last, kind, num_bytes, psnr, png(frame), png(detail))


def busiest_box(frame: np.ndarray) -> Box:
  """The box of a third of the frame's sides with the strongest gradients.

  Args:
    frame: uint8 [height, width, 3].
  """
  luma = frame.astype(np.float64).mean(axis=-1)
  energy = np.zeros_like(luma)
  energy[1:] += np.abs(np.diff(luma, axis=0))
  energy[:, 1:] += np.abs(np.diff(luma, axis=1))
  rows, columns = luma.shape
  height, width = (rows + 2) // 3, (columns + 2) // 3
  # Sums over all boxes, from the integral image.
  total = np.pad(energy, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
  sums = (
    total[height:, width:]
    - total[:-height, width:]
    - total[height:, :-width]
    + total[:-height, :-width]
  )
  top, left = np.unravel_index(int(sums.argmax()), sums.shape)
  return Box(int(top), int(left), height, width)


def png(frame: np.ndarray) -> bytes:
  """A PNG file of a uint8 [height, width, 3] frame."""
  file = io.BytesIO()
  Image.fromarray(frame).save(file, format="PNG")
  return file.getvalue()
