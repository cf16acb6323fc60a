import io

import av
import numpy as np
import pytest
from PIL import Image

from tfafs.evaluation import strips, video_plots


def pixels(png):
  return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def parts(time=4, channels=1):
  random = np.random.default_rng(0)
  shape = [time, 8, 8, channels]
  names = ("frame", "shift", "log_scale", "noise", "mean", "log_std")
  return {name: random.random(shape) for name in names}


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_show_something(channels):
  pictures = parts(channels=channels)
  shown = pixels(video_plots.rows(pictures, title="a model"))
  assert shown.std() > 40
  fewer = pixels(video_plots.rows({"frame": pictures["frame"]}, columns=2))
  assert fewer.shape[0] < shown.shape[0] and fewer.shape[1] < shown.shape[1]
  assert pixels(video_plots.pixel_trace(pictures)).std() > 10
  del pictures["mean"], pictures["log_std"]  # White noise as the base.
  assert pixels(video_plots.pixel_trace(pictures, place=(1, 2))).std() > 10


@pytest.mark.parametrize("draw", [video_plots.rows, video_plots.pixel_trace])
@pytest.mark.parametrize("name", parts())
def test_each_part_is_drawn_in_its_own_place(draw, name):
  """Another value of one part changes pixels, and of `rows` those of its row alone."""
  pictures = parts()
  before = pixels(draw(pictures, title="a model"))
  pictures[name] = pictures[name] ** 3
  changed = np.any(before != pixels(draw(pictures, title="a model")), (1, 2))
  assert changed.any()
  if draw is video_plots.rows:
    row = list(pictures).index(name)
    share = np.flatnonzero(changed) / len(changed) * len(pictures)
    assert np.all((share > row - 0.3) & (share < row + 1.3))


def test_curves_show_something():
  values = np.random.default_rng(0).normal(size=100)
  shown = pixels(video_plots.histograms(values, values + 1, "title"))
  assert shown.std() > 20
  assert np.any(shown != pixels(video_plots.histograms(values + 1, values, "title")))
  curve = {10: 0.9, 20: 0.5, 5: 0.95}
  one = pixels(video_plots.correlation_curve(curve))
  assert one.std() > 10
  assert np.any(one != pixels(video_plots.correlation_curve(curve, 0.7)))


def test_strip_and_mosaic_hold_every_frame():
  videos = np.random.default_rng(0).integers(0, 256, [3, 4, 6, 5, 1], np.uint8)
  sheet = strips.strip(videos, context=2)
  assert sheet.shape == (2 + 3 * 8, 2 + 4 * 7, 3)
  for i in range(3):
    for t in range(4):
      tile = sheet[2 + 8 * i : 8 + 8 * i, 2 + 7 * t : 7 + 7 * t]
      np.testing.assert_array_equal(tile, np.repeat(videos[i, t], 3, -1))
  np.testing.assert_array_equal(sheet[0, 14:16], [(192, 57, 43)] * 2)
  moving = strips.mosaic(videos, context=2, zoom=2)
  assert moving.shape == (4, 30, 26, 3)  # Even sides.
  np.testing.assert_array_equal(moving[3, 16:28:2, 2:12:2, 0], videos[2, 3, ..., 0])
  assert (
    tuple(moving[1, 0, 0]) == (192, 57, 43) and tuple(moving[2, 0, 0]) == (255,) * 3
  )


def test_files(tmp_path):
  videos = np.random.default_rng(0).integers(0, 256, [2, 5, 16, 16, 3], np.uint8)
  videos[:] = videos[:, :, :1, :1]
  expected = strips.mosaic(videos, 2)
  strips.write(tmp_path / "a.png", videos, 2)
  np.testing.assert_array_equal(
    np.asarray(Image.open(tmp_path / "a.png")), strips.strip(videos, 2)
  )
  strips.write(tmp_path / "a.gif", videos, 2)
  gif = Image.open(tmp_path / "a.gif")
  assert gif.n_frames == 5 and gif.size == expected.shape[2:0:-1]
  strips.write(tmp_path / "a.mp4", videos, 2)
  with av.open(str(tmp_path / "a.mp4")) as container:
    frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
  assert np.shape(frames) == expected.shape
  assert np.abs(np.asarray(frames, int)[:, 10, 10] - expected[:, 10, 10]).max() < 25
  with pytest.raises(
    ValueError, match=r"the ending must be one of \.png, \.gif, \.mp4"
  ):
    strips.write(tmp_path / "a.webm", videos)
  assert sorted(p.name for p in tmp_path.iterdir()) == ["a.gif", "a.mp4", "a.png"]
