"""The same detail of a frame as several codecs decode it at equal rate.

Counterpart of Figure 4 of paper 001.
"""

from collections.abc import Sequence

import numpy as np

from tfafs.evaluation import (
  classical,
  clips,
  evaluate,
  plots,
  rd_curves,
  report,
  samples,
  sheet,
)


def compare_crops(
  saved_models: Sequence[str],
  video: str,
  index: int,
  path: str,
  gop: int = 12,
  codecs: Sequence[str] = (),
  crf: Sequence[int] = classical.DEFAULT_CRF,
) -> list[rd_curves.ClipResult]:
  """Draws the busiest detail of a frame, the original and as each codec decodes it.

  Files are written and decoded up to that frame. Of the models of one name, and of the
  qualities of a baseline, the one is shown whose rate is nearest to that of the middle
  one of the first model's.

  Args:
    saved_models: Folders of exported codecs, of one name or several.
    video: Video file or folder.
    index: Number of the frame, from 0 on.
    path: PNG to write.
    gop: Distance of I frames, 0 for one.
    codecs: Baselines, names of `classical.ENCODERS`.
    crf: Their constant rate factors.

  Returns:
    The results of what is shown.

  Raises:
    ValueError: the video has no such frame, or an argument is wrong.
  """
  clip = clips.as_clip(video, index + 1)
  contenders = evaluate.load_models(saved_models)
  for model in contenders:
    model.check_size(clip)
  contenders += [classical.ClassicalCodec(n, q) for n in codecs for q in crf]
  results, decoded, original = [], {}, None
  for codec in contenders:
    last = {}

    def keep(number, frame, reconstruction, last=last):
      last[number] = (frame, reconstruction)
      last.pop(number - 1, None)

    result = rd_curves.evaluate_clip(codec, clip, gop, None, None, False, keep)
    if result.num_frames <= index:
      raise ValueError(
        f"{video} has {result.num_frames} frames, none of number {index}"
      )
    results.append(result)
    original, decoded[result.codec, result.setting] = last[index]
  shown = report.nearest_rates(results)
  box = samples.busiest_box(original)
  pictures = {"original": _crop(original, box)}
  for result in shown:
    frame = result.frames[index]
    title = (
      f"{plots.label(result.codec)}, {result.setting}\n"
      f"{result.bpp:.3f} bpp; this {frame.kind} frame {frame.psnr:.2f} dB"
    )
    pictures[title] = _crop(decoded[result.codec, result.setting], box)
  sheet.draw(pictures, path)
  return shown


def _crop(frame: np.ndarray, box: samples.Box) -> np.ndarray:
  rows = slice(box.top, box.top + box.height)
  return frame[rows, box.left : box.left + box.width] / 255.0
