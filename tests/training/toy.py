"""A small real model and dataset for the run loop; run by name in processes to kill."""

import contextlib
import io
import os
import pickle
import signal
import sys
from typing import NamedTuple, Optional

import ml_collections
import tensorflow as tf

from tfafs import training as tfafs_training


def get_config(**training):
  config = ml_collections.ConfigDict(
    {
      "model": {"name": "toy", "filters": 8},
      "data": {
        "dataset": "waves",
        "path": "",
        "batches": -1,
        "batch_size": 4,
        "num_frames": 2,
        "crop_size": 16,
      },
      "training": {
        "steps": 12,
        "learning_rate": 1e-3,
        "decay_at": 0.75,
        "decay_factor": 0.1,
        "large_crop_size": 24,
        "large_crop_from": 0.8,
        "large_crop_batch_size": 2,
        "clip_norm": 1.0,
        "seed": 3,
        "warm_start": "",
        "log_every": 4,
        "checkpoint_every": 3,
        "image_every": 6,
        "jit_compile": False,
      },
    }
  )
  config.training.update(training)
  return config


def make_dataset(data, batch_size, num_frames, crop_size, start_index=0, seed=0):
  """Travelling waves: example i is a pure function of (seed, i)."""
  if data.dataset != "waves":
    raise ValueError(f"data.dataset must be waves, not {data.dataset!r}")

  def example(index):
    draw = tf.random.stateless_uniform([4], [seed, index], maxval=3.0)
    time = tf.range(num_frames, dtype=tf.float32)[:, None, None, None]
    row = tf.range(crop_size, dtype=tf.float32)[None, :, None, None]
    column = tf.range(crop_size, dtype=tf.float32)[None, None, :, None]
    wave = tf.sin(draw[0] * row + draw[1] * column + draw[2] * time + draw[3])
    return tf.ensure_shape(
      tf.repeat(0.5 + 0.5 * wave, 3, axis=-1), [num_frames, crop_size, crop_size, 3]
    )

  dataset = tf.data.Dataset.counter(start=start_index, dtype=tf.int32)
  dataset = dataset.map(example, num_parallel_calls=2)
  return dataset.batch(batch_size, drop_remainder=True).take(data.batches).prefetch(2)


class Toy(tf.keras.Model):
  """Frame by frame auto-encoder with noise on its code, seeded by the step."""

  def __init__(self, config):
    super().__init__()
    filters = config.model.filters
    self.encoder = tf.keras.layers.Conv2D(filters, 5, 2, "same", activation="relu")
    self.decoder = tf.keras.layers.Conv2DTranspose(3, 5, 2, "same")
    self.seed = config.training.seed

  def call(self, frames, training=False):
    code = self.encoder(tf.reshape(frames, [-1, *frames.shape[2:]]))
    if training:
      seed = tf.stack([tf.cast(self.seed, tf.int64), self.optimizer.iterations])
      code += tf.random.stateless_uniform(tf.shape(code), seed, -0.5, 0.5)
    return tf.reshape(self.decoder(code), tf.shape(frames)), code

  def train_step(self, frames):
    with tf.GradientTape() as tape:
      reconstruction, code = self(frames, training=True)
      mse = tf.reduce_mean(tf.math.squared_difference(frames, reconstruction))
      bpp = tf.reduce_mean(tf.math.log1p(tf.abs(code)))
      loss = mse + 1e-3 * bpp
      # Keras sums the gradients of the replicas.
      share = loss / tf.distribute.get_replica_context().num_replicas_in_sync
    self.optimizer.minimize(share, self.trainable_variables, tape=tape)
    psnr = -10.0 / tf.math.log(10.0) * tf.math.log(mse)
    return {"loss": loss, "mse": mse, "bpp": bpp, "psnr": psnr}

  def visualize(self, frames):
    return {"frame": frames[0], "reconstruction": self(frames)[0][0]}


class Outcome(NamedTuple):
  """How a run in a process ended, and what it printed on stdout and stderr."""

  exit_code: Optional[int] = None
  error: Optional[Exception] = None
  weights: Optional[list] = None
  figures: Optional[dict] = None
  output: str = ""
  messages: str = ""


class At(tf.keras.callbacks.Callback):
  """Does something in the process after a step."""

  def __init__(self, step, action):
    super().__init__()
    self._step = step
    self._action = action

  def on_train_batch_end(self, batch, logs=None):
    if self.model.optimizer.step == self._step:
      self._action(self.model)


def send(signal_number):
  return lambda model: os.kill(os.getpid(), signal_number)


def damage(model):
  """Makes one weight infinite."""
  kernel = model.encoder.kernel
  kernel.assign(tf.tensor_scatter_nd_update(kernel, [[0, 0, 0, 0]], [float("inf")]))


ACTIONS = {
  "kill": send(signal.SIGKILL),
  "interrupt": send(signal.SIGINT),
  "terminate": send(signal.SIGTERM),
  "damage": damage,
}


def maker(at):
  """Function that builds a toy; `at` is (step, name of an action) or None."""

  def make_model(config):
    model = Toy(config)
    if at:
      fit = model.fit
      extra = At(at[0], ACTIONS[at[1]])
      model.fit = lambda *a, callbacks, **k: fit(*a, callbacks=[extra, *callbacks], **k)
    return model

  return make_model


def two_replicas():
  """A strategy with two replicas on the one CPU."""
  (cpu,) = tf.config.list_physical_devices("CPU")
  halves = [tf.config.LogicalDeviceConfiguration()] * 2
  tf.config.set_logical_device_configuration(cpu, halves)
  return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


def train(model_dir, at=None, strategy="default", data=None, **training):
  """Trains a toy."""
  config = get_config(**training)
  config.data.update(data or {})
  if strategy == "two replicas":
    strategy = two_replicas()
  return tfafs_training.train(
    config, model_dir, strategy, make_model=maker(at), make_dataset=make_dataset
  )


def main(model_dir, at=None, **training):
  """Does the main job with a toy that the registry knows; returns the exit code."""
  from tfafs.models import registry
  from tfafs.training import flags, main_job

  registry.MODELS["toy"] = registry.ModelSpec("toys", "A toy.", maker(at))
  config = get_config(**training)
  config.data.dataset = "synthetic"
  sys.argv = ["bin/train"]
  return main_job.main(flags.Command(config, model_dir, "default"))


def child(model_dir, report, options, job):
  """Trains, or does the job "main", in this process; leaves an `Outcome` in a file."""
  outcome = Outcome()
  output, messages = io.StringIO(), io.StringIO()
  with contextlib.redirect_stdout(output), contextlib.redirect_stderr(messages):
    try:
      if job == "main":
        outcome = outcome._replace(exit_code=main(model_dir, **options))
      else:
        result = train(model_dir, **options)
        variables = *result.model.variables, *result.model.optimizer.variables
        outcome = outcome._replace(
          weights=[variable.numpy() for variable in variables],
          figures=result._replace(model=None)._asdict(),
        )
    except Exception as error:
      outcome = outcome._replace(error=error)
    except SystemExit as end:
      outcome = outcome._replace(exit_code=end.code)
  outcome = outcome._replace(output=output.getvalue(), messages=messages.getvalue())
  beside = report.with_suffix(".part")
  beside.write_bytes(pickle.dumps(outcome))
  beside.rename(report)
