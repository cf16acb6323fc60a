"""Keras callbacks of the run loop that write files and heed signals."""

import signal
import sys
import threading

import tensorflow as tf


class Checkpoints(tf.keras.callbacks.Callback):
  """Writes a checkpoint every `every` steps."""

  def __init__(self, monitor, checkpointer, every: int):
    super().__init__()
    self._monitor = monitor
    self._checkpointer = checkpointer
    self._every = every

  def on_train_batch_end(self, batch, logs=None):
    """Saves when it is due."""
    if self._monitor.step % self._every == 0:
      self._checkpointer.save()


class TensorBoard(tf.keras.callbacks.Callback):
  """Scalars at each report and pictures, numbered by the step of the run.

  Keras' own callback numbers by epoch and by batches of this process, so its curves
  would start again at 0 whenever a run resumes.
  """

  def __init__(self, monitor, directory, image_every: int, frames=None):
    """Makes the callback.

    Args:
      monitor: The run's `Monitor`, earlier in the list of callbacks.
      directory: Log directory.
      image_every: Steps between pictures.
      frames: Function of no arguments that gives the batch of frames, [batch, time, H,
        W, 3], that `model.visualize` draws; None for models that draw nothing.
    """
    super().__init__()
    self._monitor = monitor
    self._writer = tf.summary.create_file_writer(str(directory))
    self._image_every = image_every
    self._frames = frames

  def on_train_batch_end(self, batch, logs=None):
    """Writes what is due."""
    monitor = self._monitor
    pictured = monitor.step % self._image_every == 0 or monitor.step == monitor.total
    with self._writer.as_default(monitor.step):
      if monitor.due:
        self._write_scalars()
      if self._frames and pictured:
        for name, images in self.model.visualize(self._frames()).items():
          tf.summary.image(name, tf.clip_by_value(images, 0.0, 1.0), max_outputs=3)

  def on_train_end(self, logs=None):
    """Writes out what is buffered."""
    self._writer.flush()

  def _write_scalars(self):
    scalars = dict(self._monitor.logs)
    scalars["learning_rate"] = tf.convert_to_tensor(self.model.optimizer.learning_rate)
    if self._monitor.steps_per_second:
      scalars["steps_per_second"] = self._monitor.steps_per_second
    for name, value in scalars.items():
      tf.summary.scalar(f"train/{name}", value)


class StopOnSignal(tf.keras.callbacks.Callback):
  """Ends training after the present step on SIGINT (Ctrl-C) or SIGTERM.

  A context manager: the handlers are set inside only, and only in the main thread. The
  second signal is handled as Python would.

  Attributes:
    signal_number: The signal that came, or None.
  """

  def __init__(self):
    super().__init__()
    self.signal_number = None
    self._previous = {}

  def __enter__(self):
    if threading.current_thread() is threading.main_thread():
      for number in (signal.SIGINT, signal.SIGTERM):
        self._previous[number] = signal.signal(number, self._note)
    return self

  def __exit__(self, *exception):
    self._restore()

  def on_train_batch_end(self, batch, logs=None):
    """Stops `fit` when a signal came."""
    if self.signal_number is not None:
      self.model.stop_training = True

  def _note(self, number, frame):
    self.signal_number = number
    self._restore()
    print("\nStopping after this step; once more to stop at once.", file=sys.stderr)

  def _restore(self):
    while self._previous:
      signal.signal(*self._previous.popitem())
