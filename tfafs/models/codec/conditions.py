"""What the prior of the residual latent v reads beside its own hyper-latent.

Each condition turns what the decoder has into a `priors.Context`. Only integer symbols
may reach the index network, so a reconstruction, which is floating point, conditions the
mean alone: streams decode on every machine whatever the prior.
"""

import tensorflow as tf

from tfafs.layers import convolutional
from tfafs.models.codec import priors


class MotionCondition(tf.keras.layers.Layer):
  """SP, the structured prior p(v | w): paper 001, section 2.6."""

  reads_symbols, temporal = True, False

  def __init__(self, config, style):
    """Makes the condition; it has no weights."""
    del config, style
    super().__init__(name="motion_condition")

  def context(self, state, motion) -> priors.Context:
    """Symbols of w and of its hyper-latent; the mean also reads the value of w."""
    del state
    if motion is None:
      raise ValueError(
        "SP reads the motion latent, and the codec's transform has none."
      )
    return priors.Context((motion.hyper_symbols,), (motion.symbols,), (motion.value,))


class ResidualCondition(tf.keras.layers.Layer):
  """TP, the temporal prior p(v_t | v_{t-1}): paper 001, section 2.7.

  It is symbols that are read, also by the mean: integers, so that the state of a decoder
  is the same on every machine. The first inter frame behind an intra frame has no
  residual before it and so a prior of its own, p(v_2) of the paper.
  """

  reads_symbols, temporal = True, True

  def __init__(self, config, style):
    """Makes the condition; it has no weights."""
    del config, style
    super().__init__(name="residual_condition")

  def context(self, state, motion) -> priors.Context:
    """Symbols of the residual latent of the frame before."""
    del motion
    return priors.Context((), (state.residual,), (priors.STEP * state.residual,))


class ReferenceCondition(tf.keras.layers.Layer):
  """TP+, the prior p(v_t | x^_{t-1}): paper 001, section 2.7. For the mean alone.

  Without `config.hyper.exact_index` also for the index, as in the paper: such a codec
  gives no guarantee anyway, and shows what the guarantee costs.

  A network of the layers of the residual's analysis takes the reference frame to the
  resolution of the latent.
  """

  temporal = False

  def __init__(self, config, style):
    """Builds the network of `config.filters`, `.kernels` and `.strides`."""
    super().__init__(name="reference_condition")
    self.reads_symbols = not config.hyper.exact_index
    self._features = convolutional.analysis_network(
      config.filters, config.kernels, config.strides, style, "features"
    )

  def context(self, state, motion) -> priors.Context:
    """Features of the reference frame."""
    del motion
    features = tf.cast(self._features(state.reference - 0.5), tf.float32)
    return priors.Context((), (features,) if self.reads_symbols else (), (features,))
