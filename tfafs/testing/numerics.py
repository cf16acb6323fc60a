"""Jacobians and directional derivatives to hold a bijector against."""

import numpy as np
import tensorflow as tf

from tfafs.testing.case import evaluate


def autodiff_jacobian(case, bijector, direction, point, kwargs) -> np.ndarray:
  """Jacobian [batch, D, D] at `point` [batch, ...] by one reverse pass.

  The batch is repeated D times and row k of the Jacobian taken from the k-th copy.
  """
  size = case.event_size
  repeated, kwargs = _repeat(point, kwargs, size)
  seeds = tf.eye(size, dtype=point.dtype)
  seeds = tf.reshape(seeds, _directions_shape(case, point, size))
  with tf.GradientTape() as tape:
    tape.watch(repeated)
    value = getattr(bijector, direction)(repeated, **kwargs)
    total = tf.reduce_sum(value * seeds)
  gradient = tape.gradient(total, repeated)
  assert gradient is not None, f"{direction} has no gradient with respect to its input."
  rows = tf.reshape(gradient, (size, -1, size))
  return np.moveaxis(rows.numpy(), 0, 1)


def difference_jacobian(case, bijector, direction, point, kwargs) -> np.ndarray:
  """The same by central differences."""
  size, step = case.event_size, case.difference_step
  repeated, kwargs = _repeat(point, kwargs, 2 * size)
  directions = step * np.concatenate([np.eye(size), -np.eye(size)])
  moved = repeated + directions.reshape(_directions_shape(case, point, 2 * size))
  value = getattr(bijector, direction)(moved, **kwargs)
  value = tf.reshape(value, (2, size, -1, size)).numpy()
  columns = (value[0] - value[1]) / (2 * step)  # [input, batch, output]
  return np.transpose(columns, (1, 2, 0))


def _directions_shape(case, point, count):
  """Shape that lets `count` events broadcast against as many copies of `point`."""
  ones = len(point.shape) - len(case.event_shape)
  return (count, *[1] * ones, *case.event_shape)


def _repeat(point, kwargs, count):
  def tile(tensor):
    tensor = tf.convert_to_tensor(tensor)
    return tf.tile(tensor[tf.newaxis], [count] + [1] * len(tensor.shape))

  return tile(point), {name: tile(value) for name, value in kwargs.items()}


def weighted_sum(bijector, direction, point, kwargs):
  """A scalar that every entry of value and log-determinant has a part in."""
  value, log_det = evaluate(bijector, direction, point, kwargs)
  total = 0.0
  for i, tensor in enumerate((value, log_det)):
    weights = tf.random.stateless_normal(tf.shape(tensor), [i, 5], dtype=tensor.dtype)
    total += tf.reduce_sum(weights * tensor)
  return total


def slope(function, move, step: float) -> float:
  """Central difference of `function()` along `move(amount)`, which is undone."""
  move(step)
  above = function()
  move(-2 * step)
  below = function()
  move(step)
  return float(above - below) / (2 * step)
