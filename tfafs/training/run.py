"""The run loop: any Keras model of the registry, on Keras' `fit`, with exact resume.

A run is a function of its config: the weights start from `config.training.seed`, the
examples of a step follow those of the step before in the dataset, the model draws its
noise from (seed, step), and TensorFlow's ops are told to be deterministic. So a run that
was killed goes on from its last checkpoint to the very weights of one that was not, on
the same machine with the same number of threads.
"""

import contextlib
import functools
from typing import NamedTuple

import tensorflow as tf

from tfafs.datasets import clips
from tfafs.training import (
  callbacks,
  checkpoints,
  errors,
  monitoring,
  optimizers,
  progress,
  run_directory,
  schedules,
  strategies,
)

# The clips that are pictured have the next seed, evaluation the one behind that.
_LAST_SEED = clips.EVALUATION_SEED - 2


class TrainingResult(NamedTuple):
  """A finished run.

  Attributes:
    model: The trained Keras model.
    paths: Where everything lies, a `RunPaths`.
    steps: Steps that the model has been trained for.
    steps_done: Steps that this call did; 0 if the run was finished before.
    steps_per_second: Speed of this call, None for fewer than two steps.
    logs: Mean of the logs over the last `log_every` steps of this call, empty if it did
      none.
  """

  model: tf.keras.Model
  paths: run_directory.RunPaths
  steps: int
  steps_done: int
  steps_per_second: float
  logs: dict


def train(config, model_dir, strategy="default", make_model=None, make_dataset=None):
  """Trains a model, or goes on with a run that was stopped.

  Turns on `tf.config.experimental.enable_op_determinism` for the whole process.

  Args:
    config: Config of the run (sections `model`, `data`, `training`).
    model_dir: Directory of the run, see `run_directory.RunPaths`. If it holds a run of
      the same config, that run goes on; more `training.steps` extend it.
    strategy: Name for `strategies.make_strategy`, or a `tf.distribute.Strategy`.
    make_model: Function from the config to a Keras model with a loss of its own; by
      default `registry.build`.
    make_dataset: Function like `datasets.make_dataset`, the default.

  Returns:
    A `TrainingResult`.

  Raises:
    RunError: if the run cannot start as asked: bad config, a run of another config in
      `model_dir`, a damaged checkpoint.
    NonFiniteError: at the first step with a NaN or an infinity.
    Interrupted: on SIGINT or SIGTERM, after a checkpoint was written.
  """
  if make_model is None:
    from tfafs.models import registry

    make_model = registry.build
  if make_dataset is None:
    from tfafs import datasets

    make_dataset = datasets.make_dataset
  check(config)
  paths = run_directory.run_paths(model_dir)
  with run_directory.hold(paths):
    run_directory.check_config(paths, config)
    tf.config.experimental.enable_op_determinism()
    tf.keras.utils.set_random_seed(config.training.seed)
    strategy = strategies.make_strategy(strategy)
    _check_replicas(config, strategy.num_replicas_in_sync)
    with strategy.scope(), _refusals():
      model = _build(make_model, config, paths)
      checkpointer = checkpoints.Checkpointer(
        paths.checkpoints, model, model.optimizer, keep=3
      )
      step = checkpointer.restore()
      _announce(config, paths, model, step)
      if checkpointer.latest is None and not config.training.get("warm_start"):
        _initialize(config, model, make_dataset)
    run_directory.store_config(paths, config)
    return _fit(config, paths, model, checkpointer, make_dataset, step)


def check(config):
  """Raises RunError for a value of the config that no run can have."""
  positive = (
    ("training", ("steps", "log_every", "checkpoint_every", "image_every")),
    ("training", ("learning_rate", "decay_factor", "large_crop_size", "epsilon")),
    ("data", ("batch_size", "num_frames", "crop_size", "image_size")),
  )
  for section, names in positive:
    for name in names:
      # Models of points have no frames and no crops.
      value = config[section].get(name, 1)
      if not value > 0:
        raise errors.RunError(
          f"config.{section}.{name} is {value}; it must be more than 0."
        )
  seed = config.training.seed
  if not 0 <= seed <= _LAST_SEED:
    raise errors.RunError(
      f"config.training.seed is {seed}; it must be from 0 to {_LAST_SEED}."
    )
  batch_size = config.training.get("large_crop_batch_size", 0)
  if batch_size < 0:
    raise errors.RunError(
      f"config.training.large_crop_batch_size is {batch_size}; it must be more than 0, or "
      "0 for data.batch_size."
    )
  for name in ("decay_at", "large_crop_from", "exact_from"):
    value = config.training.get(name, 1)
    if not 0 <= value <= 1:
      raise errors.RunError(
        f"config.training.{name} is {value}; it is a fraction of the steps, 0 to 1."
      )
  for name in ("beta_1", "beta_2"):
    value = config.training.get(name, 0.9)
    if not 0 <= value < 1:
      raise errors.RunError(
        f"config.training.{name} is {value}; it must be at least 0 and less than 1."
      )
  for name in ("precision", "export_precision"):
    value = config.model.get(name, "")
    if value not in ("", "float32", "mixed_bfloat16"):
      raise errors.RunError(
        f"config.model.{name} is {value!r}; it must be float32 or mixed_bfloat16."
      )
  if config.training.get("warmup_steps", 0) < 0:
    raise errors.RunError(
      f"config.training.warmup_steps is {config.training.warmup_steps}; 0 is no warm-up."
    )
  if config.training.clip_norm < 0:
    raise errors.RunError(
      f"config.training.clip_norm is {config.training.clip_norm}; 0 is no clipping."
    )


