"""The callback that sees every step first: guards it, times it, averages its logs."""

import math
import time

import tensorflow as tf

from tfafs.training import errors


class Monitor(tf.keras.callbacks.Callback):
  """Stops at the first step that is not finite; holds what the others report.

  Must come before the callbacks that read it. It counts in the optimizer's
  `iterations`, which goes on where a resumed run goes on, unlike Keras' batch numbers.

  Attributes:
    total: Steps of the whole run.
    step: Steps done.
    due: Whether a report is due after this step: every `log_every` and the last.
    logs: Means of the logs since the last report, with "gradient_norm".
    steps_per_second: Of this process, without the first step of each `fit`, which
      compiles; None before the second.
  """

  def __init__(self, step: int, total: int, log_every: int, checkpointer):
    """Makes the callback.

    Args:
      step: Steps done before.
      total: Steps of the whole run.
      log_every: Steps from report to report.
      checkpointer: The run's `Checkpointer`, to name the last good checkpoint.
    """
    super().__init__()
    self.total = total
    self.step = step
    self.due = False
    self.logs = {}
    self.steps_per_second = None
    self._log_every = log_every
    self._checkpointer = checkpointer
    self._window = []
    self._last_end = None
    self._timed_steps = 0
    self._timed_seconds = 0.0

  def on_train_begin(self, logs=None):
    """Forgets the time between two calls of `fit`."""
    self._last_end = None

  def on_train_batch_end(self, batch, logs=None):
    """Checks and averages the logs of a step."""
    optimizer = self.model.optimizer
    self.step = optimizer.step
    values = {name: float(value) for name, value in logs.items()}
    values["gradient_norm"] = float(tf.convert_to_tensor(optimizer.gradient_norm))
    self._check(values)
    self._time()
    if self.due:
      self._window.clear()
    self._window.append(values)
    self.due = self.step % self._log_every == 0 or self.step == self.total
    self.logs = self._means(values)
    if self.due:
      self.model.reset_metrics()

  def _check(self, values):
    bad = [name for name, value in values.items() if not math.isfinite(value)]
    if bad:
      # The terms tell more than their sum, so the loss comes after them.
      bad.sort(key=lambda name: (name == "gradient_norm", name == "loss"))
      terms = [f"{name} ({values[name]})" for name in bad]
      raise errors.NonFiniteError(self.step, terms, self._checkpointer.latest)

  def _time(self):
    now = time.monotonic()
    if self._last_end is not None:
      self._timed_steps += 1
      self._timed_seconds += max(now - self._last_end, 1e-9)
      self.steps_per_second = self._timed_steps / self._timed_seconds
    self._last_end = now

  def _means(self, values):
    """Means over the window; Keras metrics are running means of it already."""
    running = {metric.name for metric in self.model.metrics}
    count = len(self._window)
    return {
      name: value
      if name in running and name != "gradient_norm"
      else math.fsum(step[name] for step in self._window) / count
      for name, value in values.items()
    }
