"""The command line of `bin/study`."""

import pathlib
import sys

from absl import flags

from tfafs.coding import cli
from tfafs.evaluation import study_report
from tfafs.models import registry
from tfafs.training import flags as training_flags
from tfafs.training import main_job, run_directory, study

USAGE = """Trains several codecs at one budget, evaluates them on the same clips, compares.

usage: bin/study CLIP... --models=NAME,NAME... [--config.SECTION.FIELD=VALUE]
A study that was stopped goes on with the same command.
"""

_FLAGS = ("models", "config_size", "betas", "anneal_steps", "anchor", "frames", "gop")
_FLAGS += ("baselines", "crf", "ms_ssim", "runs_dir", "output_dir", "plan_only")


def parse(argv, values=None):
  """Parses the command line; what is wrong ends the process with one line, code 2.

  Args:
    argv: Program name and arguments.
    values: `flags.FlagValues` to define the flags in; absl's own by default.

  Returns:
    The `study.Study`, and whether only its plan is asked for.
  """
  values = flags.FLAGS if values is None else values
  _define(values)
  if any(argument in training_flags.HELP for argument in argv[1:]):
    print(USAGE)
    for name in _FLAGS:
      flag = values[name]
      print(f"  --{name:<13} {flag.help} (default: {flag.default})")
    print("  --config.SECTION.FIELD=VALUE overrides a field of every codec's config")
    sys.exit(0)
  config, inputs = training_flags.parse_config(argv, values, _first_config)
  try:
    made = _make(values, config, inputs)
    study.check(made)
  except (ValueError, OSError) as error:
    cli.fail(cli.describe_error(error))
  return made, values.plan_only


def main(command) -> int:
  """Prints the plan and carries the study out; returns the exit code."""
  asked, plan_only = command

  def job():
    print("Measuring the steps of what is to be trained ...", flush=True)
    print(study.plan(asked), flush=True)
    if plan_only:
      return
    report = study.carry_out(asked)
    print(f"\n{study_report.text(report)}")
    print(f"\nReport: {pathlib.Path(asked.output_dir) / 'index.html'}")

  return main_job.guarded(job)


def _define(values):
  string, integer = flags.DEFINE_string, flags.DEFINE_integer
  flags.DEFINE_list("models", [], "Codecs to study.", values)
  sizes = list(registry.SIZES)
  flags.DEFINE_enum("config_size", "default", sizes, "Config to start from.", values)
  betas = ["3e-4", "6e-4", "1.25e-3", "2.5e-3"]
  flags.DEFINE_list("betas", betas, "Weights of the rate, as trained.", values)
  integer("anneal_steps", 1000, "Steps at each beta but the first.", 1, None, values)
  string("anchor", "", "Codec to compare with; the first of --models.", values)
  integer("frames", None, "Only so many frames of each clip.", 1, None, values)
  integer("gop", 12, "Distance of I frames; 0: only one.", 0, None, values)
  flags.DEFINE_list("baselines", ["x264", "x265"], "Classical codecs.", values)
  crf = ["17", "22", "27", "32", "37", "42"]
  flags.DEFINE_list("crf", crf, "Qualities of the classical codecs.", values)
  flags.DEFINE_bool("ms_ssim", False, "Whether to compute MS-SSIM.", values)
  string("runs_dir", "runs/study", "Folder of runs and their evaluations.", values)
  string("output_dir", None, "Folder of the report; RUNS_DIR/report.", values)
  flags.DEFINE_bool("plan_only", False, "Print the plan, train nothing.", values)


def _first_config(values):
  if not values.models:
    raise ValueError(f"--models=NAME,... is missing. Codecs: {', '.join(_codecs())}.")
  for name in values.models:
    if name not in _codecs():
      raise ValueError(f"--models: {name!r} is no codec of {', '.join(_codecs())}.")
  return registry.load_config(values.models[0], values.config_size)


def _codecs():
  return [name for name, spec in registry.MODELS.items() if spec.family == "codec"]


def _make(values, config, inputs):
  return study.Study(
    configs=_configs(values, config),
    betas=_numbers(values.betas, float, "--betas"),
    anneal_steps=values.anneal_steps,
    anchor=values.anchor or values.models[0],
    inputs=inputs,
    frames=values.frames,
    gop=values.gop,
    baselines=tuple(dict.fromkeys(values.baselines)),
    crf=tuple(dict.fromkeys(_numbers(values.crf, int, "--crf"))),
    ms_ssim=values.ms_ssim,
    runs_dir=values.runs_dir,
    output_dir=values.output_dir or str(pathlib.Path(values.runs_dir) / "report"),
  )


def _configs(values, config):
  """The overrides of the first codec's config, in that of each."""
  asked = run_directory.flatten(config.to_dict())
  start = registry.load_config(values.models[0], values.config_size)
  before = run_directory.flatten(start.to_dict())
  changed = {name: asked[name] for name in asked if asked[name] != before[name]}
  fixed = {"model.name": "--models", "model.beta": "--betas"}
  for name, flag in fixed.items():
    if name in changed:
      raise ValueError(f"--config.{name} cannot be set here; {flag} does.")
  configs = {}
  for name in values.models:
    configs[name] = registry.load_config(name, values.config_size)
    configs[name].update_from_flattened_dict(changed)
  return configs


def _numbers(texts, kind, flag):
  try:
    return tuple(kind(text) for text in texts)
  except ValueError:
    raise ValueError(f"{flag}={','.join(texts)}: give numbers, such as 1,2") from None
