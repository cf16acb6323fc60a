"""Pictures of a trained codec's frame: drawn from a run's own checkpoint."""

import pytest
from PIL import Image, ImageChops

from tfafs import datasets, training
from tfafs.coding import video_writer
from tfafs.models import registry
from tfafs.training import pictures


def test_a_trained_run_draws_its_frame(tmp_path):
  config = registry.load_config("stat_ssf", "tiny")
  config.model.variable_rate = True
  config.training.steps = 1
  training.train(config, tmp_path / "run")
  with video_writer.open_writer(tmp_path / "clip.mkv", 48, 32, 25) as writer:
    for frame in datasets.synthetic_clip(0, 3, 32, 48):
      writer.write(frame)
  for index in (1, 2):
    pictures.frame_picture(
      tmp_path / "run", tmp_path / "clip.mkv", index, tmp_path / f"{index}.png"
    )
    assert Image.open(tmp_path / f"{index}.png").format == "PNG"
  pictures.frame_picture(
    tmp_path / "run", tmp_path / "clip.mkv", 1, tmp_path / "fine.png", quality=6
  )
  middle, fine = (
    Image.open(tmp_path / f"{name}.png").convert("RGB") for name in ("1", "fine")
  )
  assert ImageChops.difference(middle, fine).getbbox()
  with pytest.raises(ValueError, match="no frame 3"):
    pictures.frame_picture(
      tmp_path / "run", tmp_path / "clip.mkv", 3, tmp_path / "3.png"
    )
  with pytest.raises(ValueError, match="takes 0 to 6"):
    pictures.frame_picture(
      tmp_path / "run", tmp_path / "clip.mkv", 1, tmp_path / "3.png", quality=7
    )
  assert not (tmp_path / "3.png").exists()
