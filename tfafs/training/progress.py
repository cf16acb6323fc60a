"""What a run says while it trains: one line, live on a terminal, else now and then."""

import shutil
import sys
import time

import tensorflow as tf

# Shown in this order where a model reports them; the loss is always first.
HEADLINES = ("bpp", "psnr", "nats_per_dimension", "bits_per_dimension")


def format_duration(seconds: float) -> str:
  """Formats seconds as m:ss or h:mm:ss."""
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f"{hours}:{minutes:02d}:{seconds:02d}"
  return f"{minutes}:{seconds:02d}"


def format_line(step, total, logs, steps_per_second=None) -> str:
  """The line of one step: step/total, loss, headlines, speed, time left."""
  parts = [f"step {step:{len(str(total))}d}/{total}"]
  parts += [
    f"{name} {logs[name]:#.4g}" for name in ("loss", *HEADLINES) if name in logs
  ]
  if steps_per_second:
    parts.append(f"{steps_per_second:.3g} steps/s")
    parts.append(f"ETA {format_duration((total - step) / steps_per_second)}")
  return "  ".join(parts)


class Progress(tf.keras.callbacks.Callback):
  """Prints where the run is.

  On a terminal a bar that stays on one line; elsewhere a line at each report.
  """

  def __init__(self, monitor, file=None):
    """Makes the callback.

    Args:
      monitor: The run's `Monitor`, earlier in the list of callbacks.
      file: Where it prints; standard output by default.
    """
    super().__init__()
    self._monitor = monitor
    self._file = file or sys.stdout
    self._live = self._file.isatty()
    self._last_drawn = float("-inf")

  def on_train_batch_end(self, batch, logs=None):
    """Updates the line."""
    monitor = self._monitor
    line = format_line(
      monitor.step, monitor.total, monitor.logs, monitor.steps_per_second
    )
    if not self._live:
      if monitor.due:
        print(line, file=self._file, flush=True)
    elif monitor.due or time.monotonic() - self._last_drawn > 0.2:
      self._last_drawn = time.monotonic()
      bar = "#" * (20 * monitor.step // monitor.total)
      width = shutil.get_terminal_size().columns
      # Back to the start of the line, write, and clear what the last one left.
      text = f"[{bar:<20}] {line}"[: width - 1]
      print(f"\r{text}\x1b[K", end="", file=self._file, flush=True)

  def on_train_end(self, logs=None):
    """Ends the live line."""
    if self._live:
      print(file=self._file, flush=True)
