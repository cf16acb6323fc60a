"""What lies where in a run's directory, and the config that was stored there."""

import contextlib
import fcntl
import json
import os
import pathlib
from typing import NamedTuple

import ml_collections

from tfafs.training import errors

# What fields that came later were before they were there.
BEFORE = {"model.scale_space.volume": "pyramid"}
# What may change between a run and its continuation: how long it is, what it reports
# and where its data lies. Any other change would make the result a mixture of two.
CHANGEABLE = frozenset(
  {
    "training.steps",
    "model.export_precision",
    "training.log_every",
    "training.checkpoint_every",
    "training.image_every",
    "data.path",
    "data.cache_dir",
    "data.eval_clips",
    "data.eval_points",
  }
)


class RunPaths(NamedTuple):
  """Files and folders of a run.

  Attributes:
    model_dir: The directory that holds the others.
    config: The config, JSON.
    checkpoints: `tf.train.Checkpoint`s of model and optimizer, the last three.
    tensorboard: Scalars and pictures for `tensorboard --logdir`.
    saved_model: The exported model.
    demo: The clip that the finished model compressed: stream and decoded frames.
    summary: The figures of the printed table, JSON.
  """

  model_dir: pathlib.Path
  config: pathlib.Path
  checkpoints: pathlib.Path
  tensorboard: pathlib.Path
  saved_model: pathlib.Path
  demo: pathlib.Path
  summary: pathlib.Path


def run_paths(model_dir) -> RunPaths:
  """The paths of a run under its `model_dir`; nothing is created."""
  root = pathlib.Path(model_dir)
  return RunPaths(
    model_dir=root,
    config=root / "config.json",
    checkpoints=root / "checkpoints",
    tensorboard=root / "tensorboard",
    saved_model=root / "saved_model",
    demo=root / "demo",
    summary=root / "summary.json",
  )


@contextlib.contextmanager
def hold(paths: RunPaths):
  """Makes the directory and keeps a second process from training in it.

  The lock goes with the process, however that ends.

  Raises:
    RunError: if another process holds the directory, or it cannot be written.
  """
  try:
    paths.model_dir.mkdir(parents=True, exist_ok=True)
    file = open(paths.model_dir / "lock", "w", encoding="utf-8")  # noqa: SIM115
  except OSError as error:
    raise errors.RunError(
      f"Cannot write to model_dir {paths.model_dir}: {error.strerror}."
    ) from error
  with file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise errors.RunError(
        f"Another process trains in {paths.model_dir}: wait for it or stop it, or "
        "train in another --model_dir."
      ) from None
    yield


def write_text(path: pathlib.Path, text: str):
  """Writes a file as a whole: beside, then renamed."""
  beside = path.with_name(f"{path.name}.{os.getpid()}.part")
  try:
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
  finally:
    beside.unlink(missing_ok=True)


def flatten(config: dict, prefix: str = "") -> dict:
  """Maps "section.field" to the value, for every field of a nested dict."""
  flat = {}
  for name, value in config.items():
    if isinstance(value, dict):
      flat.update(flatten(value, f"{prefix}{name}."))
    else:
      flat[prefix + name] = value
  return flat


def load_config(paths: RunPaths):
  """The stored config as a ConfigDict, or None where there is none.

  Raises:
    RunError: if the file is not a config.
  """
  try:
    text = paths.config.read_text(encoding="utf-8")
  except FileNotFoundError:
    return None
  try:
    return ml_collections.ConfigDict(json.loads(text))
  except (ValueError, TypeError, AttributeError) as error:
    raise errors.RunError(
      f"{paths.config} is damaged ({error}): restore it, or train in another "
      "--model_dir."
    ) from error


def check_config(paths: RunPaths, config):
  """Checks the config of a run that is to go on against the one that it began with.

  A config binds as soon as there is a checkpoint.

  Args:
    paths: Paths of the run.
    config: Config that is asked for now.

  Raises:
    RunError: if the directory holds a run of another config, naming the fields.
  """
  stored = load_config(paths)
  if stored is None or not (paths.checkpoints / "checkpoint").exists():
    return
  old, new = flatten(stored.to_dict()), flatten(json.loads(config.to_json()))
  differing = [
    f"{name} (was {old.get(name, 'not set')!r}, now {new.get(name, 'not set')!r})"
    for name in sorted({*old, *new})
    # A field that came later is off in runs that began before it, or as `BEFORE` says.
    if (old.get(name, BEFORE.get(name)) or None) != (new.get(name) or None)
    and name not in CHANGEABLE
  ]
  if differing:
    raise errors.RunError(
      f"{paths.model_dir} holds a run with another config: {', '.join(differing)}. "
      "Give the same values to go on with it, or another --model_dir to start anew."
    )


def store_config(paths: RunPaths, config):
  """Stores the config of a run in its directory, which exists."""
  text = json.dumps(json.loads(config.to_json()), indent=2)
  write_text(paths.config, text + "\n")
