"""Densities over the plane: some to draw points from, some given by their energy.

The former are the usual test beds of density estimation, at the scales that paper 003
used (section 5.1); of some the density is known too. The latter, U1 to U4 (section
5.2), are to be matched by a flow: exp(-U) up to a constant, and no samples.
"""

import functools
import math
from typing import Optional

import numpy as np
import tensorflow as tf

DENSITIES = ("8gaussians", "4gaussians", "checkerboard", "2spirals", "rings", "moons")
"""Names of those to draw from."""
ENERGIES = ("u1", "u2", "u3", "u4")
"""Names of those given by their energy."""
NAMES = (*DENSITIES, *ENERGIES)

WALL = 6.0
"""Beyond this distance from either axis a quadratic wall is added to an energy."""

_SCALE = math.sqrt(2.0)
_DIAGONAL = 4.0 / _SCALE
_MIXTURES = {
  # Name: centres, standard deviation.
  "8gaussians": (
    np.array(
      [
        *[(4.0, 0.0), (-4.0, 0.0), (0.0, 4.0), (0.0, -4.0)],
        *[(a * _DIAGONAL, b * _DIAGONAL) for a in (-1, 1) for b in (-1, 1)],
      ]
    )
    / _SCALE,
    0.5 / _SCALE,
  ),
  "4gaussians": (np.array([(a, b) for a in (-2.0, 2.0) for b in (-2.0, 2.0)]), 0.4),
}


def make_dataset(name: str, batch_size: int, start_index: int = 0, seed: int = 0):
  """Makes an endless dataset of batches for a density model.

  Args:
    name: A name in `NAMES`. Of an energy there are no samples: batches are standard
      normal noise.
    batch_size: Points of a batch.
    start_index: Number of the first point; the batch that starts at a point is a pure
      function of its number, `seed` and `batch_size`.
    seed: Which sequence.

  Returns:
    Dataset of float32 [batch_size, 2].
  """
  numbers = tf.data.Dataset.range(start_index, np.iinfo(np.int64).max, batch_size)
  return numbers.map(
    lambda number: sample(name, batch_size, tf.stack([seed, number])),
    tf.data.AUTOTUNE,
    deterministic=True,
  ).prefetch(4)


def sample(name: str, count: int, seed):
  """Draws points.

  Args:
    name: A name in `NAMES`; of an energy, noise is drawn.
    count: Number of points.
    seed: Integer [2], for `tf.random.stateless_*`.

  Returns:
    float32 [count, 2].

  Raises:
    ValueError: an unknown name.
  """
  _check(name, NAMES)
  noise = functools.partial(tf.random.stateless_normal, seed=seed)
  seeds = tf.random.experimental.stateless_split(seed, 3)
  if name in ENERGIES:
    return noise([count, 2])
  if name in _MIXTURES:
    centres, deviation = _MIXTURES[name]
    which = _integers(count, seeds[0], len(centres))
    centres = tf.constant(centres, tf.float32)
    return tf.gather(centres, which) + deviation * noise([count, 2])
  first = tf.random.stateless_uniform([count], seeds[0])
  second = tf.random.stateless_uniform([count], seeds[1])
  which = _integers(count, seeds[2], 2)
  sign = 2.0 * tf.cast(which, tf.float32) - 1.0
  if name == "checkerboard":
    # Unit squares of [-2, 2]^2 whose corners' sum is even, times 2.
    x = 4.0 * first - 2.0
    y = second - 2.0 * tf.cast(which, tf.float32) + tf.math.floormod(tf.floor(x), 2.0)
    return 2.0 * tf.stack([x, y], -1)
  if name == "2spirals":
    angle = 3.0 * math.pi * tf.sqrt(first)
    jitter = 0.5 * tf.random.stateless_uniform([count, 2], seeds[1])
    spiral = tf.stack([-tf.cos(angle) * angle, tf.sin(angle) * angle], -1) + jitter
    return sign[:, None] * spiral / 3.0 + 0.1 * noise([count, 2])
  if name == "rings":
    radius = 1.0 + tf.cast(_integers(count, seeds[2], 3), tf.float32)
    angle = 2.0 * math.pi * first
    ring = radius[:, None] * tf.stack([tf.cos(angle), tf.sin(angle)], -1)
    return ring + 0.08 * noise([count, 2])
  angle = math.pi * first
  moon = tf.stack([tf.cos(angle) - 0.5, tf.sin(angle) - 0.25], -1)
  return 2.0 * sign[:, None] * moon + 0.2 * noise([count, 2])


