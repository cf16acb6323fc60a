"""What a codec does when it is trained: export, code held-out clips, say what came out.

The clips are synthetic, drawn from seeds that training does not use, whatever the model
was trained on; `bin/evaluate` measures real ones.
"""

import contextlib
import json
import os
from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np

from tfafs import datasets
from tfafs.coding import codec as exported
from tfafs.coding import video_writer
from tfafs.evaluation import classical, clips, neural, rd_curves
from tfafs.training import errors, reports, run_directory

NUM_FRAMES = 16
GOP = 12
# Training draws from `config.training.seed`, pictures from the next one.
FIRST_SEED = 1_000_003
X264_CRF = (18, 22, 26, 30, 34, 38, 42, 46, 50)


class LevelResult(NamedTuple):
  """What a codec of variable rate makes of the first clip at one of its levels."""

  quality: int
  bpp: float
  psnr: float


class Evaluation(NamedTuple):
  """Figures of the exported codec, means over the clips; its middle quality, if it has.

  Attributes:
    num_clips: Clips that were coded.
    num_frames: Frames of all clips.
    width: Of a frame, in pixels.
    height: Of a frame, in pixels.
    bpp: Bits per pixel of the files written.
    estimated_excess: How many more bits the strings have than the model estimates, as a
      fraction of the estimate.
    psnr: dB, 8-bit RGB, of the frames decoded from the files; mean over frames.
    encode_fps: Frames per second.
    decode_fps: Frames per second.
    mismatched_frames: Decoded frames that differ from the encoder's reconstruction.
    x264_bpp: Bits per pixel of x264 where its PSNR is nearest.
    x264_psnr: That PSNR.
    levels: A `LevelResult` for each level of a codec of variable rate, else None.
  """

  num_clips: int
  num_frames: int
  width: int
  height: int
  bpp: float
  estimated_excess: float
  psnr: float
  encode_fps: float
  decode_fps: float
  mismatched_frames: int
  x264_bpp: float
  x264_psnr: float
  levels: Optional[Sequence[LevelResult]] = None


def finish(config, result):
  """Exports a trained codec, codes clips with the export and prints the table.

  Args:
    config: Config of the run.
    result: The `TrainingResult`.

  Returns:
    The `Evaluation`.

  Raises:
    RunError: if a decoded frame differs from the encoder's reconstruction.
  """
  paths = result.paths
  print(f"Exporting to {paths.saved_model} ...", flush=True)
  result.model.export_codec(str(paths.saved_model), steps=result.steps)
  print("Coding clips that the model has not seen ...", flush=True)
  evaluation = evaluate(config, paths)
  report(result, evaluation)
  return evaluation


def report(result, evaluation):
  """Stores the figures, prints them, where everything lies and what to do next.

  Args:
    result: The `TrainingResult`.
    evaluation: The `Evaluation`.

  Raises:
    RunError: if a decoded frame differs from the encoder's reconstruction.
  """
  paths = result.paths
  training = reports.training_figures(result)
  summary = {"training": training, "evaluation": evaluation._asdict()}
  run_directory.write_text(paths.summary, json.dumps(summary, indent=2) + "\n")
  print(table(training, evaluation))
  print(directions(paths), flush=True)
  if evaluation.mismatched_frames:
    raise errors.RunError(
      f"{evaluation.mismatched_frames} of {evaluation.num_frames} decoded frames "
      "differ from the encoder's reconstruction: do not trust this codec here."
    )


def evaluate(config, paths) -> Evaluation:
  """Codes held-out clips with the exported codec and with x264.

  Args:
    config: Config of the run; `data.eval_clips` says how many clips, and
      `training.large_crop_size` how high they are.
    paths: Paths of the run. Original, stream and decoded frames of the first clip are
      left in `paths.demo`.

  Returns:
    The `Evaluation`.
  """
  codec = exported.Codec.load(paths.saved_model)
  results, x264_results = [], []
  for number in range(max(1, config.data.eval_clips)):
    clip = _clip(config, number)
    if number == 0:
      results.append(_demonstrate(codec, clip, paths))
    else:
      results.append(rd_curves.evaluate_clip(codec, clip, GOP, with_ms_ssim=False))
    for crf in X264_CRF:
      x264 = classical.ClassicalCodec("x264", crf)
      x264_results.append(rd_curves.evaluate_clip(x264, clip, GOP, with_ms_ssim=False))
  levels, level_results = None, []
  if codec.max_quality is not None:
    levels = []
    first = _clip(config, 0)
    for quality in range(codec.max_quality + 1):
      at_level = neural.NeuralCodec(codec, quality=quality)
      result = rd_curves.evaluate_clip(at_level, first, GOP, with_ms_ssim=False)
      levels.append(LevelResult(quality, result.bpp, result.psnr))
      level_results.append(result)
  estimated = sum(sum(clip.part_bits.values()) for clip in results)
  written = 8 * sum(clip.payload_bytes for clip in results)
  psnr = _mean(results, "psnr")
  (x264_curve,) = rd_curves.mean_curves(x264_results)
  nearest = min(x264_curve.points, key=lambda point: abs(point.psnr - psnr))
  return Evaluation(
    num_clips=len(results),
    num_frames=sum(clip.num_frames for clip in results + level_results),
    width=results[0].width,
    height=results[0].height,
    bpp=_mean(results, "bpp"),
    estimated_excess=written / estimated - 1.0,
    psnr=psnr,
    encode_fps=_mean(results, "encode_fps"),
    decode_fps=_mean(results, "decode_fps"),
    mismatched_frames=sum(clip.mismatched_frames for clip in results + level_results),
    x264_bpp=nearest.bpp,
    x264_psnr=nearest.psnr,
    levels=levels,
  )


