"""The whole evaluation behind bin/evaluate: models and baselines on clips, and files.

`evaluate` writes into its output folder:

- `evaluation.json`: everything, down to each frame; `evaluation.csv`: one row for each
  codec, setting and clip;
- `rd.png`: the R-D plot; `report.html`: one page without external resources;
- `streams/`: the files whose bytes were counted.
"""

import datetime
import itertools
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Optional

import tfafs
from tfafs.coding import video_reader
from tfafs.coding.codec import Codec
from tfafs.evaluation import (
  classical,
  clips,
  comparisons,
  files,
  metrics,
  neural,
  plots,
  rd_curves,
  report,
  samples,
)


def evaluate(
  saved_models: Sequence[str],
  inputs: Sequence[str],
  output_dir: str,
  frames: Optional[int] = None,
  gop: int = 12,
  codecs: Sequence[str] = ("x264", "x265", "x265_rgb"),
  crf: Sequence[int] = classical.DEFAULT_CRF,
  raw_size: Optional[tuple[int, int]] = None,
  with_ms_ssim: bool = True,
  qualities: Sequence[float] = (),
  log: Callable[[str], None] = print,
) -> report.Evaluation:
  """Runs every model and every baseline on every clip and writes the report.

  Args:
    saved_models: folders of exported codecs. Those of the same model name form one
      curve. May be empty: then only the baselines are run.
    inputs: video files, folders of videos, folders of PNG files.
    output_dir: folder to write into; made if it does not exist.
    frames: how many frames of each clip; None takes all.
    gop: distance of I frames; 0: only the first (baselines: their own limit).
    codecs: names of baselines, see `classical.ENCODERS`. May be empty.
    crf: the baselines' constant rate factors.
    raw_size: (width, height) of raw .yuv inputs.
    with_ms_ssim: whether to compute MS-SSIM.
    qualities: of codecs of variable rate, each of which is a point of its curve; by
      default the levels that they were trained at.
    log: called with each line of progress.

  Returns:
    A `report.Evaluation`.

  Raises:
    ValueError: an argument is wrong, or a codec cannot take a clip.
  """
  if not saved_models and not codecs:
    raise ValueError("saved_model: name a model, or at least one of --codecs")
  if gop < 0:
    raise ValueError(f"gop: must be 0 (one I frame) or more, got {gop}")
  baselines = [
    classical.ClassicalCodec(name, quality)
    for name in dict.fromkeys(codecs)
    for quality in sorted(set(crf))
  ]
  if codecs and not baselines:
    raise ValueError("crf: name at least one constant rate factor")
  videos = clips.find_clips(inputs, frames, raw_size)
  models = load_models(saved_models, qualities)
  for model, clip in itertools.product(models, videos):
    model.check_size(clip)
  streams = os.path.join(output_dir, "streams")
  os.makedirs(streams, exist_ok=True)

  about = _about(
    models,
    baselines,
    {
      **{"frames": frames, "gop": gop, "raw_size": raw_size, "ms_ssim": with_ms_ssim},
      **({"qualities": list(qualities)} if qualities else {}),
    },
    videos,
  )

  results, originals, decoded = [], {}, {}
  runs = list(itertools.product(videos, [*models, *baselines]))
  start = time.monotonic()
  for number, (clip, codec) in enumerate(runs, 1):
    sampler = samples.Sampler(gop)
    result = rd_curves.evaluate_clip(
      codec, clip, gop, frames, streams, with_ms_ssim, sampler
    )
    file = os.path.join("streams", os.path.basename(result.file))
    results.append(result._replace(file=file))
    if clip.name not in originals:
      originals[clip.name] = sampler.original()
    decoded[result.clip, result.codec, result.setting] = sampler.decoded(result)
    left = (time.monotonic() - start) / number * (len(runs) - number)
    log(
      f"[{number}/{len(runs)}] {clip.name} {plots.label(codec.name)} {codec.setting}: "
      f"{result.bpp:.4f} bpp, {result.psnr:.2f} dB, "
      f"ETA {datetime.timedelta(seconds=round(left))}"
    )
  curves = rd_curves.clip_curves(results)
  if len(videos) > 1:
    curves = rd_curves.mean_curves(results) + curves
  evaluation = report.Evaluation(
    about,
    results,
    curves,
    comparisons.compare_all(curves),
    {clip.name: _conversion_psnr(clip) for clip in videos if codecs},
  )
  _write(evaluation, report.Pictures(originals, decoded), output_dir)
  return evaluation


