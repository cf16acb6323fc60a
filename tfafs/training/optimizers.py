"""The optimizer of every run: Adam, clipped by the global norm, that says the norm."""

import tensorflow as tf

from tfafs.training import schedules


class ClippedAdam(tf.keras.optimizers.Adam):
  """Keras' Adam that keeps the global norm of the gradients it was last given.

  Clipping by the global norm hides how large the gradient was, and turns one infinite
  entry into NaN everywhere; `gradient_norm` is what it was before.

  Attributes:
    gradient_norm: Scalar float32 variable, the norm at the last update; on several
      replicas, the mean over them.
  """

  def __init__(self, *args, **kwargs):
    super().__init__(*args, **kwargs)
    with tf.init_scope():
      self.gradient_norm = tf.Variable(
        0.0,
        trainable=False,
        name="gradient_norm",
        synchronization=tf.VariableSynchronization.ON_READ,
        aggregation=tf.VariableAggregation.MEAN,
      )

  @property
  def step(self) -> int:
    """Number of updates done."""
    return int(tf.convert_to_tensor(self.iterations))

  def apply_gradients(self, grads_and_vars, *args, **kwargs):
    """Notes the norm, then clips and applies as Keras does."""
    grads_and_vars = list(grads_and_vars)
    gradients = [gradient for gradient, _ in grads_and_vars if gradient is not None]
    self.gradient_norm.assign(tf.cast(tf.linalg.global_norm(gradients), tf.float32))
    return super().apply_gradients(grads_and_vars, *args, **kwargs)


def make_optimizer(training) -> ClippedAdam:
  """Optimizer of a run from its `config.training`."""
  return ClippedAdam(
    learning_rate=schedules.learning_rate(training),
    beta_1=training.get("beta_1", 0.9),
    beta_2=training.get("beta_2", 0.999),
    epsilon=training.get("epsilon", 1e-7),
    global_clipnorm=training.clip_norm or None,
  )
