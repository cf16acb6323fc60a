"""Checkpoints of a run: written whole, never from damaged weights, read or refused."""

import contextlib
import pathlib
import shutil

import tensorflow as tf

from tfafs.models import registry
from tfafs.training import errors, run_directory


class Checkpointer:
  """Saves and restores model and optimizer, numbered by the optimizer's step.

  TensorFlow writes a checkpoint beside its final name, renames it, and only then names
  it in the file `checkpoint` (also by renaming): a run that is killed at any moment
  finds the last complete one. Both must have created their variables before.
  """

  def __init__(self, directory, model, optimizer, keep: int = 3):
    """Opens a directory of checkpoints.

    Args:
      directory: Where they lie; created with the first one.
      model: A built Keras model.
      optimizer: A built `ClippedAdam`; its steps number the checkpoints.
      keep: How many of the last ones stay on disk.

    Raises:
      RunError: if the directory's list of checkpoints is damaged.
    """
    self._directory = pathlib.Path(directory)
    self._optimizer = optimizer
    self._variables = [*model.variables, *optimizer.variables]
    self._checkpoint = tf.train.Checkpoint(model=model, optimizer=optimizer)
    _check_list(self._directory)
    self._manager = tf.train.CheckpointManager(
      self._checkpoint, str(self._directory), max_to_keep=keep
    )

  @property
  def latest(self):
    """Path prefix of the newest checkpoint that is on disk, or None."""
    for path in reversed(self._manager.checkpoints):
      if pathlib.Path(path + ".index").exists():
        return path
    return None

  def restore(self) -> int:
    """Restores the newest checkpoint, if there is one.

    Returns:
      The number of steps done, 0 for a fresh run.

    Raises:
      RunError: if it is damaged or of another model.
    """
    path = self.latest
    if path is None:
      return 0
    remedy = (
      f"delete {path}.* to go back to the one before, or train in another --model_dir."
    )
    unfit = f"is not of this model or of another version: {remedy}"
    with _reading(path, remedy, unfit):
      self._checkpoint.restore(path).assert_existing_objects_matched()
    return self._optimizer.step

  def save(self) -> str:
    """Writes a checkpoint of the present step and drops the oldest.

    Returns:
      Its path prefix.

    Raises:
      NonFiniteError: if a weight or a moment of the optimizer is NaN or infinite; then
        nothing is written.
      RunError: if the disk refuses.
    """
    step = self._optimizer.step
    bad = _non_finite(self._variables)
    if bad:
      shown = [*bad[:3], f"and {len(bad) - 3} more"] if len(bad) > 3 else bad
      raise errors.NonFiniteError(step, shown, self.latest)
    if self.latest == f"{self._directory / 'ckpt'}-{step}":
      return self.latest
    try:
      path = self._manager.save(checkpoint_number=step)
    except (tf.errors.OpError, OSError) as error:
      reason = str(error).splitlines()[0][:200]
      raise errors.RunError(
        f"Cannot write a checkpoint to {self._directory}: {reason}"
      ) from error
    self._remove_left_overs()
    return path

  def _remove_left_overs(self):
    """Removes what runs that were killed while they saved have left."""
    kept = {pathlib.Path(path).name for path in self._manager.checkpoints}
    for path in self._directory.glob("ckpt-*"):
      if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
      elif path.name.split(".")[0] not in kept:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _reading(path, remedy, unfit):
  """Makes a RunError of what TensorFlow raises for a checkpoint damaged or not fitting."""
  try:
    yield
  except (tf.errors.OpError, IndexError) as error:
    reason = str(error).splitlines()[0][:200]
    raise errors.RunError(
      f"Checkpoint {path} is damaged ({reason}): {remedy}"
    ) from error
  except (AssertionError, ValueError) as error:
    raise errors.RunError(f"Checkpoint {path} {unfit}") from error


def restore_weights(model, directory) -> None:
  """Gives a built model the weights of the newest checkpoint of another run.

  Args:
    model: A built Keras model. If it holds an optimizer, now or ever after, that is
      restored with it, as TensorFlow's checkpoints are.
    directory: Where the checkpoints lie.

  Raises:
    RunError: if there is none, or it is not of such a model.
  """
  _check_list(pathlib.Path(directory))
  path = tf.train.latest_checkpoint(str(directory))
  if path is None:
    raise errors.RunError(
      f"{directory} holds no checkpoint: give the --model_dir of a run of bin/train."
    )
  unfit = "does not fit the model: give a run of a model with the same parts and sizes."
  with _reading(path, f"delete {path}.* to use the one before.", unfit):
    status = tf.train.Checkpoint(model=model).restore(path)
    status.expect_partial().assert_existing_objects_matched()


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
  restore_weights(model, paths.checkpoints)
  return model


def newest_step(directory) -> int:
  """Steps that the newest checkpoint of a run has; 0 if there is none.

  Raises:
    RunError: if the directory's list of checkpoints is damaged.
  """
  _check_list(pathlib.Path(directory))
  path = tf.train.latest_checkpoint(str(directory))
  return int(path.rpartition("-")[2]) if path else 0


def _check_list(directory):
  """Refuses a damaged list, which TensorFlow would take for an empty one."""
  if not (directory / "checkpoint").exists():
    return
  try:
    state = tf.train.get_checkpoint_state(str(directory))
  except (ValueError, tf.errors.OpError):
    state = None
  if state is None:
    raise errors.RunError(
      f"{directory / 'checkpoint'}, the list of checkpoints, is damaged: delete "
      f"{directory} to start anew, or train in another --model_dir."
    )


def _non_finite(variables):
  """Names of the floating-point variables with an entry that is not finite."""
  return [
    variable.name
    for variable in variables
    if variable.dtype.is_floating
    and not bool(tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(variable))))
  ]