def run(
  saved_models: Sequence[str],
  inputs: Sequence[str],
  output_dir: str,
  frames: Optional[int],
  gop: int,
  codecs: Sequence[str],
  crf: Sequence[str],
  raw_size: Optional[str],
  with_ms_ssim: bool,
  quality: Sequence[str] = (),
) -> None:
  """What bin/evaluate does: `evaluate`, then the tables on stdout.

  Args:
    saved_models: folders, each possibly several with commas between.
    inputs: files and folders, likewise.
    output_dir: folder to write into.
    frames: how many frames of each clip; None takes all.
    gop: distance of I frames.
    codecs: names of baselines.
    crf: whole numbers, as text.
    raw_size: "WIDTHxHEIGHT" of raw .yuv inputs, or None.
    with_ms_ssim: whether to compute MS-SSIM.
    quality: numbers, as text.

  Raises:
    ValueError: an argument is wrong; the message is one line.
  """
  evaluation = evaluate(
    _split(saved_models),
    _split(inputs),
    output_dir,
    frames,
    gop,
    codecs,
    parse_numbers(int, "crf", crf, "whole numbers, such as 22,27"),
    video_reader.parse_size(raw_size, "--raw_size"),
    with_ms_ssim,
    parse_numbers(float, "quality", quality, "numbers, such as 0,1.5,3"),
    log=lambda line: print(line, file=sys.stderr, flush=True),
  )
  print(report.text(evaluation))
  print(f"\nReport: {os.path.join(output_dir, 'report.html')}")


def load_models(
  paths: Sequence[str], qualities: Sequence[float] = ()
) -> list[neural.NeuralCodec]:
  """Loads exported codecs; those with the same name and setting are told apart.

  Args:
    paths: folders.
    qualities: of codecs of variable rate; by default their levels.

  Raises:
    ValueError: a folder holds no exported codec, or it has no such quality.
  """
  codecs = [Codec.load(path) for path in paths]
  if qualities and all(codec.max_quality is None for codec in codecs):
    raise ValueError(
      "quality: none of the models has a choice of quality: leave it out"
    )
  models = []
  for codec in codecs:
    choices = [None]
    if codec.max_quality is not None:
      choices = dict.fromkeys(qualities) or range(codec.max_quality + 1)
    models += [neural.NeuralCodec(codec, quality=quality) for quality in choices]
  labels = [(model.name, model.setting) for model in models]
  for model, label in zip(models, labels):
    if labels.count(label) > 1:
      model.setting = f"{model.setting} ({model.codec.path})"
  return models


def parse_numbers(kind, name, texts, remedy):
  """Numbers of a kind from the texts of a flag; ValueError tells the remedy."""
  try:
    return [kind(text) for text in texts]
  except ValueError:
    raise ValueError(f"--{name}={','.join(texts)}: give {remedy}") from None


def _split(values: Sequence[str]) -> list[str]:
  return [part for value in values for part in value.split(",") if part]


def _conversion_psnr(clip: clips.Clip) -> float:
  """PSNR of the first frame after the conversion to 4:2:0 and back."""
  frame = next(iter(clip.frames()))
  return metrics.psnr(frame, classical.conversion(frame, "x265", clip.matrix))


def about_this_run() -> dict:
  """Command line, date, versions and machine."""
  libraries = ("tensorflow", "tensorflow-compression", "av", "bjontegaard")
  versions = {name: metadata.version(name) for name in libraries}
  return {
    "command": shlex.join([os.path.relpath(sys.argv[0]), *sys.argv[1:]]),
    "date": datetime.datetime.now().astimezone().isoformat(" ", "minutes"),
    "versions": {
      "tfafs": tfafs.__version__,
      "python": platform.python_version(),
      **versions,
    },
    "machine": {
      "system": f"{platform.system()} {platform.machine()}",
      "cpus": os.cpu_count(),
    },
  }


def _about(models, baselines, settings, videos) -> dict:
  return {
    **about_this_run(),
    "settings": settings,
    "inputs": [clips.signature(clip) for clip in videos],
    "models": [
      {"path": str(model.codec.path), "setting": model.setting, **model.codec.metadata}
      for model in models
    ],
    "baselines": [
      {
        "name": baseline.name,
        "setting": baseline.setting,
        **classical.ENCODERS[baseline.name]._asdict(),
        "options": baseline.options(settings["gop"]),
      }
      for baseline in baselines
    ],
  }


def _write(
  evaluation: report.Evaluation, pictures: report.Pictures, folder: str
) -> None:
  plot = plots.rd_plot(*report.headline(evaluation))
  page = report.html(evaluation, pictures)
  files.write(os.path.join(folder, "evaluation.json"), files.to_json(evaluation))
  files.write(os.path.join(folder, "evaluation.csv"), files.to_csv(evaluation.results))
  files.write(os.path.join(folder, "rd.png"), plot)
  files.write(os.path.join(folder, "report.html"), page)
