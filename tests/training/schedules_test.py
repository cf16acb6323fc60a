import numpy as np
import pytest
import tensorflow as tf
import toy

from tfafs.models import registry
from tfafs.training import schedules


def test_paper_schedule_in_steps():
  """Paper 001, section 6.3: 1e-4 to 1e-5 after 900k of 1050k, 384 for the last 50k."""
  config = toy.get_config(
    steps=1_050_000,
    learning_rate=1e-4,
    decay_at=900 / 1050,
    large_crop_from=1000 / 1050,
    large_crop_size=384,
    large_crop_batch_size=0,
  )
  config.data.crop_size, config.data.batch_size = 256, 8
  assert schedules.phases(config) == (
    schedules.Phase(0, 1_000_000, 0, 8, 256),
    schedules.Phase(1_000_000, 1_050_000, 8_000_000, 8, 384),
  )
  rate = schedules.learning_rate(config.training)
  at = [0, 1, 899_999, 900_000, 1_049_999]
  rates = [float(rate(tf.constant(step, tf.int64))) for step in at]
  np.testing.assert_allclose(rates, [1e-4, 1e-4, 1e-4, 1e-5, 1e-5], rtol=1e-6)


def test_phases_cover_short_runs():
  config = toy.get_config(steps=1, large_crop_from=0.952)
  assert schedules.phases(config) == (schedules.Phase(0, 1, 0, 4, 16),)
  config.training.large_crop_from = 0.0
  assert schedules.phases(config) == (schedules.Phase(0, 1, 0, 2, 24),)
  config = toy.get_config(steps=10, large_crop_size=16, large_crop_batch_size=0)
  assert schedules.phases(config) == (schedules.Phase(0, 10, 0, 4, 16),)
  config = toy.get_config(steps=10, large_crop_from=1.0)
  assert schedules.phases(config) == (schedules.Phase(0, 10, 0, 4, 16),)


def test_large_crops_may_come_in_smaller_batches():
  config = toy.get_config(steps=10, large_crop_from=0.5)
  first, second = schedules.Phase(0, 5, 0, 4, 16), schedules.Phase(5, 10, 20, 2, 24)
  assert schedules.phases(config) == (first, second)
  config.training.large_crop_batch_size = 0
  assert schedules.phases(config) == (first, second._replace(batch_size=4))


def test_no_example_comes_twice():
  config = toy.get_config(steps=10, large_crop_from=0.5)
  seen = []
  for phase in schedules.phases(config):
    for step in range(phase.first_step, phase.end_step):
      seen += range(phase.example_at(step), phase.example_at(step) + phase.batch_size)
  assert seen == list(range(5 * 4 + 5 * 2))


@pytest.mark.parametrize(
  "size, expected",
  [
    ("default", [(0, 480, 0, 4, 96), (480, 800, 1920, 1, 176)]),
    ("tiny", [(0, 19, 0, 2, 32), (19, 20, 38, 2, 48)]),
  ],
)
def test_phases_of_the_codecs(size, expected):
  config = registry.load_config("stat_ssf_sp", size)
  assert list(schedules.phases(config)) == expected


def test_decay_at_either_end():
  training = toy.get_config(decay_at=0.0, steps=4).training
  assert np.isclose(schedules.learning_rate(training)(0), 1e-4)
  training.decay_at = 1.0
  assert np.isclose(schedules.learning_rate(training)(3), 1e-3)


def test_the_schedule_compiles_under_xla():
  rate = schedules.learning_rate(toy.get_config(steps=4, decay_at=0.5).training)
  compiled = tf.function(rate, jit_compile=True)
  rates = [float(compiled(tf.constant(step, tf.int64))) for step in range(4)]
  np.testing.assert_allclose(rates, [1e-3, 1e-3, 1e-4, 1e-4], rtol=1e-6)


def test_data_without_crops_is_one_phase():
  config = toy.get_config(steps=7)
  del config.data.crop_size
  assert schedules.phases(config) == (schedules.Phase(0, 7, 0, 4, None),)


def test_warm_up_rises_to_the_rate_and_is_no_part_of_the_decay():
  training = toy.get_config(steps=10, decay_at=0.8).training
  training.update({"warmup_steps": 4})
  rate = schedules.learning_rate(training)
  rates = [float(rate(tf.constant(step, tf.int64))) for step in (0, 1, 3, 4, 7, 8)]
  np.testing.assert_allclose(rates, [2.5e-4, 5e-4, 1e-3, 1e-3, 1e-3, 1e-4], rtol=1e-6)
