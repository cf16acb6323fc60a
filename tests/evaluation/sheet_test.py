import numpy as np
from PIL import Image

from tfafs.evaluation import sheet


def test_draw_shows_each_image_in_its_place(tmp_path):
  colours = {
    "red": (1, 0, 0),
    "green": (0, 1, 0),
    "blue": (0, 0, 1),
    "grey": (0.5,) * 3,
  }
  images = {name: np.ones([20, 30, 3]) * colour for name, colour in colours.items()}
  sheet.draw(images, tmp_path / "sheet.png")
  drawn = np.asarray(Image.open(tmp_path / "sheet.png").convert("RGB"))
  height, width, _ = drawn.shape
  # Three columns, two rows.
  for i, colour in enumerate(colours.values()):
    row, column = divmod(i, 3)
    pixel = drawn[int((row + 0.6) * height / 2), int((column + 0.5) * width / 3)]
    np.testing.assert_allclose(pixel / 255, colour, atol=0.02)
