import io
import types

import pytest

from tfafs.training import progress


class Terminal(io.StringIO):
  """A file that says it is a terminal."""

  def isatty(self):
    return True


def test_line():
  logs = {"psnr": 31.2345, "loss": 0.00123456, "bpp": 0.5, "mse": 1e-3}
  line = progress.format_line(7, 1000, logs, 4.0)
  assert line == (
    "step    7/1000  loss 0.001235  bpp 0.5000  psnr 31.23  4 steps/s  ETA 4:08"
  )
  assert progress.format_line(7, 10, {"nats_per_dimension": 2.0}) == (
    "step  7/10  nats_per_dimension 2.000"
  )


@pytest.mark.parametrize(
  "seconds, text",
  [(0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (36_061, "10:01:01")],
)
def test_duration(seconds, text):
  assert progress.format_duration(seconds) == text


def show(file, dues):
  """What is printed in a run whose reports are due as given."""
  monitor = types.SimpleNamespace(
    step=0, total=len(dues), due=False, logs={"loss": 1.0}, steps_per_second=None
  )
  callback = progress.Progress(monitor, file)
  for due in dues:
    monitor.step += 1
    monitor.due = due
    callback.on_train_batch_end(0)
    monitor.steps_per_second = 2.0
  callback.on_train_end()
  return file.getvalue()


def test_lines_when_a_report_is_due():
  text = show(io.StringIO(), [False, True, False, True])
  assert text == (
    "step 2/4  loss 1.000  2 steps/s  ETA 0:01\n"
    "step 4/4  loss 1.000  2 steps/s  ETA 0:00\n"
  )


def test_a_bar_on_a_terminal(monkeypatch):
  monkeypatch.setenv("COLUMNS", "40")
  text = show(Terminal(), [False, True])
  drawn = text.split("\r")[1:]
  assert drawn[0].startswith("[##########          ] step 1/2")
  assert (
    drawn[1] == "[####################] step 2/2  loss 1.\x1b[K\n"[:39] + "\x1b[K\n"
  )
  assert text.count("\n") == 1
