"""Export of a density of video to a SavedModel that needs only TensorFlow.

Signatures; x and context are dequantised frames, float32 [N, T, size, size, channels]:

    log_prob(x, seed int32 [2])       -> log_prob float32 [N, T - burn_in], nats per frame
    transform(x)                      -> noise, ... [N, T - burn_in, ...], as the model's
    sample(context, num_frames int32, temperature float32, seed int32 [2]) -> x
    dequantize(x, seed int32 [2])     -> x; of frames that are multiples of 1 / 255

T is more than the burn-in, that of a context at least the burn-in and 1, num_frames at
least 1; else they raise InvalidArgumentError. With a latent variable `log_prob` is a lower
bound, drawn with `seed`. Its other values are those of the log-density. The burn-in is the
variable `burn_in`.
"""

import tensorflow as tf

from tfafs.layers import dequantization
from tfafs.models import saved_model


class VideoDensityModule(tf.Module):
  """The functions of a model with frames of its size."""

  def __init__(self, model):
    """Wraps a built `ClipDensity`."""
    super().__init__("video_density")
    # Not the model itself: Keras would save a function of each of its layers.
    self._weights = list(model.variables)
    self.burn_in = tf.Variable(model.burn_in, trainable=False, name="burn_in")
    frames = [None, None, *model.frame_shape]
    x = tf.TensorSpec(frames, tf.float32, "x")
    context = tf.TensorSpec(frames, tf.float32, "context")
    count = tf.TensorSpec([], tf.int32, "num_frames")
    temperature = tf.TensorSpec([], tf.float32, "temperature")
    seed = tf.TensorSpec([2], tf.int32, "seed")

    def log_prob(x, seed):
      x = _with_frames(x, "x", model.burn_in + 1)
      return {"log_prob": model(x, seed=seed)}

    def transform(x):
      return model.transform(_with_frames(x, "x", model.burn_in + 1))

    def sample(context, num_frames, temperature, seed):
      context = _with_frames(context, "context", max(1, model.burn_in))
      tf.debugging.assert_positive(num_frames, "num_frames must be at least 1.")
      return {"x": model.sample(context, num_frames, seed, temperature)}

    def dequantize(x, seed):
      kind = model.config.model.dequantization
      return {"x": dequantization.dequantize(x, kind, seed)}

    def function(body, *signature):
      return tf.function(body, signature, autograph=False)

    self.log_prob = function(log_prob, x, seed)
    self.transform = function(transform, x)
    self.sample = function(sample, context, count, temperature, seed)
    self.dequantize = function(dequantize, x, seed)


def _with_frames(x, name, least):
  """Frames [N, T, ...], of which there are enough, or an error that says how many."""
  message = f"{name} must have at least {least} frames, axis 1."
  enough = tf.debugging.assert_greater_equal(tf.shape(x)[1], least, message)
  with tf.control_dependencies([enough]):
    return tf.identity(x)


def export_density(model, path) -> None:
  """Writes a trained model, replacing one at `path` only when complete.

  Args:
    model: A `ClipDensity`.
    path: Folder to write.
  """
  names = ("log_prob", "transform", "sample", "dequantize")
  saved_model.save(VideoDensityModule(model), path, names)