def _check_replicas(config, num_replicas):
  """Raises RunError if a batch of the run has no equal shares for all replicas."""
  for phase in schedules.phases(config):
    if phase.batch_size % num_replicas:
      raise errors.RunError(
        f"{num_replicas} replicas cannot share a batch of {phase.batch_size}: make "
        "data.batch_size, and training.large_crop_batch_size where that is set, "
        f"multiples of {num_replicas}."
      )


@contextlib.contextmanager
def _refusals():
  """Makes a RunError of the ValueError with which a part refuses the config."""
  try:
    yield
  except errors.RunError:
    raise
  except ValueError as error:
    raise errors.RunError(" ".join(str(error).split())) from error


def _build(make_model, config, paths):
  """Model with its optimizer, both with all their variables."""

  def make():
    model = make_model(config)
    if not model.built:
      size = config.data.crop_size
      model(tf.zeros([1, config.data.num_frames, size, size, 3]), training=False)
    return model

  model = make()
  warm_start = config.training.get("warm_start")
  if warm_start and not (paths.checkpoints / "checkpoint").exists():
    # Into another model: the one that is trained would find its optimizer there, too.
    source = make()
    checkpoints.restore_weights(source, run_directory.run_paths(warm_start).checkpoints)
    model.set_weights(source.get_weights())
  model.compile(
    optimizer=optimizers.make_optimizer(config.training),
    jit_compile=config.training.jit_compile,
  )
  # Logs that are no Keras metrics are the first replica's; Keras would add them up.
  model.distribute_reduction_method = "first"
  model.optimizer.build(model.trainable_variables)
  return model


def _initialize(config, model, make_dataset):
  """Lets a new model start from data, if it does that: `model.initialize_from(batch)`."""
  if not hasattr(model, "initialize_from"):
    return
  count = config.training.initial_clips
  print(f"Starting from {count} examples ...", flush=True)
  crop_size = config.data.get("crop_size")
  dataset = make_dataset(
    config.data,
    count,
    config.data.get("num_frames"),
    crop_size,
    start_index=0,
    seed=config.training.seed,
  )
  model.initialize_from(next(iter(dataset)))


def _announce(config, paths, model, step):
  training = config.training
  count = sum(int(tf.size(variable)) for variable in model.trainable_variables)
  print(
    f"{config.model.name}: {count:,} parameters, {training.steps} steps, "
    f"{config.data.dataset} data, directory {paths.model_dir}",
    flush=True,
  )
  if step >= training.steps:
    print(f"Already trained for {step} of {training.steps} steps.", flush=True)
  elif step:
    print(f"Going on after step {step}.", flush=True)


def _fit(config, paths, model, checkpointer, make_dataset, first_step):
  """Runs what is left of each phase; returns the result."""
  training = config.training
  monitor = monitoring.Monitor(
    first_step, training.steps, training.log_every, checkpointer
  )
  with callbacks.StopOnSignal() as stop:
    hooks = [
      monitor,
      progress.Progress(monitor),
      callbacks.TensorBoard(
        monitor,
        paths.tensorboard,
        training.image_every,
        _pictured_frames(config, model, make_dataset),
      ),
      callbacks.Checkpoints(monitor, checkpointer, training.checkpoint_every),
      stop,
    ]
    left = [p for p in schedules.phases(config) if p.end_step > first_step]
    # All at once, so that data too small for the last phase is refused before the first.
    datasets = [
      _dataset(config, make_dataset, phase, start)
      for phase, start in zip(left, [first_step, *(p.end_step for p in left)])
    ]
    for phase, dataset in zip(left, datasets):
      if stop.signal_number is not None:
        break
      steps = phase.end_step - monitor.step
      # Traced anew for each phase: Keras' own function would relax the shapes on
      # meeting the second, and a resumed run, which meets only that, would then run
      # another graph than one that was never stopped. XLA wants static shapes too.
      model.make_train_function(force=True)
      model.fit(dataset, steps_per_epoch=steps, callbacks=hooks, verbose=0)
      if monitor.step < phase.end_step and stop.signal_number is None:
        raise errors.RunError(
          f"The data ended at step {monitor.step} of {training.steps}; a dataset for "
          "training has to repeat for ever."
        )
    if monitor.step > first_step:
      checkpointer.save()
  if stop.signal_number is not None:
    raise errors.Interrupted(monitor.step, checkpointer.latest, stop.signal_number)
  return TrainingResult(
    model=model,
    paths=paths,
    steps=monitor.step,
    steps_done=monitor.step - first_step,
    steps_per_second=monitor.steps_per_second,
    logs=monitor.logs,
  )


def _dataset(config, make_dataset, phase, step):
  """The examples from one step on: a resumed run sees what it would have seen."""
  with _refusals():
    return make_dataset(
      config.data,
      phase.batch_size,
      config.data.get("num_frames"),
      phase.crop_size,
      start_index=phase.example_at(step),
      seed=config.training.seed,
    )


def _pictured_frames(config, model, make_dataset):
  """Function that gives the frames for `model.visualize`; None if it has none."""
  if not hasattr(model, "visualize"):
    return None

  @functools.lru_cache(maxsize=1)
  def frames():
    dataset = make_dataset(
      config.data,
      1,
      config.data.get("num_frames"),
      config.data.get("crop_size"),
      start_index=0,
      seed=config.training.seed + 1,
    )
    return next(iter(dataset))

  return frames
