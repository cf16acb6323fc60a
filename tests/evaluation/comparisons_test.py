import pytest

from tfafs.evaluation import bd_rate, comparisons, rd_curves

RATES = [0.1, 0.2, 0.4, 0.8]
PSNRS = [30.0, 33.0, 36.0, 38.0]
SIMILARITIES = [0.9, 0.95, 0.98, 0.99]


def curve(codec, factor=1.0, clip="c", count=4, similarities=SIMILARITIES):
  points = [
    rd_curves.RdPoint(f"s{i}", factor * rate, psnr, similarity, 1.0, 1.0)
    for i, (rate, psnr, similarity) in enumerate(zip(RATES, PSNRS, similarities))
  ]
  return rd_curves.Curve(codec, clip, points[:count])


@pytest.mark.parametrize("metric", ["psnr", "ms_ssim"])
def test_a_curve_against_an_anchor(metric):
  result = comparisons.compare(curve("model", 0.7), curve("x265"), metric)
  assert result.bd_rate.value == pytest.approx(-30)
  for point in result.points:
    assert point.rate.value == pytest.approx(-30)
  assert result.points[0].quality.reason == "below the anchor's rate range"
  assert all(point.quality.value > 0 for point in result.points[1:])


def test_ms_ssim_is_compared_in_decibels():
  result = comparisons.compare(curve("model", 0.5), curve("x265"), "ms_ssim")
  gain = bd_rate.decibels(0.95) - bd_rate.decibels(0.9)
  assert result.points[1].quality.value == pytest.approx(gain)


def test_a_single_point_has_no_bd_rate_but_a_rate_at_equal_quality():
  result = comparisons.compare(curve("model", 0.7, count=1), curve("x265"))
  assert result.bd_rate.value is None
  assert "1 point" in result.bd_rate.reason
  assert result.points[0].rate.value == pytest.approx(-30)


def test_models_meet_every_baseline_and_baselines_x265():
  codecs = ["model", "other", "x264", "x265", "x265_rgb"]
  curves = [curve(codec, clip=clip) for clip in ("c", "d") for codec in codecs]
  pairs = {(item.codec, item.anchor) for item in comparisons.compare_all(curves)}
  assert pairs == {
    *[(model, x) for model in ("model", "other") for x in codecs[2:]],
    *[("x264", "x265"), ("x265_rgb", "x265")],
  }


def test_ms_ssim_is_left_out_where_a_curve_lacks_it():
  curves = [curve("model", similarities=[None] * 4), curve("x265")]
  found = [item.metric for item in comparisons.compare_all(curves)]
  assert found == ["psnr"]
