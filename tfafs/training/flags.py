"""The command line of `bin/train`: the model, its config with overrides, where to."""

import pathlib
import sys
from typing import NamedTuple

import ml_collections
from absl import flags
from ml_collections import config_flags

from tfafs.coding import cli
from tfafs.models import registry

HELP = ("-h", "--h", "-help", "--help", "-helpshort", "--helpshort")


class Command(NamedTuple):
  """What the command line asks for.

  Attributes:
    config: Config of the model with all overrides.
    model_dir: Directory of the run.
    strategy: Name for `strategies.make_strategy`.
  """

  config: ml_collections.ConfigDict
  model_dir: str
  strategy: str


def parse(argv, values=None) -> Command:
  """Parses the command line.

  An unknown model, config field or flag and a value of a wrong type end the process
  with one line and exit code 2. `--help` prints models and flags and ends it with 0.

  Args:
    argv: Program name and arguments.
    values: `flags.FlagValues` to define the flags in; absl's own by default.

  Returns:
    The `Command`.
  """
  values = flags.FLAGS if values is None else values
  _define(values)
  if any(argument in HELP for argument in argv[1:]):
    _print_help(values)
    sys.exit(0)
  config, arguments = parse_config(argv, values, _load)
  if arguments:
    cli.fail(f"Unexpected argument {arguments[0]!r}; flags are written --NAME=VALUE.")
  if config.model.name != values.model:
    cli.fail("--config.model.name cannot be set; --model names the model.")
  if values.dataset is not None:
    config.data.dataset = values.dataset
  if values.jit_compile is not None:
    config.training.jit_compile = values.jit_compile
  model_dir = values.model_dir or str(pathlib.Path("runs") / values.model)
  return Command(config, model_dir, values.strategy)


def parse_config(argv, values, load):
  """Parses flags of which some override fields of a config that others choose.

  What cannot be parsed ends the process with one line and exit code 2.

  Args:
    argv: Program name and arguments.
    values: `flags.FlagValues` with all flags but those of the config.
    load: Function that gives the config, called when `values` have been parsed; a
      ValueError of its own is one of the user's.

  Returns:
    The config with all overrides, and the list of positional arguments.
  """
  config = None
  try:
    # First the flags that say which config has the fields that the others override.
    values(argv, known_only=True)
    config = load(values)
    _check_fields(argv, config)
    config_flags.DEFINE_config_dict(
      "config", config, flag_values=values, sys_argv=list(argv)
    )
    return config, values(argv)[1:]
  except flags.IllegalFlagValueError as error:
    cli.fail(f"{error}{_expected(str(error), config)}")
  except flags.UnrecognizedFlagError as error:
    cli.fail(f"{error}; --help lists the flags.")
  except (flags.Error, ValueError) as error:
    cli.fail(str(error))


def _load(values):
  if not values.model:
    raise ValueError(f"--model=NAME is missing. Models: {', '.join(registry.MODELS)}.")
  return registry.load_config(values.model, values.config_size)


def _define(values):
  flags.DEFINE_string("model", None, "Model to train, see above.", values)
  flags.DEFINE_enum(
    "config_size",
    "default",
    list(registry.SIZES),
    "Config to start from: minutes on two cores, as published, or seconds.",
    values,
  )
  flags.DEFINE_string(
    "model_dir",
    None,
    "Directory of the run, runs/MODEL by default; a run that is there goes on.",
    values,
  )
  flags.DEFINE_string(
    "dataset", None, "Data to train on, short for --config.data.dataset.", values
  )
  flags.DEFINE_bool(
    "jit_compile",
    None,
    "Compile the step with XLA (as on a TPU); on a CPU it is slower.",
    values,
  )
  flags.DEFINE_string(
    "strategy", "default", "Where to compute: default, mirrored or tpu:NAME.", values
  )


def _print_help(values):
  lines = [
    "Trains a model, exports it, and shows what it does on a clip it has not seen.",
    "",
    "usage: bin/train --model=NAME [--model_dir=DIR] [--config.SECTION.FIELD=VALUE]",
    "The same command goes on with a run that was stopped.",
    "",
    "models:",
  ]
  width = max(map(len, registry.MODELS))
  for name, spec in registry.MODELS.items():
    lines.append(f"  {name:<{width}}  {spec.description}")
  lines += ["", "flags:"]
  names = ("model", "config_size", "model_dir", "dataset", "jit_compile", "strategy")
  for name in names:
    flag = values[name]
    default = "" if flag.default is None else f" (default: {flag.default})"
    lines.append(f"  --{name:<{width}}  {flag.help}{default}")
  lines += ["  --config.SECTION.FIELD=VALUE overrides any field of the config:"]
  families = {}
  for name, spec in registry.MODELS.items():
    sections = families.setdefault(spec.family, {})
    for section, fields in registry.load_config(name).items():
      sections.setdefault(section, {}).update(dict.fromkeys(fields))
  for family, sections in families.items():
    lines.append(f"    {family}; some fields are of some models only:")
    for section, fields in sections.items():
      lines.append(f"      {section}: {', '.join(fields)}")
  lines += [
    "",
    "exit code: 0 done, 2 cannot do as asked, 3 NaN or infinity, 130 after Ctrl-C.",
  ]
  print("\n".join(lines))


def _check_fields(argv, config):
  """Fails at the first override of a field that the config does not have."""
  for argument in argv[1:]:
    if argument == "--":
      return
    flag = argument.lstrip("-").split("=", 1)[0]
    if not argument.startswith("-") or not flag.startswith(("config.", "noconfig.")):
      continue
    section, path = config, "config"
    for name in flag.split(".")[1:]:
      if not isinstance(section, ml_collections.ConfigDict):
        cli.fail(f"--{flag}: {path} is a field, it has no fields of its own.")
      if name not in section:
        known = ", ".join(section)
        cli.fail(f"--{flag}: {path} has no {name!r}. It has: {known}.")
      section, path = section[name], f"{path}.{name}"
    if isinstance(section, ml_collections.ConfigDict):
      cli.fail(f"--{flag}: {path} is a section. Its fields: {', '.join(section)}.")


def _expected(message, config):
  """What a field takes, for the error about a value that it does not."""
  flag = message.partition("--")[2].partition("=")[0]
  if config is None or not flag.startswith("config."):
    return ""
  value = config
  for name in flag.split(".")[1:]:
    value = value[name]
  return f" ({flag} is {type(value).__name__}, such as {value!r})"
