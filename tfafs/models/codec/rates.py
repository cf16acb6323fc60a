"""At which rates a codec works: at one, or at levels of quality (paper 001, section 2.8).

Each level B has its own beta in the objective D(B) + beta R(B) (eq. 16), and its row in
all conditional layers. Quality is the number of a level, 0 with the largest beta, or lies
between two of them in sixteenths, as headers of streams state it.
"""

import contextlib
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from tfafs.layers import conditional

STEPS = 16  # of quality from one level to the next; docs/bitstream.md
_MAX_LEVELS = 16  # 255 is the header's "none"


class Levels(conditional.Condition):
  """The levels of a codec of variable rate.

  Attributes:
    betas: float64 [num_levels], falling.
    log_steps: float32 [num_levels], logarithm of the quantisation step that each level
      starts with, relative to that of a codec of one rate. Where distortion grows with
      its square and rate falls with its logarithm, the best step is as the root of beta.
  """

  def __init__(self, betas):
    """Makes levels; `betas` as of the config, checked."""
    super().__init__(len(betas))
    self.betas = np.array(betas, np.float64)
    log_betas = np.log(self.betas)
    self.log_steps = (0.5 * (log_betas - log_betas.mean())).astype(np.float32)


class Draw(NamedTuple):
  """Qualities of the clips of a batch.

  Attributes:
    quality: float32 [batch or 1]; None with one rate.
    beta: float32 of that shape, weight of bits per pixel; a number with one rate.
    importance: float32 of that shape, weight in the loss; 1 with one rate.
  """

  quality: Optional[tf.Tensor]
  beta: tf.Tensor
  importance: tf.Tensor


class Rates:
  """What of a codec depends on how many rates it has.

  Attributes:
    levels: `Levels`, or None with one rate.
  """

  def __init__(self, config):
    """Reads a config.

    Args:
      config: Config with `model.beta`, `model.variable_rate`, `model.betas` and
        `training.level_balance`; those that configs of older runs lack mean one rate.

    Raises:
      ValueError: the betas cannot be levels.
    """
    self._beta = config.model.beta
    self.levels = None
    if not config.model.get("variable_rate", False):
      return
    betas = tuple(config.model.betas)
    falling = all(a > b for a, b in zip(betas, betas[1:])) and all(b > 0 for b in betas)
    if not (2 <= len(betas) <= _MAX_LEVELS and falling):
      raise ValueError(
        f"config.model.betas is {betas}: a codec of variable rate takes 2 to "
        f"{_MAX_LEVELS} positive numbers, each smaller than the one before."
      )
    self.levels = Levels(betas)
    self._balance = config.training.level_balance

  def draw(self, batch, seed=None, quality=None) -> Draw:
    """Qualities of a batch.

    Args:
      batch: int32 scalar, number of clips.
      seed: int32 [2] for training, where a level is drawn for each clip.
      quality: float32 scalar without a seed; by default the middle one.

    Returns:
      A `Draw`.
    """
    if self.levels is None:
      return Draw(None, self._beta, 1.0)
    last = self.levels.num_levels - 1
    if seed is None:
      quality = self._normalised(quality)
    else:
      # A stream of its own: the noise of the latents is what it is with one rate.
      seed = tf.random.experimental.stateless_fold_in(seed, 1)
      drawn = tf.random.stateless_uniform([batch], seed, 0, last + 1, tf.int32)
      quality = tf.cast(drawn, tf.float32)
    weights = conditional.level_weights(quality, last + 1)
    log_betas = np.log(self.levels.betas).astype(np.float32)
    log_beta = tf.reduce_sum(weights * log_betas, -1)
    importance = tf.exp(self._balance * (log_betas.mean() - log_beta))
    return Draw(quality, tf.exp(log_beta), importance)

  def at(self, quality):
    """Context manager in which the codec's networks work at some quality.

    Args:
      quality: float32 [batch] or scalar, in levels; None with one rate, or for the
        middle.
    """
    if self.levels is None:
      return contextlib.nullcontext()
    quality = self._normalised(quality)
    return self.levels.at(conditional.level_weights(quality, self.levels.num_levels))

  def _normalised(self, quality):
    """Qualities [batch or 1] in range: the index network is exact in sixteenths only."""
    last = self.levels.num_levels - 1
    quality = tf.cast(last / 2 if quality is None else quality, tf.float32)
    quality = tf.reshape(tf.clip_by_value(quality, 0.0, float(last)), [-1])
    return tf.round(quality * STEPS) / STEPS

  def metadata(self) -> dict:
    """What the metadata of an exported codec say of its rates."""
    if self.levels is None:
      return {"beta": float(self._beta)}
    last = self.levels.num_levels - 1
    return {
      "betas": self.levels.betas.tolist(),
      "quality": {"min": 0, "max": last, "step": 1 / STEPS},
    }
