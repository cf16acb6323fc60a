"""The search for a quality, on curves and against trying all."""

import math
import re

import numpy as np
import pytest

from tfafs.coding import target
from tfafs.coding.target import Target, Trial


def curve(quality):
  return Trial(quality, 0.02 * 1.8**quality, 25.0 + 2.5 * quality)


QUALITIES = np.arange(6 * 16 + 1) / 16


def search(wanted, encode=curve):
  tried = []
  found = target.find_quality(encode, 6, wanted, tried.append)
  assert found in tried
  return found, tried


@pytest.mark.parametrize("bpp", [0.02, 0.0501, 0.1, 0.3, 0.66])
def test_the_highest_rate_within_a_budget(bpp):
  found, tried = search(Target("bpp", bpp))
  assert found.bpp <= bpp
  best = max(t.bpp for t in map(curve, QUALITIES) if t.bpp <= bpp)
  assert found.bpp == best or found.bpp >= 0.99 * bpp
  assert len(tried) <= 7


@pytest.mark.parametrize("psnr", [25.0, 27.51, 33.0, 40.0])
def test_the_lowest_rate_that_reaches_a_psnr(psnr):
  found, tried = search(Target("psnr", psnr))
  assert found.psnr >= psnr
  best = min(t.psnr for t in map(curve, QUALITIES) if t.psnr >= psnr)
  assert found.psnr == best or found.psnr <= psnr + 0.05
  assert len(tried) <= 7


def test_the_end_of_the_range_meets_easy_targets():
  assert search(Target("bpp", 5.0))[0].quality == 6
  assert search(Target("psnr", 3.0))[0].quality == 0


def test_out_of_reach_names_the_nearest():
  message = (
    "target_bpp is out of reach: the nearest to 0.01 bits per pixel is quality 0: "
    "0.0200 bits per pixel, 25.00 dB"
  )
  with pytest.raises(ValueError, match=re.escape(message)):
    search(Target("bpp", 0.01))
  with pytest.raises(ValueError, match=r"nearest to 50 dB is quality 6: .* 40.00 dB"):
    search(Target("psnr", 50.0))


def test_a_curve_that_is_not_monotone_still_meets_the_target():
  def wavy(quality):
    bump = 0.3 * math.sin(7 * quality)
    return Trial(quality, 0.02 * 1.8 ** (quality + bump), 25 + 2.5 * (quality + bump))

  for wanted in (Target("bpp", 0.1), Target("psnr", 31.0)):
    assert wanted.is_met(search(wanted, wavy)[0])


def test_what_flags_mean():
  assert target.choose(None, None, 3.0) is None
  assert target.choose(0.1, None, None) == ("bpp", 0.1)
  assert target.choose(None, 30.0, None) == ("psnr", 30.0)
  for wrong in ((0.1, 30.0, None), (0.1, None, 0.0)):
    with pytest.raises(ValueError, match="give one of --quality"):
      target.choose(*wrong)
  for value in (0.0, -1.0, float("nan"), float("inf")):
    with pytest.raises(ValueError, match=r"--target_psnr=.*: give a positive number"):
      target.choose(None, value, None)
