"""Learning rate and crop size over the steps, as paper 001, section 6.3, trains.

The paper takes 1,050,000 steps of Adam at 1e-4, decays to 1e-5 after 900,000 and
grows the crop from 256 to 384 for the last 50,000. The configs hold these points as
fractions of the steps, so that a run of any length goes through the same stages.
"""

from typing import NamedTuple, Optional

import tensorflow as tf


class Phase(NamedTuple):
  """A stretch of steps on crops of one size: one call of Keras' `fit`.

  Attributes:
    first_step: Number of updates done when it starts.
    end_step: Number of updates done when it is over.
    crop_size: Height and width of its crops in pixels; None without crops.
  """

  first_step: int
  end_step: int
  crop_size: Optional[int]


def steps_at(fraction: float, steps: int) -> int:
  """The whole number of steps nearest to a fraction of them."""
  return round(fraction * steps)


def phases(config) -> tuple:
  """Splits a run at the change of the crop size.

  Args:
    config: Config with `training.steps`, and where there are crops
      `training.large_crop_from` (a fraction of the steps), `training.large_crop_size`
      and `data.crop_size`.

  Returns:
    One or two `Phase`s that cover the steps without gaps.
  """
  training = config.training
  if "crop_size" not in config.data:
    return (Phase(0, training.steps, None),)
  change = steps_at(training.large_crop_from, training.steps)
  candidates = (
    Phase(0, change, config.data.crop_size),
    Phase(change, training.steps, training.large_crop_size),
  )
  if training.large_crop_size == config.data.crop_size:
    candidates = (Phase(0, training.steps, config.data.crop_size),)
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
