"""What every codec under evaluation tells about a file it wrote."""

import contextlib
import time
from collections.abc import Callable
from typing import NamedTuple, Optional, Protocol

import numpy as np

from tfafs.evaluation import clips


class CodedFrame(NamedTuple):
  """One frame as it lies in the file."""

  kind: str
  """"I" or "P"."""
  num_bytes: int
  """Bytes of the frame's own data, without container and headers."""
  part_bytes: Optional[dict[str, int]] = None
  """Bytes of each bit string (motion, residual, ...), where the codec has such."""
  part_bits: Optional[dict[str, float]] = None
  """Information content of each part as the model estimates it, in bits."""
  checksum: Optional[int] = None
  """CRC-32 of the encoder's own reconstruction, where the codec has one."""


class EncodedFile(NamedTuple):
  """A file and how long it took to make, in seconds of pure encoding."""

  frames: list[CodedFrame]
  seconds: float


class FileCodec(Protocol):
  """A codec that writes and reads whole files, one frame in memory at a time."""

  name: str
  """The curve this codec's points belong to."""
  setting: str
  """What distinguishes this point on the curve: "crf=27", "beta=0.01"."""
  suffix: str
  """Ending of its files, with the dot."""

  def encode_file(self, clip: clips.Clip, path: str, gop: int) -> EncodedFile:
    """Writes the clip to a file."""

  def decode_file(
    self, path: str, on_frame: Callable[[np.ndarray], None], clip: clips.Clip
  ) -> float:
    """Calls `on_frame` with each decoded frame; returns seconds of pure decoding."""


class Stopwatch:
  """Adds up the time spent inside `with` blocks."""

  def __init__(self):
    self.seconds = 0.0

  @contextlib.contextmanager
  def running(self):
    """Counts the time inside this block."""
    start = time.perf_counter()
    try:
      yield
    finally:
      self.seconds += time.perf_counter() - start
