import numpy as np
import pytest

from tfafs.evaluation import bd_rate

RATES = [0.05, 0.1, 0.2, 0.4, 0.8]
QUALITIES = [28.0, 31.5, 34.2, 36.4, 38.0]

# UVG, in dB over bits per pixel: x265 and x264 as published with VCT.
X265 = [
  *[(0.0024, 28.15), (0.0043, 30.18), (0.0097, 32.30), (0.0211, 34.30)],
  *[(0.0455, 36.22), (0.1271, 38.08), (0.2055, 38.88), (0.4477, 40.63)],
]
X264 = [
  *[(0.0052, 27.98), (0.0083, 30.01), (0.0144, 32.12), (0.0269, 34.14)],
  *[(0.0548, 35.99), (0.1459, 37.85), (0.2403, 38.69), (0.5013, 40.15)],
]


def scaled(factor):
  return [factor * rate for rate in RATES]


@pytest.mark.parametrize("factor", [0.5, 0.8, 1, 1.7])
def test_a_constant_factor_of_rate_is_found(factor):
  result = bd_rate.bd_rate(RATES, QUALITIES, scaled(factor), QUALITIES)
  assert result.value == pytest.approx(100 * (factor - 1), abs=1e-9)
  assert result.reason is None
  assert result.overlap == 1


def test_order_and_number_of_points_do_not_matter():
  backwards = bd_rate.bd_rate(RATES, QUALITIES, scaled(0.8)[::-1], QUALITIES[::-1])
  assert backwards.value == pytest.approx(-20)
  fewer = bd_rate.bd_rate(RATES, QUALITIES, scaled(0.8)[:4], QUALITIES[:4])
  assert fewer.value == pytest.approx(-20, abs=0.5)
  assert fewer.overlap == pytest.approx(0.84)


def test_agrees_with_the_trapezoidal_rule_on_published_curves():
  (anchor_rates, anchor_psnrs), (rates, psnrs) = zip(*X265), zip(*X264)
  grid = np.linspace(
    max(anchor_psnrs[0], psnrs[0]), min(anchor_psnrs[-1], psnrs[-1]), 9999
  )
  difference = np.interp(grid, psnrs, np.log(rates)) - np.interp(
    grid, anchor_psnrs, np.log(anchor_rates)
  )
  expected = 100 * (np.exp(difference.mean()) - 1)
  assert expected == pytest.approx(53.8, abs=0.5)  # by linear interpolation
  result = bd_rate.bd_rate(anchor_rates, anchor_psnrs, rates, psnrs)
  assert result.value == pytest.approx(expected, abs=1.5)


@pytest.mark.parametrize(
  ("rates", "qualities", "reason"),
  [
    ([], [], "the curve has no points"),
    ([0.1], [31], "the curve has 1 point; BD-rate needs 4"),
    (RATES[:3], QUALITIES[:3], "the curve has 3 points; BD-rate needs 4"),
    (RATES, [q + 20 for q in QUALITIES], "no quality in common"),
    (RATES, [28, 31, 30, 36, 38], "not monotone"),
    ([0.1, 0.1, 0.2, 0.4, 0.8], QUALITIES, "not monotone"),
    ([0, *RATES[1:]], QUALITIES, "rate of zero"),
    (RATES, [float("nan"), *QUALITIES[1:]], "not finite"),
  ],
)
def test_curves_that_cannot_be_compared_give_a_reason(rates, qualities, reason):
  result = bd_rate.bd_rate(RATES, QUALITIES, rates, qualities)
  assert result.value is None
  assert reason in result.reason


def test_the_anchor_is_named_where_it_is_at_fault():
  result = bd_rate.bd_rate(RATES[:2], QUALITIES[:2], RATES, QUALITIES)
  assert result.reason == "the anchor has 2 points; BD-rate needs 4"


def test_a_single_point_against_a_curve():
  rate = bd_rate.rate_difference(RATES, QUALITIES, 0.1, 34.2)
  assert rate.value == pytest.approx(-50)  # the anchor needs 0.2
  quality = bd_rate.quality_difference(RATES, QUALITIES, 0.1, 34.2)
  assert quality.value == pytest.approx(2.7)  # the anchor reaches 31.5


def test_between_points_the_anchor_is_interpolated_over_log_rate():
  rates, qualities = [0.1, 0.2, 0.4], [30, 33, 36]
  result = bd_rate.rate_difference(rates, qualities, 0.2, 34.5)
  assert result.value == pytest.approx(100 * (0.2 / (0.2 * 2**0.5) - 1))


@pytest.mark.parametrize(
  ("rate", "quality", "side"), [(0.01, 20, "below"), (2, 45, "above")]
)
def test_a_point_outside_of_the_anchor_gives_a_reason(rate, quality, side):
  result = bd_rate.rate_difference(RATES, QUALITIES, rate, quality)
  assert result == (None, f"{side} the anchor's quality range", None)
  result = bd_rate.quality_difference(RATES, QUALITIES, rate, quality)
  assert result == (None, f"{side} the anchor's rate range", None)


def test_an_anchor_of_one_point_gives_a_reason():
  result = bd_rate.rate_difference([0.1], [30], 0.1, 30)
  assert result.reason == "the anchor has a single point"


def test_decibels():
  assert bd_rate.decibels(0.99) == pytest.approx(20)
  assert np.isfinite(bd_rate.decibels(1.0))
