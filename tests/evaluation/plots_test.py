import io

import numpy as np
import pytest
from PIL import Image

from tfafs.evaluation import classical, plots, rd_curves


def curve(codec, ms_ssim=0.9, count=3):
  points = [
    rd_curves.RdPoint(f"s{i}", 0.1 * 2**i, 30.0 + i, ms_ssim, 1.0, 1.0)
    for i in range(count)
  ]
  return rd_curves.Curve(codec, "c", points)


def image(png):
  return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def has_color(pixels, color):
  wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
  return (np.abs(pixels.astype(int) - wanted).max(-1) < 8).sum() > 50


def test_every_curve_is_drawn_in_its_color():
  codecs = ["model", *classical.ENCODERS]
  pixels = image(plots.rd_plot([curve(codec, None) for codec in codecs], "title"))
  for style in plots.styles(codecs).values():
    assert has_color(pixels, style["color"])
  assert not has_color(image(plots.rd_plot([curve("x264", None)])), "#c0392b")


def test_ms_ssim_has_its_own_panel_where_all_curves_have_it():
  one = image(plots.rd_plot([curve("m"), curve("x265", None)]))
  two = image(plots.rd_plot([curve("m"), curve("x265")]))
  assert two.shape[1] == pytest.approx(2 * one.shape[1], abs=2)


def test_a_single_point_and_no_point_at_all():
  assert has_color(image(plots.rd_plot([curve("m", None, 1)])), "#c0392b")
  assert image(plots.rd_plot([curve("m", None, 0)])).size


def test_models_differ_and_baselines_keep_their_colors():
  styles = plots.styles(["x265", "b", "a", "b"])
  assert styles["a"]["color"] != styles["b"]["color"]
  assert styles["x265"] == plots.styles([])["x265"]
  many = plots.styles([f"codec_{i}" for i in range(11)])
  assert len({tuple(style.values()) for style in many.values()}) == len(many)


def test_frames_plot(frames):
  codec = classical.ClassicalCodec("x265", 30)
  pixels = image(plots.frames_plot([rd_curves.evaluate_clip(codec, frames)]))
  assert has_color(pixels, plots.styles([])["x265"]["color"])
