"""Study of several codecs: train each at the same budget, evaluate all, compare.

A codec is trained at the first beta from the config's seed; at each further beta it goes
on from the weights of the beta before (annealing of paper 001, section 4.3). All codecs
see the same clips in the same order. Every finished piece is kept, so a study that was
stopped goes on with the same command.
"""

import contextlib
import io
import json
import pathlib
import tempfile
from collections.abc import Sequence
from typing import NamedTuple, Optional

import ml_collections

from tfafs.evaluation import (
  classical,
  clips,
  complexity,
  evaluate,
  files,
  study_report,
)
from tfafs.models.codec import export
from tfafs.training import (
  checkpoints,
  child_process,
  errors,
  main_job,
  reports,
  run,
  run_directory,
  schedules,
)

# Steps that the speed is measured over, behind those that compile and warm up.
_MEASURED_STEPS = 12


class Study(NamedTuple):
  """What is studied.

  Attributes:
    configs: Config of each codec, by name; they differ in `model.name`.
    betas: Weights of the rate, in the order in which they are trained.
    anneal_steps: Steps at each beta but the first, which has `training.steps`.
    anchor: Name of the codec that the others are compared with.
    inputs: Video files and folders to evaluate on.
    frames: Frames of each clip, None for all.
    gop: Distance of I frames, 0 for one.
    baselines: Classical codecs, names of `classical.ENCODERS`.
    crf: Their constant rate factors.
    ms_ssim: Whether MS-SSIM is computed.
    runs_dir: Where runs and evaluations are kept.
    output_dir: Where the report goes.
  """

  configs: dict
  betas: Sequence[float]
  anneal_steps: int
  anchor: str
  inputs: Sequence[str]
  frames: Optional[int]
  gop: int
  baselines: Sequence[str]
  crf: Sequence[int]
  ms_ssim: bool
  runs_dir: str
  output_dir: str


class Leg(NamedTuple):
  """One training of a study: a codec at a beta.

  Attributes:
    config: Its config.
    paths: The `RunPaths` of its run.
    steps_done: Steps that its last checkpoint has.
  """

  config: ml_collections.ConfigDict
  paths: run_directory.RunPaths
  steps_done: int

  @property
  def steps_left(self):
    """Steps that are still to be done."""
    return max(0, self.config.training.steps - self.steps_done)


def check(study: Study):
  """Raises ValueError for what no study can have; reads the clips' headers."""
  if study.anchor not in study.configs:
    raise ValueError(
      f"--anchor={study.anchor} is not among --models={','.join(study.configs)}."
    )
  betas = study.betas
  if not betas or not all(beta > 0 for beta in betas) or len(set(betas)) < len(betas):
    raise ValueError("--betas: give different numbers above 0, such as 3e-4,1e-3.")
  if study.anneal_steps < 1 and len(betas) > 1:
    raise ValueError("--anneal_steps must be at least 1.")
  if study.baselines and not study.crf:
    raise ValueError("--crf: name at least one constant rate factor, or --baselines=")
  for name in study.baselines:
    for crf in study.crf:
      classical.ClassicalCodec(name, crf)
  for config in study.configs.values():
    run.check(config)
  for clip in clips.find_clips(study.inputs, study.frames):
    if min(clip.width, clip.height) < export.MIN_SIZE:
      raise ValueError(
        f"{clip.name} is {clip.width}x{clip.height}; codecs take frames from "
        f"{export.MIN_SIZE}x{export.MIN_SIZE} up"
      )


def legs(study: Study) -> dict:
  """The trainings of each codec, in order: a list of `Leg` by name.

  A codec of variable rate has all its rates in one.

  Raises:
    RunError: if a run that is there is not the one that is asked for.
  """
  result = {}
  for name, base in study.configs.items():
    chain = result[name] = []
    for beta in [None] if base.model.variable_rate else study.betas:
      config = base.copy_and_resolve_references()
      if beta is not None:
        config.model.beta = beta
      if chain:
        config.training.warm_start = str(chain[-1].paths.model_dir)
        config.training.steps = study.anneal_steps
        # The motion has learned what this is for, and the index network to round.
        config.training.shift_weight = config.training.exact_from = 0.0
      setting = "variable_rate" if beta is None else f"beta={beta!r}"
      paths = run_directory.run_paths(pathlib.Path(study.runs_dir) / name / setting)
      leg = Leg(config, paths, checkpoints.newest_step(paths.checkpoints))
      _check_leg(leg, chain)
      chain.append(leg)
  return result


