"""Images side by side in one PNG."""

import io

import numpy as np
from matplotlib import figure

from tfafs.evaluation import files


def draw(pictures, path, columns: int = 3) -> None:
  """Writes named images side by side as a PNG.

  Args:
    pictures: Dict from title, of one line or more, to [height, width, 3] in [0, 1].
    path: File to write.
    columns: How many stand side by side.
  """
  columns = min(columns, len(pictures))
  rows = -(-len(pictures) // columns)
  height, width = next(iter(pictures.values())).shape[:2]
  title_height = 0.1 + 0.2 * max(title.count("\n") + 1 for title in pictures)
  size = (3.6 * columns, rows * (3.6 * height / width + title_height))
  sheet = figure.Figure(size, dpi=150, layout="constrained")
  axes = np.ravel(sheet.subplots(rows, columns, squeeze=False))
  for axis in axes:
    axis.axis("off")
  for axis, (title, image) in zip(axes, pictures.items()):
    axis.imshow(image, interpolation="nearest")
    axis.set_title(title, fontsize=9)
  content = io.BytesIO()
  sheet.savefig(content, format="png")
  files.write(path, content.getvalue())
