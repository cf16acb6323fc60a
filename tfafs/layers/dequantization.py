"""8-bit data as points of a density: the noise that fills the gaps, and the units.

A density over the reals says nothing of 8-bit data by itself: it is infinite on them.
Data therefore gets noise, and a figure is comparable with another of the same noise only.

    gaussian    x = k / 255 + N(0, 1 / 256^2)           paper 000's own models
    uniform     x = (k + U[0, 1)) / 256                 VideoFlow; bounds the discrete code
    none        x = k / 255                             no density, for drawing only

"Nats per dimension" is -log p(x) / dimensions + ln 256, for either noise. A model that
knew every 8-bit value beforehand would have `FLOORS[kind]`; with uniform noise, the figure
bounds the nats that a code of the 8-bit values takes.
"""

import math
from typing import NamedTuple

import tensorflow as tf

LEVELS = 256
FLOORS = {"gaussian": 0.5 * math.log(2 * math.pi * math.e), "uniform": 0.0}
"""Least nats per dimension by dequantisation: the entropy of its noise, plus ln 256."""
RANGES = {"gaussian": (-5 / LEVELS, 1 + 5 / LEVELS), "uniform": (0.0, 1.0)}
"""Where dequantised data lie; of Gaussian noise, all but a millionth of them."""
KINDS = (*FLOORS, "none")


class Likelihood(NamedTuple):
  """A log-likelihood, or a bound of it, in the units of the field.

  Attributes:
    nats_per_dimension: Negative, plus ln 256.
    bits_per_dimension: The same in bits.
    nats_per_frame: Negative log-density of a frame as it is, without ln 256.
    nats_per_sequence: The same of all frames that were scored.
    dequantization: Name of the noise; figures of different noise are not comparable.
  """

  nats_per_dimension: float
  bits_per_dimension: float
  nats_per_frame: float
  nats_per_sequence: float
  dequantization: str


def check(kind: str) -> None:
  """Raises ValueError for a dequantisation that is not known."""
  if kind not in KINDS:
    raise ValueError(f"dequantization must be one of {', '.join(KINDS)}, not {kind!r}.")


def dequantize(x, kind: str, seed):
  """Adds the noise.

  Args:
    x: Float tensor, multiples of 1 / 255 in [0, 1].
    kind: "gaussian", "uniform" or "none".
    seed: int32 [2]; the noise is a function of it alone.

  Returns:
    Tensor like `x`. Nothing is clipped: the noise is part of the data.
  """
  check(kind)
  if kind == "gaussian":
    return x + tf.random.stateless_normal(tf.shape(x), seed, dtype=x.dtype) / LEVELS
  if kind == "uniform":
    levels = tf.round(x * (LEVELS - 1))
    return (levels + tf.random.stateless_uniform(tf.shape(x), seed, dtype=x.dtype)) / (
      LEVELS
    )
  return x


def to_levels(x, kind: str):
  """The 8-bit values that dequantised data stand for.

  Args:
    x: Float tensor, such as samples; what leaves [0, 1] has the nearest level.
    kind: "gaussian", "uniform" or "none".

  Returns:
    uint8 tensor like `x`, of `dequantize`'s the level itself; with Gaussian noise, the
    most probable one.
  """
  check(kind)
  x = tf.convert_to_tensor(x)
  levels = tf.floor(x * LEVELS) if kind == "uniform" else tf.round(x * (LEVELS - 1))
  return tf.cast(tf.clip_by_value(levels, 0, LEVELS - 1), tf.uint8)


def likelihood(
  nats_per_frame: float, num_frames: int, dimensions: int, kind: str
) -> Likelihood:
  """Units of a negative log-likelihood.

  Args:
    nats_per_frame: Negative log-density of a frame, mean over those that were scored.
    num_frames: Frames of a sequence that are scored.
    dimensions: Values of a frame, height * width * channels.
    kind: The dequantisation.
  """
  check(kind)
  per_dimension = nats_per_frame / dimensions + math.log(LEVELS)
  return Likelihood(
    nats_per_dimension=per_dimension,
    bits_per_dimension=per_dimension / math.log(2.0),
    nats_per_frame=nats_per_frame,
    nats_per_sequence=nats_per_frame * num_frames,
    dequantization=kind,
  )
