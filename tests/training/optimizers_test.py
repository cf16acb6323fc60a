import numpy as np
import pytest
import tensorflow as tf
import toy

from tfafs.training import optimizers


def test_update_is_kerass_clipped_adam_and_norm_is_before_clipping():
  training = toy.get_config(clip_norm=1.0, steps=4, decay_at=0.5).training
  start = np.array([1.0, 2.0], np.float32)
  gradients = [np.array([3.0, 4.0], np.float32), np.array([0.1, -0.2], np.float32)]
  ours, theirs = tf.Variable(start), tf.Variable(start)
  optimizer = optimizers.make_optimizer(training)
  reference = tf.keras.optimizers.Adam(1e-3, global_clipnorm=1.0)
  for step, gradient in enumerate(gradients):
    assert optimizer.step == step
    optimizer.apply_gradients([(tf.constant(gradient), ours)])
    reference.apply_gradients([(tf.constant(gradient), theirs)])
    assert float(optimizer.gradient_norm) == pytest.approx(np.linalg.norm(gradient))
    np.testing.assert_array_equal(ours, theirs)
  assert float(optimizer.learning_rate) == pytest.approx(1e-3)
  optimizer.apply_gradients([(tf.constant(gradients[0]), ours)])
  assert float(optimizer.learning_rate) == pytest.approx(1e-4)


def test_other_moments():
  training = toy.get_config(clip_norm=0.0).training
  training.update({"beta_1": 0.85, "beta_2": 0.997, "epsilon": 1e-6})
  ours, theirs = tf.Variable([1.0, 2.0]), tf.Variable([1.0, 2.0])
  optimizer = optimizers.make_optimizer(training)
  reference = tf.keras.optimizers.Adam(1e-3, 0.85, 0.997, 1e-6)
  for gradient in ([3e-6, 4.0], [0.1, -0.2]):
    optimizer.apply_gradients([(tf.constant(gradient), ours)])
    reference.apply_gradients([(tf.constant(gradient), theirs)])
  np.testing.assert_array_equal(ours, theirs)


def test_no_clipping():
  training = toy.get_config(clip_norm=0.0).training
  optimizer = optimizers.make_optimizer(training)
  assert optimizer.global_clipnorm is None


def test_missing_gradients_are_left_out_of_the_norm():
  optimizer = optimizers.make_optimizer(toy.get_config().training)
  used, unused = tf.Variable([1.0]), tf.Variable([1.0])
  optimizer.build([used, unused])
  optimizer.apply_gradients([(tf.constant([2.0]), used), (None, unused)])
  assert float(optimizer.gradient_norm) == 2.0
  assert float(unused[0]) == 1.0


def test_comes_back_from_its_config():
  training = toy.get_config(clip_norm=1.0, steps=40, decay_at=0.5).training
  training.update({"warmup_steps": 10})
  optimizer = optimizers.make_optimizer(training)
  again = optimizers.ClippedAdam.from_config(optimizer.get_config())
  rates = [
    [float(o._learning_rate(tf.constant(step))) for step in (0, 4, 12, 30)]
    for o in (optimizer, again)
  ]
  assert rates[0] == rates[1] and len(set(rates[0])) == 4
  assert again.get_config() == optimizer.get_config()