def _check_leg(leg, chain):
  """Refuses a run of another config, of more steps, or of another beginning."""
  if not leg.steps_done:
    return
  folder, steps = leg.paths.model_dir, leg.config.training.steps
  remedy = "Delete it to train it again, or use another --runs_dir."
  run_directory.check_config(leg.paths, leg.config)
  if leg.steps_done > steps:
    raise errors.RunError(
      f"{folder} has been trained for {leg.steps_done} steps, not {steps}. {remedy}"
    )
  if not chain:
    return
  began = run_directory.load_config(leg.paths).training.warm_start
  if pathlib.Path(began).name != chain[-1].paths.model_dir.name:
    raise errors.RunError(
      f"{folder} began with the weights of {began}, not of "
      f"{chain[-1].paths.model_dir}. {remedy}"
    )
  if chain[-1].steps_left:
    raise errors.RunError(
      f"{folder} began with the weights of {began}, which is to be trained further. "
      f"{remedy}"
    )


def measure_speed(config) -> float:
  """Steps per second of a short run with a config, on its data.

  Args:
    config: Config of a run; only its first crop size is measured.
  """
  config = config.copy_and_resolve_references()
  training = config.training
  training.steps = training.log_every = _MEASURED_STEPS
  training.checkpoint_every = training.image_every = 10 * _MEASURED_STEPS
  training.large_crop_from = 1.0
  training.warm_start = ""
  with (
    tempfile.TemporaryDirectory() as folder,
    contextlib.redirect_stdout(io.StringIO()),
  ):
    return run.train(config, folder).steps_per_second


def plan(study: Study) -> str:
  """What is left to do and how long it will take: measures each codec's step.

  Args:
    study: The study.

  Returns:
    A table, several lines.
  """
  rows, total = [], 0.0
  for name, chain in legs(study).items():
    left = sum(leg.steps_left for leg in chain)
    if not left:
      rows.append(f"{name:<22}{'trained':>12}")
      continue
    speed = child_process.run(measure_speed, chain[0].config)
    hours = work_left(chain) / speed / 3600
    total += hours
    rows.append(f"{name:<22}{left:>12,}{speed:>10.2f}{hours:>8.2f}")
  head = f"{'codec':<22}{'steps left':>12}{'steps/s':>10}{'hours':>8}"
  tail = f"{'together':<22}{'':>22}{total:>8.2f}"
  note = (
    "Larger crops are counted by their pixels; evaluation of the files comes on top."
  )
  return "\n".join([head, *rows, tail, note])


def work_left(chain) -> float:
  """Steps that legs have left, each in proportion to the pixels of its batch."""
  total = 0.0
  for leg in chain:
    phases = schedules.phases(leg.config)
    pixels = [phase.batch_size * phase.crop_size**2 for phase in phases]
    unit = leg.config.data.batch_size * leg.config.data.crop_size**2
    for phase, count in zip(phases, pixels):
      steps = max(0, phase.end_step - max(phase.first_step, leg.steps_done))
      total += steps * count / unit
  return total


def carry_out(study: Study) -> study_report.Study:
  """Does what is left of a study, and writes its report.

  Args:
    study: The study.

  Returns:
    The report's data.

  Raises:
    RunError, NonFiniteError, Interrupted: as `run.train`.
    ValueError: as `evaluate.evaluate`.
  """
  results, models = [], []
  for name, chain in legs(study).items():
    for leg in chain:
      results += _finish_leg(study, leg)
    models.append(_describe(name, chain))
  if study.baselines:
    folder = pathlib.Path(study.runs_dir) / "baselines"
    results += _evaluate(study, folder, None, study.baselines)
  report = study_report.make_study(_about(study), models, study.anchor, results)
  study_report.write(report, study.output_dir)
  return report


