import signal
import threading

import numpy as np
import tensorflow as tf
from tensorflow.python.summary.summary_iterator import summary_iterator

from tfafs.training import callbacks


def events(directory):
  """Dict from (tag, step) to the decoded tensor, of all event files."""
  found = {}
  for path in sorted(directory.glob("events*")):
    for event in summary_iterator(str(path)):
      for value in event.summary.value:
        found[value.tag, event.step] = tf.make_ndarray(value.tensor)
  return found


def test_tensorboard_has_scalars_and_pictures_at_steps_of_the_run(
  run_toy, tmp_path, uninterrupted
):
  run_toy(tmp_path, at=(10, "kill"))
  outcome = run_toy(tmp_path)
  assert outcome.figures["steps_done"] == 3
  found = events(tmp_path / "tensorboard")
  names = ("loss", "mse", "bpp", "psnr", "gradient_norm", "learning_rate")
  for name in names:
    steps = [step for tag, step in found if tag == f"train/{name}"]
    assert steps == [4, 8, 12]
  assert ("train/steps_per_second", 12) in found
  # The reference was not stopped in the window of step 12; that of step 4 is the same.
  reference = events(uninterrupted[0] / "tensorboard")
  assert found["train/loss", 4] == reference["train/loss", 4]
  np.testing.assert_allclose(found["train/learning_rate", 4], 1e-3, rtol=1e-6)
  np.testing.assert_allclose(found["train/learning_rate", 12], 1e-4, rtol=1e-6)
  for name in ("frame", "reconstruction"):
    steps = [step for tag, step in found if tag == name]
    assert steps == [6, 12]
    width, height, *pictures = found[name, 6]
    assert (int(width), int(height)) == (16, 16)
    assert tf.io.decode_png(pictures[0]).shape == (16, 16, 3)
  # The same held-out frames each time, whatever the run has seen.
  assert found["frame", 6][2] == found["frame", 12][2]


class Stub:
  """A model that can be told to stop."""

  stop_training = False


def test_first_signal_is_noted_and_the_second_is_pythons():
  stub = Stub()
  before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
  with callbacks.StopOnSignal() as stop:
    stop.set_model(stub)
    stop.on_train_batch_end(0)
    assert not stub.stop_training
    signal.raise_signal(signal.SIGTERM)
    stop.on_train_batch_end(1)
    assert stub.stop_training
    assert stop.signal_number == signal.SIGTERM
    now = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert now == before
  now = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
  assert now == before


def test_no_handlers_outside_the_main_thread():
  before = signal.getsignal(signal.SIGINT)
  seen = []

  def use():
    with callbacks.StopOnSignal() as stop:
      seen.append((signal.getsignal(signal.SIGINT), stop.signal_number))

  thread = threading.Thread(target=use)
  thread.start()
  thread.join()
  assert seen == [(before, None)]