def log_density(name: str, x):
  """Logarithm of a density where it is known, else None.

  Args:
    name: A name in `NAMES`.
    x: Floating [..., 2].

  Returns:
    [...] or None.
  """
  _check(name, NAMES)
  if name in ENERGIES:
    return -energy(name, x) - log_normalizer(name)
  if name in _MIXTURES:
    centres, deviation = _MIXTURES[name]
    squared = tf.reduce_sum((x[..., None, :] - tf.constant(centres, x.dtype)) ** 2, -1)
    log_terms = -0.5 * squared / deviation**2
    return tf.reduce_logsumexp(log_terms, -1) - math.log(
      2.0 * math.pi * deviation**2 * len(centres)
    )
  if name == "checkerboard":
    inside = tf.reduce_all(tf.abs(x) < 4.0, -1)
    even = tf.math.floormod(tf.reduce_sum(tf.floor(0.5 * x), -1), 2.0) < 0.5
    zero = tf.constant(0.0, x.dtype)
    return tf.where(inside & even, zero - math.log(32.0), zero - math.inf)
  return None


def energy(name: str, x):
  """Energy U of paper 003, section 5.2, with a wall far out.

  Args:
    name: A name in `ENERGIES`.
    x: Floating [..., 2].

  Returns:
    [...]; the density to match is exp(-U) / Z, with log Z from `log_normalizer`.
  """
  _check(name, ENERGIES)
  first, second = tf.unstack(x, axis=-1)
  wall = tf.reduce_sum(tf.nn.relu(tf.abs(x) - WALL) ** 2, -1)
  if name == "u1":
    ring = 0.5 * ((tf.norm(x, axis=-1) - 2.0) / 0.4) ** 2
    return wall + ring - _log_two(first - 2.0, first + 2.0, 0.6, 0.6)
  away = second - tf.sin(0.5 * math.pi * first)
  if name == "u2":
    return wall + 0.5 * (away / 0.4) ** 2
  if name == "u3":
    dip = 3.0 * tf.exp(-0.5 * ((first - 1.0) / 0.6) ** 2)
    return wall - _log_two(away, away + dip, 0.35, 0.35)
  step = 3.0 * tf.sigmoid((first - 1.0) / 0.3)
  return wall - _log_two(away, away + step, 0.4, 0.35)


@functools.cache
def log_normalizer(name: str) -> float:
  """Log Z of an energy, wall included, by quadrature (to about 1e-6)."""
  axis = np.arange(-12.0, 12.0, 0.02) + 0.01
  total = 0.0
  for rows in np.array_split(axis, 12):
    grid = np.stack(np.meshgrid(axis, rows), -1)
    total += float(tf.reduce_sum(tf.exp(-energy(name, tf.constant(grid)))))
  return math.log(total * 0.02**2)


def entropy(name: str, count: int = 200_000, seed=(7, 11)) -> Optional[float]:
  """Entropy in nats of a density, from samples where it is known, else None."""
  log_densities = log_density(name, sample(name, count, seed))
  return None if log_densities is None else -float(tf.reduce_mean(log_densities))


def _log_two(first, second, first_scale, second_scale):
  """Logarithm of the sum of two Gaussian bumps and 1e-9, as the authors' code has it."""
  return tf.reduce_logsumexp(
    tf.stack(
      [
        -0.5 * (first / first_scale) ** 2,
        -0.5 * (second / second_scale) ** 2,
        tf.fill(tf.shape(first), tf.constant(math.log(1e-9), first.dtype)),
      ],
      -1,
    ),
    -1,
  )


def _integers(count, seed, bound):
  return tf.random.stateless_uniform([count], seed, 0, bound, tf.int32)


def _check(name, names):
  if name not in names:
    raise ValueError(f"Unknown density {name!r}. Known: {', '.join(names)}.")
