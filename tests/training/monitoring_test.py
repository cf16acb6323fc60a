import time

import pytest
import tensorflow as tf
import toy

from tfafs.training import checkpoints, errors, monitoring, optimizers


class Tracked(toy.Toy):
  """Logs its loss as a running mean, as Keras metrics do, and the rest as it is."""

  def __init__(self, config):
    super().__init__(config)
    self.mean_loss = tf.keras.metrics.Mean("loss")

  @property
  def metrics(self):
    return [self.mean_loss]

  def train_step(self, frames):
    logs = super().train_step(frames)
    self.mean_loss.update_state(logs["loss"])
    return {**logs, "true_loss": logs["loss"], "loss": self.mean_loss.result()}


class Recorder(tf.keras.callbacks.Callback):
  """What a callback after the monitor sees at each step."""

  def __init__(self, monitor):
    super().__init__()
    self.monitor = monitor
    self.seen = []

  def on_train_batch_end(self, batch, logs=None):
    self.seen.append((self.monitor.step, self.monitor.due, dict(self.monitor.logs)))


@pytest.fixture
def compiled(tmp_path):
  config = toy.get_config()
  model = Tracked(config)
  model(tf.zeros([1, 2, 16, 16, 3]))
  model.compile(optimizers.make_optimizer(config.training))
  model.optimizer.build(model.trainable_variables)
  checkpointer = checkpoints.Checkpointer(tmp_path, model, model.optimizer)
  return config, model, checkpointer


def test_reports_are_means_of_their_window(compiled):
  config, model, checkpointer = compiled
  monitor = monitoring.Monitor(0, 5, 2, checkpointer)
  recorder = Recorder(monitor)
  single = []
  keep = tf.keras.callbacks.LambdaCallback(
    on_batch_end=lambda batch, logs: single.append(dict(logs))
  )
  dataset = toy.make_dataset(config.data, 2, 2, 16)
  model.fit(dataset, steps_per_epoch=5, callbacks=[monitor, recorder, keep], verbose=0)
  assert [step for step, _, _ in recorder.seen] == [1, 2, 3, 4, 5]
  assert [due for _, due, _ in recorder.seen] == [False, True, False, True, True]
  windows = ((0,), (0, 1), (2,), (2, 3), (4,))
  for (_, _, logs), window in zip(recorder.seen, windows):
    for name in ("loss", "true_loss", "mse"):
      source = "true_loss" if name == "loss" else name
      mean = sum(single[step][source] for step in window) / len(window)
      assert logs[name] == pytest.approx(mean, rel=1e-5)
    assert logs["gradient_norm"] > 0


def test_speed_leaves_out_compiling_and_pauses(compiled):
  config, model, checkpointer = compiled
  monitor = monitoring.Monitor(0, 100, 10, checkpointer)
  dataset = toy.make_dataset(config.data, 2, 2, 16)
  model.fit(dataset, steps_per_epoch=1, callbacks=[monitor], verbose=0)
  assert monitor.steps_per_second is None
  time.sleep(0.5)
  slow = tf.keras.callbacks.LambdaCallback(
    on_batch_end=lambda batch, logs: time.sleep(0.02)
  )
  model.fit(dataset, steps_per_epoch=20, callbacks=[monitor, slow], verbose=0)
  assert 1 < monitor.steps_per_second < 50


def test_terms_come_before_loss_and_gradient(compiled):
  _, model, checkpointer = compiled
  model.optimizer.iterations.assign(7)
  model.optimizer.gradient_norm.assign(float("inf"))
  monitor = monitoring.Monitor(0, 10, 2, checkpointer)
  monitor.set_model(model)
  logs = {"loss": float("nan"), "mse": 0.5, "bpp": float("-inf")}
  with pytest.raises(errors.NonFiniteError) as caught:
    monitor.on_train_batch_end(0, logs)
  assert caught.value.terms == ("bpp (-inf)", "loss (nan)", "gradient_norm (inf)")
  assert caught.value.step == 7
  assert str(caught.value) == (
    "Step 7: not finite: bpp (-inf), loss (nan), gradient_norm (inf). "
    "No checkpoint was written yet."
  )
