"""The parts of one coded frame as a picture, as in Figure 2 of paper 001."""

import itertools

import numpy as np
import tensorflow as tf

from tfafs.coding import cli, video_reader
from tfafs.evaluation import crops, evaluate, sheet
from tfafs.training import checkpoints, errors


def frame_picture(model_dir, video, index: int, path, quality=None) -> None:
  """Draws how a trained codec codes a frame, given the one before as an intra frame.

  Args:
    model_dir: Directory of a run of `bin/train`.
    video: Video file or folder.
    index: Number of the frame, from 0 on; the parts need one before it.
    path: PNG to write.
    quality: Of a codec of variable rate, from 0 on; None takes the middle.

  Raises:
    ValueError: the video has no such frame, or the codec no such quality.
  """
  with video_reader.open_video(video) as reader:
    frames = list(itertools.islice(reader, index - 1, index + 1))
  if index < 1 or len(frames) < 2:
    raise ValueError(f"{video} has no frame {index} with one before it")
  model = checkpoints.load_trained(model_dir)
  if not hasattr(model, "visualize"):
    raise errors.RunError(f"The model {model.name} has no pictures of its frames.")
  options = {}
  if quality is not None:
    _check_quality(model.config.model, quality)
    options["quality"] = float(quality)
  clip = tf.constant(np.stack(frames)[None] / 255.0, tf.float32)
  titles = {
    "shift": "shift (prediction)",
    "scale": "scale (log, grey is 1)",
    "noise": "noise (grey is 0)",
    "reference": "reference, decoded",
    "motion_rate": "bits of the motion (white is most)",
    "residual_rate": "bits of the residual (white is most)",
  }
  pictures = model.visualize(clip, **options)
  sheet.draw({titles.get(k, k): v[0].numpy() for k, v in pictures.items()}, path)


def _check_quality(config, quality):
  if not config.get("variable_rate"):
    raise ValueError("--quality: the run's codec has one rate; leave it out")
  last = len(config.betas) - 1
  if not 0 <= quality <= last:
    raise ValueError(f"--quality={quality:g}: the run's codec takes 0 to {last}")


def run(model_dir, saved_models, video, index, quality, gop, codecs, crf, path) -> None:
  """The command `bin/picture`: parts of a frame of a run, or crops of exported codecs.

  Args:
    model_dir: Directory of a run, or None.
    saved_models: Folders of exported codecs.
    video: Video file or folder.
    index: Number of the frame, from 0 on; the parts need one before it.
    quality: Of the parts, with a codec of variable rate; None takes the middle.
    gop: Distance of I frames of the crops.
    codecs: Baselines of the crops.
    crf: Their constant rate factors, whole numbers as text.
    path: PNG to write.
  """
  for name, value in (("input", video), ("output", path)):
    if not value:
      cli.fail(f"--{name} is missing; --help shows the flags")
  if bool(model_dir) == bool(saved_models):
    cli.fail("give either --model_dir, for the parts of a frame, or --saved_model")
  if saved_models and quality is not None:
    cli.fail("--quality goes with --model_dir; crops are of codecs at equal rates")
  try:
    if model_dir:
      frame_picture(model_dir, video, index, path, quality)
    else:
      crops.compare_crops(
        saved_models,
        video,
        index,
        path,
        gop,
        codecs,
        evaluate.parse_numbers(int, "crf", crf, "whole numbers, such as 22"),
      )
  except errors.RunError as error:
    cli.fail(str(error))
  print(path)
