"""The main job, `bin/train`: train, then finish as the model's family does."""

import logging as std_logging
import pathlib
import signal
import sys

import tensorflow as tf
from absl import logging

from tfafs.coding import cli
from tfafs.models import registry
from tfafs.training import errors, finish_codec, finish_density, finish_video, run

NON_FINITE = 3

# What comes after training: function of (config, result), which prints what it did.
FINISH = {
  "codec": finish_codec.finish,
  "density": finish_density.finish,
  "video": finish_video.finish,
}


def main(command) -> int:
  """Does the job.

  Args:
    command: A `flags.Command`.

  Returns:
    Exit code, see `guarded`.
  """

  def job():
    result = run.train(command.config, command.model_dir, command.strategy)
    family = registry.spec(command.config.model.name).family
    if family in FINISH:
      FINISH[family](command.config, result)

  return guarded(job)


def guarded(job) -> int:
  """Does a job that trains, with what its user should see of logs, errors and signals.

  Args:
    job: Function without arguments.

  Returns:
    Exit code: 0, 3 after a NaN or infinity, 130 after Ctrl-C, 143 after SIGTERM. What
    cannot be done as asked ends the process with one line and exit code 2.
  """
  choose_logs()
  signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
  resume = "The same command goes on from there."
  try:
    job()
  except ValueError as error:  # RunError among them.
    cli.fail(str(error))
  except OSError as error:
    cli.fail(cli.describe_error(error))
  except errors.NonFiniteError as error:
    print(f"{_program()}: error: {error}", file=sys.stderr)
    return NON_FINITE
  except errors.Interrupted as stop:
    print(f"{_program()}: {stop} {resume}", file=sys.stderr)
    return 128 + stop.signal_number
  except KeyboardInterrupt:
    print(f"{_program()}: interrupted. {resume}", file=sys.stderr)
    return 128 + signal.SIGINT
  return 0


def choose_logs():
  """Leaves of all logs errors, and what our own modules say before the first step.

  Keras warns of every checkpoint that it is slow, the exporter of its own names.
  """
  tf.get_logger().setLevel("ERROR")
  logging.set_verbosity(logging.INFO)
  logging.get_absl_handler().addFilter(_is_ours_or_error)


def _is_ours_or_error(record):
  ours = str(pathlib.Path(__file__).parents[1])
  return record.pathname.startswith(ours) or record.levelno >= std_logging.ERROR


def _program():
  return sys.argv[0].rpartition("/")[2]
