"""Checksum of a decoded frame: 52 bytes that tell how far another decoder drifted.

A CRC says "equal" or "not equal". To bound a difference as well, the encoder stores, of
its reconstruction x (uint8, n samples in the order [height, width, channel]),

    CRC-32(x)    and    S_j = sum_i s_ij x_i  mod 2^16,    j = 0 ... 23,

with signs s_ij = +-1 that are fixed and pseudo-random. From its own frame y a decoder
has Z_j = S_j(x) - S_j(y) = sum_i s_ij d_i mod 2^16, where d = x - y, without knowing x.
Two things follow for signs that are independent and fair, which the drift cannot know:

- **A bound.** Let d_m be the largest difference. Z_j = R +- d_m, each with probability
  1/2 whatever the rest R is, and not both are smaller than |d_m| in magnitude (nor mod
  2^16, as 4 |d_m| < 2^16). So P(|Z_j| < |d_m|) <= 1/2, for every difference there is, and

      P(max_j |Z_j| < max_i |d_i|) <= 2^-24.

  `levels`, the largest |Z_j|, is thus an upper bound of the drift, wrong with a
  probability of at most one in 16 million. It is exact if one sample differs, at most
  the sum of all differences, and grows like 2.3 times their Euclidean norm: tight where
  few samples differ, and no bound (255) where very many do. No sketch of this size can do
  better: telling a largest difference of 1 from one of m takes n / m^2 bits (Bar-Yossef
  et al., "An information statistics approach to data stream and communication
  complexity", 2004).
- **An estimate.** E Z_j^2 = |d|^2, so `rms` = sqrt(mean_j Z_j^2 / n) estimates the root
  mean square difference within about 15 %, as long as it is below 2^13 / sqrt(n).
"""

import zlib
from typing import NamedTuple, Optional

import numpy as np

from tfafs.coding.packing import CHECKSUM_BYTES

NUM_SUMS = 24
MAX_LEVELS = 255  # as a bound: none

_HALF = NUM_SUMS // 2
_CHUNK = 1 << 16  # samples at a time, so that the work stays in the cache
_SIGNS = 1 - 2 * (np.arange(1 << _HALF)[:, None] >> np.arange(_HALF) & 1)


class FrameCheck(NamedTuple):
  """How a decoded frame compares with the encoder's.

  Attributes:
    index: number of the frame.
    exact: whether the frames are equal (a wrong "yes" has probability 2^-32).
    levels: no sample differs by more, of 255 levels; 255 if that cannot be bounded. A
      wrong bound has a probability of at most 2^-24.
    rms: estimate of the root mean square difference, in levels.
  """

  index: int
  exact: bool
  levels: int
  rms: float

  def __str__(self):
    if self.exact:
      return f"frame {self.index} is bit-exact"
    bound = f"by at most {self.levels} levels"
    if self.levels == MAX_LEVELS:
      bound = "too much to bound it"
    return f"frame {self.index} drifted {bound}, {self.rms:.2g} RMS"


class DriftSummary(NamedTuple):
  """What the checks of all frames that were decoded come to.

  Attributes:
    frames: number of frames checked.
    exact_frames: how many of them are bit-exact.
    first: FrameCheck of the first that is not, or None.
    worst: FrameCheck of the one with the largest bound, or None.
  """

  frames: int = 0
  exact_frames: int = 0
  first: Optional[FrameCheck] = None
  worst: Optional[FrameCheck] = None

  @property
  def exact(self) -> bool:
    """Whether all frames checked are bit-exact."""
    return self.frames == self.exact_frames

  def plus(self, check: FrameCheck) -> "DriftSummary":
    """The summary with another frame."""
    first, worst = self.first, self.worst
    if not check.exact:
      first = first or check
      if worst is None or (check.levels, check.rms) > (worst.levels, worst.rms):
        worst = check
    return DriftSummary(self.frames + 1, self.exact_frames + check.exact, first, worst)

  def __str__(self):
    if self.exact:
      return f"bit-exact, {self.frames} checksums"
    drifted = self.frames - self.exact_frames
    text = f"{drifted} of {self.frames} frames drifted: {self.first}"
    return text if self.worst == self.first else f"{text}; at worst {self.worst}"


def _words(start: int, count: int) -> np.ndarray:
  """A pseudo-random uint32 for each position; bit j is the sign of sum j.

  A bijection of 32-bit numbers in which every bit of the position moves every bit of
  the word with a probability near 1/2 (the multipliers are C. Wellons' "lowbias32").
  """
  word = np.arange(start, start + count, dtype=np.uint32)
  word ^= word >> 16
  word *= np.uint32(0x21F0AAAD)
  word ^= word >> 15
  word *= np.uint32(0x735A2D97)
  word ^= word >> 15
  return word


def _sums(frame: np.ndarray) -> np.ndarray:
  """S_j, uint16 [24]."""
  flat = frame.reshape(-1)
  # A sum of samples per half word; the signs of 12 sums each are constant on those.
  halves = np.zeros([2, 1 << _HALF])
  for start in range(0, flat.size, _CHUNK):
    chunk = flat[start : start + _CHUNK].astype(np.float64)
    words = _words(start, chunk.size)
    for half, table in enumerate(halves):
      part = (words >> _HALF * half & (1 << _HALF) - 1).astype(np.int64)
      table += np.bincount(part, chunk, 1 << _HALF)
  # Exact: sums of integers far below 2^53.
  return (halves.astype(np.int64) @ _SIGNS).reshape(-1).astype(np.uint16)


def checksum(frame: np.ndarray) -> bytes:
  """Checksum of a frame.

  Args:
    frame: uint8 [H, W, 3].

  Returns:
    52 bytes: CRC-32, then the 24 sums, all little-endian.

  Raises:
    ValueError: `frame` is not uint8.
  """
  frame = np.ascontiguousarray(frame)
  if frame.dtype != np.uint8:
    raise ValueError(f"frame is {frame.dtype}; checksums are of uint8 frames")
  crc = zlib.crc32(frame)
  return crc.to_bytes(4, "little") + _sums(frame).astype("<u2").tobytes()


def compare(stored: bytes, frame: np.ndarray, index: int) -> FrameCheck:
  """Compares a decoded frame with the checksum of the encoder's.

  Args:
    stored: what `checksum` made of the encoder's frame.
    frame: uint8 [H, W, 3], as decoded.
    index: number of the frame.

  Returns:
    FrameCheck.

  Raises:
    ValueError: `stored` is no checksum, or `frame` is not uint8.
  """
  if len(stored) != CHECKSUM_BYTES:
    raise ValueError(f"stored has {len(stored)} bytes; a checksum has {CHECKSUM_BYTES}")
  own = checksum(frame)
  if own == stored:
    return FrameCheck(index, True, 0, 0.0)
  difference = np.frombuffer(stored, "<u2", offset=4) - np.frombuffer(
    own, "<u2", offset=4
  )
  difference = difference.view(np.int16).astype(np.int64)
  levels = int(np.clip(np.abs(difference).max(), 1, MAX_LEVELS))
  rms = float(np.sqrt(np.mean(difference**2) / frame.size))
  return FrameCheck(index, False, levels, rms)
