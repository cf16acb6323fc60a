"""The claims that a checksum makes of a frame that drifted, against the frames."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfafs.coding import frame_checksum
from tfafs.coding.frame_checksum import DriftSummary, FrameCheck


def _frame(seed, height=17, width=21):
  return np.random.default_rng(seed).integers(0, 256, [height, width, 3], np.uint8)


def _shifted(frame, random, share, levels):
  """`frame`, a share of its samples moved by up to so many levels, and by how much."""
  moved = random.random(frame.shape) < share
  step = random.integers(-levels, levels + 1, frame.shape) * moved
  other = np.clip(frame.astype(int) + step, 0, 255)
  return other.astype(np.uint8), other - frame


def _sums_by_hand(frame):
  """The documentation's words, sample by sample, in Python integers."""
  sums = [0] * 24
  for i, sample in enumerate(frame.reshape(-1).tolist()):
    word = i ^ i >> 16
    word = word * 0x21F0AAAD % 2**32
    word ^= word >> 15
    word = word * 0x735A2D97 % 2**32
    word ^= word >> 15
    for j in range(24):
      sums[j] += -sample if word >> j & 1 else sample
  return [s % 2**16 for s in sums]


@pytest.mark.parametrize("size", [(17, 21), (160, 150)])  # one chunk of work, and two
def test_bytes_are_as_documented(size):
  frame = _frame(0, *size)
  stored = frame_checksum.checksum(frame)
  assert len(stored) == 52
  assert stored[:4] == zlib.crc32(frame.tobytes()).to_bytes(4, "little")
  assert np.frombuffer(stored, "<u2", offset=4).tolist() == _sums_by_hand(frame)
  # What lies where in memory does not matter.
  assert frame_checksum.checksum(np.asfortranarray(frame)) == stored


def test_equal_frames():
  stored = frame_checksum.checksum(_frame(1))
  assert frame_checksum.compare(stored, _frame(1), 7) == FrameCheck(7, True, 0, 0.0)


@settings(max_examples=150, deadline=None)
@given(
  seed=st.integers(0, 2**32 - 1),
  share=st.sampled_from([0.001, 0.01, 0.3, 1.0]),
  levels=st.sampled_from([1, 2, 9, 255]),
)
def test_no_sample_drifted_by_more_than_is_said(seed, share, levels):
  random = np.random.default_rng(seed)
  frame = _frame(seed)
  other, drift = _shifted(frame, random, share, levels)
  check = frame_checksum.compare(frame_checksum.checksum(frame), other, 0)
  assert check.exact == (not drift.any())
  assert check.levels >= np.abs(drift).max()
  # Nor is it more than if all the drift were in one sample.
  assert check.levels <= np.abs(drift).sum()
  rms = np.sqrt(np.mean(drift**2.0))
  if 0 < rms < 2**13 / np.sqrt(drift.size):
    assert 0.4 * rms < check.rms < 1.8 * rms


@pytest.mark.parametrize("levels", [1, -3, 254])
def test_one_sample_is_measured_exactly(levels):
  frame = np.full([64, 64, 3], 0 if levels > 0 else 255, np.uint8)
  other = frame.copy()
  other[13, 57, 2] = int(other[13, 57, 2]) + levels
  check = frame_checksum.compare(frame_checksum.checksum(frame), other, 5)
  assert check.levels == abs(levels) and not check.exact
  assert check.rms == pytest.approx(abs(levels) / np.sqrt(frame.size))
  assert f"by at most {abs(levels)} levels" in str(check)


def test_half_of_the_sums_see_any_one_sample_among_others():
  """P(|Z| >= |d|) >= 1/2 for each of the sums, whatever the other samples do."""
  random = np.random.default_rng(3)
  seen = []
  for seed in range(200):
    frame = _frame(seed)
    other, drift = _shifted(frame, random, 0.05, 3)
    one, two = (
      np.frombuffer(frame_checksum.checksum(f), "<u2", offset=4) for f in (frame, other)
    )
    z = (one - two).view(np.int16).astype(int)
    seen.append(np.mean(np.abs(z) >= np.abs(drift).max()))
  assert min(seen) > 0.3 and np.mean(seen) > 0.5


def test_dense_drift_is_not_bounded_but_estimated():
  frame = _frame(4, 300, 300)
  other, drift = _shifted(frame, np.random.default_rng(5), 1.0, 2)
  check = frame_checksum.compare(frame_checksum.checksum(frame), other, 0)
  assert check.levels == 255 and "too much to bound it" in str(check)
  assert check.rms == pytest.approx(np.sqrt(np.mean(drift**2.0)), rel=0.5)


def test_equal_sums_with_another_crc_still_say_drifted():
  stored = frame_checksum.checksum(_frame(6))
  check = frame_checksum.compare(bytes([stored[0] ^ 1]) + stored[1:], _frame(6), 0)
  assert not check.exact and check.levels == 1


def test_summary():
  summary = DriftSummary()
  for index, levels in enumerate((0, 2, 0, 9, 9)):
    rms = 0.5 if index == 4 else 0.1
    check = FrameCheck(index, not levels, levels, rms * bool(levels))
    summary = summary.plus(check)
  assert (summary.frames, summary.exact_frames, summary.exact) == (5, 2, False)
  assert summary.first.index == 1 and summary.worst.index == 4
  assert str(summary) == (
    "3 of 5 frames drifted: frame 1 drifted by at most 2 levels, 0.1 RMS; at worst "
    "frame 4 drifted by at most 9 levels, 0.5 RMS"
  )
  exact = DriftSummary().plus(FrameCheck(0, True, 0, 0.0))
  assert exact.exact and str(exact) == "bit-exact, 1 checksums"


def test_what_is_no_frame_and_no_checksum():
  with pytest.raises(ValueError, match="frame is float64"):
    frame_checksum.checksum(np.zeros([16, 16, 3]))
  with pytest.raises(ValueError, match="stored has 3 bytes; a checksum has 52"):
    frame_checksum.compare(b"abc", _frame(0), 0)
