"""Export of a density model to a SavedModel that needs only TensorFlow.

Signatures:

    log_prob(x float32 [N, 2])                 -> log_prob float32 [N]
    sample(count int32, seed int32 [2])        -> x float32 [count, 2]
"""

import tensorflow as tf

from tfafs.models import saved_model


class DensityModule(tf.Module):
  """A density's two functions."""

  def __init__(self, distribution):
    """Wraps a distribution over vectors.

    Args:
      distribution: A `tfd.Distribution` over float32 [D].
    """
    super().__init__("density")
    self._distribution = distribution
    size = distribution.event_shape[0]
    points = tf.TensorSpec([None, size], tf.float32, "x")
    count = tf.TensorSpec([], tf.int32, "count")
    seed = tf.TensorSpec([2], tf.int32, "seed")
    self.log_prob = tf.function(self._log_prob, [points])
    self.sample = tf.function(self._sample, [count, seed])

  def _log_prob(self, x):
    return {"log_prob": self._distribution.log_prob(x)}

  def _sample(self, count, seed):
    return {"x": self._distribution.sample(count, seed=seed)}


def export_density(model, path) -> None:
  """Writes a trained model, replacing one at `path` only when complete.

  Args:
    model: A `DensityModel`.
    path: Folder to write.
  """
  saved_model.save(DensityModule(model.distribution), path, ("log_prob", "sample"))