def _clip(config, number):
  """A clip that the model has not seen."""
  seed = config.training.seed + FIRST_SEED + number
  height = config.training.large_crop_size
  frames = datasets.synthetic_clip(seed, NUM_FRAMES, height, height * 3 // 2)
  return clips.as_clip(frames, name=f"synthetic{number}")


def _demonstrate(codec, clip, paths):
  """Codes a clip and leaves its original, stream and decoded frames behind."""
  paths.demo.mkdir(exist_ok=True)
  size = (clip.width, clip.height, clip.frame_rate)
  with contextlib.ExitStack() as stack:
    original, decoded = (
      stack.enter_context(video_writer.open_writer(str(paths.demo / name), *size))
      for name in ("original.mkv", "decoded.mkv")
    )

    def on_frame(index, original_frame, decoded_frame):
      original.write(original_frame)
      decoded.write(decoded_frame)

    result = rd_curves.evaluate_clip(
      codec, clip, GOP, workdir=paths.demo, with_ms_ssim=False, on_frame=on_frame
    )
  os.replace(result.file, paths.demo / "clip.tfafs")
  return result


def _mean(results, field):
  return float(np.mean([getattr(result, field) for result in results]))


def table(training, evaluation) -> str:
  """The printed table.

  Args:
    training: Dict with "steps", "steps_per_second" (or None) and "logs".
    evaluation: The `Evaluation`.

  Returns:
    Several lines.
  """
  e = evaluation
  rows = [("trained for, steps", reports.steps_text(training))]
  if "loss" in training["logs"]:
    rows.append(("loss at the end of training", f"{training['logs']['loss']:.4g}"))
  same = "yes, every frame"
  if e.mismatched_frames:
    same = f"NO: {e.mismatched_frames} of {e.num_frames} frames differ"
  rows += [
    (
      "evaluated on",
      f"{e.num_clips} synthetic clips, {e.num_frames} frames {e.width}x{e.height}",
    ),
    ("bits per pixel, bytes of the files", f"{e.bpp:.4f}"),
    ("PSNR, frames decoded from them", f"{e.psnr:.2f} dB"),
    (
      "x264 (4:2:0) at its nearest PSNR",
      f"{e.x264_bpp:.4f} bits per pixel, {e.x264_psnr:.2f} dB",
    ),
    ("real bits against estimated", f"{100 * e.estimated_excess:+.2f} %"),
    ("encode, frames per second", f"{e.encode_fps:.1f}"),
    ("decode, frames per second", f"{e.decode_fps:.1f}"),
    ("decoder equals encoder, bit for bit", same),
  ]
  for level in e.levels or ():
    figures = f"{level.bpp:.4f} bits per pixel, {level.psnr:.2f} dB"
    rows.append((f"first clip at quality {level.quality}", figures))
  return reports.table(rows)


def directions(paths) -> str:
  """Where everything lies and what to type next."""
  rows = [
    ("codec (TensorFlow SavedModel)", paths.saved_model),
    ("clip that it coded", paths.demo / "original.mkv"),
    ("compressed", paths.demo / "clip.tfafs"),
    ("decoded from that", paths.demo / "decoded.mkv"),
    ("checkpoints", paths.checkpoints),
    ("curves and pictures", paths.tensorboard),
    ("the figures above", paths.summary),
  ]
  model = f"--saved_model={paths.saved_model}"
  next_steps = [
    f"bin/compress YOUR_VIDEO.mp4 clip.tfafs {model}",
    f"bin/decompress clip.tfafs clip.mkv {model}",
    f"bin/evaluate YOUR_VIDEO.mp4 --output_dir=report {model}",
    f"tensorboard --logdir={paths.tensorboard}",
  ]
  return reports.places(rows, next_steps)
