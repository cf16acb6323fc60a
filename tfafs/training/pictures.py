"""The parts of one coded frame as a picture, as in Figure 2 of paper 001."""

import io
import itertools

import numpy as np
import tensorflow as tf
from matplotlib import figure

from tfafs.coding import cli, video_reader
from tfafs.evaluation import files
from tfafs.models import registry
from tfafs.training import checkpoints, errors, run_directory


def load_trained(model_dir):
  """Builds the model of a run with the weights of its last checkpoint.

  Args:
    model_dir: Directory of a run of `bin/train`.

  Returns:
    The Keras model.

  Raises:
    RunError: if there is no run or no checkpoint.
  """
  paths = run_directory.run_paths(model_dir)
  config = run_directory.load_config(paths)
  if config is None:
    raise errors.RunError(
      f"{model_dir} holds no run: give the --model_dir of bin/train."
    )
  try:
    model = registry.build(config)
  except AttributeError as error:
    raise errors.RunError(
      f"{paths.config} is of another version of tfafs ({error}): train anew."
    ) from error
  checkpoints.restore_weights(model, paths.checkpoints)
  return model


def draw(pictures, path) -> None:
  """Writes named images side by side as a PNG.

  Args:
    pictures: Dict from title to [height, width, 3] in [0, 1].
    path: File to write.
  """
  columns = min(3, len(pictures))
  rows = -(-len(pictures) // columns)
  height, width = next(iter(pictures.values())).shape[:2]
  sheet = figure.Figure((3.6 * columns, rows * (3.6 * height / width + 0.3)), dpi=150)
  axes = np.ravel(sheet.subplots(rows, columns, squeeze=False))
  for axis in axes:
    axis.axis("off")
  for axis, (title, image) in zip(axes, pictures.items()):
    axis.imshow(image, interpolation="nearest")
    axis.set_title(title, fontsize=9)
  sheet.tight_layout(pad=0.4)
  content = io.BytesIO()
  sheet.savefig(content, format="png")
  files.write(path, content.getvalue())


def frame_picture(model_dir, video, index: int, path) -> None:
  """Draws how a trained codec codes a frame, given the one before as an intra frame.

  Args:
    model_dir: Directory of a run of `bin/train`.
    video: Video file or folder.
    index: Number of the frame, from 1 on.
    path: PNG to write.

  Raises:
    ValueError: the video has no such frame.
  """
  with video_reader.open_video(video) as reader:
    frames = list(itertools.islice(reader, index - 1, index + 1))
  if index < 1 or len(frames) < 2:
    raise ValueError(f"{video} has no frame {index} with one before it")
  model = load_trained(model_dir)
  if not hasattr(model, "visualize"):
    raise errors.RunError(f"The model {model.name} has no pictures of its frames.")
  clip = tf.constant(np.stack(frames)[None] / 255.0, tf.float32)
  titles = {
    "shift": "shift (prediction)",
    "scale": "scale (log, grey is 1)",
    "noise": "noise (grey is 0)",
    "reference": "reference, decoded",
  }
  pictures = model.visualize(clip)
  draw({titles.get(k, k): v[0].numpy() for k, v in pictures.items()}, path)


def run(model_dir, video, index, path) -> None:
  """The command `bin/picture`."""
  for name, value in (("model_dir", model_dir), ("input", video), ("output", path)):
    if not value:
      cli.fail(f"--{name} is missing; --help shows the flags")
  try:
    frame_picture(model_dir, video, index, path)
  except errors.RunError as error:
    cli.fail(str(error))
  print(path)