def _finish_leg(study, leg):
  """Trains, exports and evaluates what is not yet; returns the clip results."""
  if leg.steps_left or not _is_exported(leg):
    child_process.run(_train, leg)
  return _evaluate(study, leg.paths.model_dir / "evaluation", leg, ())


def _train(leg):
  main_job.choose_logs()
  result = run.train(leg.config, leg.paths.model_dir)
  result.model.export_codec(str(leg.paths.saved_model), steps=result.steps)
  _store_figures(leg, result)


def _is_exported(leg):
  with contextlib.suppress(OSError, ValueError, KeyError):
    figures = _figures(leg)
    steps = figures["training"]["steps"]
    finished = steps == leg.config.training.steps and "complexity" in figures
    return finished and _saved_model(leg).exists()
  return False


def _saved_model(leg):
  return leg.paths.saved_model / "saved_model.pb"


def _figures(leg):
  return json.loads(leg.paths.summary.read_text("utf-8"))


def _store_figures(leg, result):
  """Notes a training; comes after the export, which it vouches for."""
  figures = {
    "training": reports.training_figures(result),
    "complexity": complexity.count(result.model)._asdict(),
  }
  text = json.dumps(figures, indent=2)
  run_directory.write_text(leg.paths.summary, text + "\n")


def _settings(study):
  return {
    "frames": study.frames,
    "gop": study.gop,
    "raw_size": None,
    "ms_ssim": study.ms_ssim,
  }


def _is_current(study, folder, leg, baselines=()) -> bool:
  """Whether an evaluation is there that was made of this codec as it is asked for."""
  try:
    path = folder / "evaluation.json"
    about = json.loads(path.read_text("utf-8"))["about"]
  except (OSError, ValueError, KeyError):
    return False
  if leg and _saved_model(leg).stat().st_mtime > path.stat().st_mtime:
    return False
  wanted = [(name, f"crf={crf}") for name in baselines for crf in sorted(study.crf)]
  steps = [leg.config.training.steps] if leg else []
  videos = clips.find_clips(study.inputs, study.frames)
  return (
    about["settings"] == _settings(study)
    and about["inputs"] == [clips.signature(clip) for clip in videos]
    # A codec of variable rate is several, one for each quality.
    and sorted({model["steps"] for model in about["models"]}) == steps
    and [(b["name"], b["setting"]) for b in about["baselines"]] == wanted
  )


def _evaluate(study, folder, leg, baselines):
  if not _is_current(study, folder, leg, baselines):
    saved_models = [str(leg.paths.saved_model)] if leg else []
    child_process.run(_evaluate_files, study, folder, saved_models, baselines)
  return files.read_results(folder / "evaluation.json")


def _evaluate_files(study, folder, saved_models, baselines):
  main_job.choose_logs()
  evaluate.evaluate(
    saved_models,
    study.inputs,
    str(folder),
    frames=study.frames,
    gop=study.gop,
    codecs=baselines,
    crf=study.crf,
    with_ms_ssim=study.ms_ssim,
    log=lambda line: print(line, flush=True),
  )


def _describe(name, chain) -> study_report.TrainedModel:
  figures = _figures(chain[0])
  return study_report.TrainedModel(
    name=name,
    complexity=complexity.Complexity(**figures["complexity"]),
    seed=chain[0].config.training.seed,
    steps=[leg.config.training.steps for leg in chain],
    betas=_betas(chain),
    steps_per_second=figures["training"]["steps_per_second"],
  )


def _betas(chain):
  first = chain[0].config.model
  return (
    [list(first.betas)] if first.variable_rate else [x.config.model.beta for x in chain]
  )


def _about(study):
  about = evaluate.about_this_run()
  about["settings"] = {
    "frames": study.frames,
    "gop": study.gop,
    "configs": {
      name: json.loads(config.to_json()) for name, config in study.configs.items()
    },
  }
  return about
