import numpy as np
import pytest
from PIL import Image

from tfafs.coding import video_writer
from tfafs.evaluation import crops


def test_each_codec_is_shown_once_at_the_nearest_rate(exports, frames, tmp_path):
  path = tmp_path / "clip.mkv"
  height, width = frames.shape[1:3]
  with video_writer.open_writer(str(path), width, height, 25) as writer:
    for frame in frames:
      writer.write(frame)
  output = tmp_path / "crops.png"
  models = [exports[beta] for beta in (0.001, 0.01, 0.03)]
  shown = crops.compare_crops(models, str(path), 3, output, 2, ["x264"], [20, 35, 50])
  assert [result.codec for result in shown] == ["toy_jpeg", "x264"]
  assert shown[0].setting == "beta=0.01"  # The one in the middle.
  assert shown[0].num_frames == 4
  assert np.asarray(Image.open(output)).std() > 10
  with pytest.raises(ValueError, match="5 frames, none of number 7"):
    crops.compare_crops(models, str(path), 7, tmp_path / "no.png")
  assert not (tmp_path / "no.png").exists()
