"""Learning rate, crop and batch size over the steps, as paper 001, section 6.3, trains.

The paper takes 1,050,000 steps of Adam at 1e-4, decays to 1e-5 after 900,000 and
grows the crop from 256 to 384 for the last 50,000. The configs hold these points as
fractions of the steps, so that a run of any length goes through the same stages.

A last phase of larger crops is no luxury. In a crop of 96 a hyper-latent of stride 64 has
two places a side, both at its border, and its networks never see what most of a picture
is: inside. Codecs trained so paid up to 2.6 times the bits for whole pictures.
"""

from typing import NamedTuple, Optional

import tensorflow as tf


class Phase(NamedTuple):
  """A stretch of steps on batches of one shape: one call of Keras' `fit`.

  Attributes:
    first_step: Number of updates done when it starts.
    end_step: Number of updates done when it is over.
    first_example: Number of the first example of its first batch.
    batch_size: Examples of a batch.
    crop_size: Height and width of its crops in pixels; None without crops.
  """

  first_step: int
  end_step: int
  first_example: int
  batch_size: int
  crop_size: Optional[int]

  def example_at(self, step: int) -> int:
    """Number of the first example of the batch that comes after `step` updates."""
    return self.first_example + (step - self.first_step) * self.batch_size


def steps_at(fraction: float, steps: int) -> int:
  """The whole number of steps nearest to a fraction of them."""
  return round(fraction * steps)


def phases(config) -> tuple:
  """Splits a run where crops grow.

  Args:
    config: Config with `training.steps`, `data.batch_size`, and where there are crops
      `data.crop_size`, `training.large_crop_from` (a fraction of the steps),
      `training.large_crop_size`, and `training.large_crop_batch_size` where that differs
      from `data.batch_size` (0 or not there: it does not).

  Returns:
    One or two `Phase`s that cover the steps without gaps.
  """
  training, data = config.training, config.data
  first = (data.batch_size, data.get("crop_size"))
  if first[1] is None:
    return (Phase(0, training.steps, 0, *first),)
  batch_size = training.get("large_crop_batch_size") or data.batch_size
  second = (batch_size, training.large_crop_size)
  change = steps_at(training.large_crop_from, training.steps)
  begin = Phase(0, change, 0, *first)
  candidates = (begin, Phase(change, training.steps, begin.example_at(change), *second))
  if first == second:
    candidates = (begin._replace(end_step=training.steps),)
  return tuple(phase for phase in candidates if phase.end_step > phase.first_step)


@tf.keras.utils.register_keras_serializable("tfafs")
class LinearWarmUp(tf.keras.optimizers.schedules.LearningRateSchedule):
  """Another schedule, times a factor that rises from 1 / steps to 1 over some steps."""

  def __init__(self, schedule, steps: int):
    """Makes the schedule.

    Args:
      schedule: Keras schedule.
      steps: The update with this number, counted from 1, has the full rate.
    """
    self.schedule, self.steps = schedule, steps

  def __call__(self, step):
    """Rate of the next update after `step` of them."""
    factor = tf.minimum(1.0, (tf.cast(step, tf.float32) + 1.0) / self.steps)
    return factor * self.schedule(step)

  def get_config(self):
    """Arguments of the constructor."""
    schedule = tf.keras.optimizers.schedules.serialize(self.schedule)
    return {"schedule": schedule, "steps": self.steps}

  @classmethod
  def from_config(cls, config):
    """The schedule of which `get_config` gave the arguments."""
    schedule = tf.keras.optimizers.schedules.deserialize(config["schedule"])
    return cls(schedule, config["steps"])


def learning_rate(training) -> tf.keras.optimizers.schedules.LearningRateSchedule:
  """Piecewise constant learning rate, with a linear warm-up if the config has one.

  Args:
    training: Config with `learning_rate`, `decay_at` (a fraction of `steps`),
      `decay_factor` and `steps`; it may have `warmup_steps`.

  Returns:
    A Keras schedule from the number of updates done to the rate of the next update;
    the first `decay_at * steps` updates have the full rate.
  """
  decay_step = steps_at(training.decay_at, training.steps)
  schedule = tf.keras.optimizers.schedules.PiecewiseConstantDecay(
    # Keras' boundary is the last step that still has the value before it.
    boundaries=[decay_step - 1],
    values=[training.learning_rate, training.learning_rate * training.decay_factor],
  )
  warmup = training.get("warmup_steps", 0)
  return LinearWarmUp(schedule, warmup) if warmup else schedule
