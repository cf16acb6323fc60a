"""Stack of temporal autoregressive transforms, each with the context of its level."""

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import cache_util
from tensorflow_probability.python.internal import prefer_static as ps

from tfafs.bijectors.temporal_affine import TemporalAffineAutoregressive

tfb = tfp.bijectors


class TemporalChain(tfb.Bijector):
  """Temporal transforms one upon another (paper 000, section 3.2: 2-AF).

  As in `tfb.Chain`, the first level is nearest to the data: level 0 takes data x to
  y^1, level 1 takes y^1 to y^2, and so on to the noise. Each level reads its own past,
  and the past of y^1 is what level 0 makes of the past of x. So a context of k frames
  of data gives every level a context of k frames; of M levels with a window of 3, the
  first frame of the event then depends on 3 M frames of context.

  Keyword arguments: `context` (frames of data), `mask` and `lengths` as for
  `TemporalAffineAutoregressive`; any other one goes to the networks of all levels.

  A `tfb.Chain` of the same levels is the same transform as long as there is no
  context; `level_contexts` gives what its levels need where there is one.
  """

  _cache = cache_util.BijectorCacheWithGreedyAttrs(
    forward_name="_augmented_forward", inverse_name="_augmented_inverse"
  )

  def __init__(
    self,
    levels: Sequence[TemporalAffineAutoregressive],
    validate_args: bool = False,
    name: str = "temporal_chain",
  ):
    """Creates the bijector.

    Args:
      levels: The transforms, the one nearest to the data first.
      validate_args: Unused; bad shapes are always reported.
      name: Name of the ops.

    Raises:
      ValueError: If there is no level, one is not a `TemporalAffineAutoregressive`, or
        their events differ in rank.
    """
    parameters = dict(locals())
    with tf.name_scope(name) as name:
      levels = tuple(levels)
      parameters["levels"] = levels
      if not levels:
        raise ValueError("levels must name at least one transform.")
      for level in levels:
        if not isinstance(level, TemporalAffineAutoregressive):
          raise ValueError(
            "levels must be TemporalAffineAutoregressive bijectors; got "
            f"{type(level).__name__}. Put others around this one by tfb.Chain."
          )
      if len({level.event_ndims for level in levels}) > 1:
        raise ValueError(
          "levels must have one event_ndims; got "
          f"{[level.event_ndims for level in levels]}."
        )
      self._levels = levels
      super().__init__(
        forward_min_event_ndims=levels[0].event_ndims,
        is_constant_jacobian=False,
        validate_args=validate_args,
        parameters=parameters,
        name=name,
      )

  @classmethod
  def _parameter_properties(cls, dtype):
    return {}

  @property
  def levels(self):
    """The transforms, the one nearest to the data first."""
    return self._levels

  def level_contexts(self, context, **kwargs) -> list:
    """The context of each level, for a context of data frames.

    Args:
      context: Tensor [..., k, *frame_shape], or None.
      **kwargs: What the networks read, except `mask` and `lengths`.

    Returns:
      List with the tensor `context` of each level, None for each if `context` is. They
      may hold less than k frames, but all that their level reads.
    """
    contexts = []
    for i, level in enumerate(self._levels):
      contexts.append(context)
      above = self._levels[i + 1 :]
      if context is None or not above:
        continue
      # What is older than the levels above can see need not be transformed.
      if any(upper.unlimited_memory for upper in above):
        context = level.inverse(context, **kwargs)
        continue
      keep = ps.minimum(
        sum(upper.window for upper in above), ps.shape(context)[-level.event_ndims]
      )
      tail = [slice(None)] * (level.event_ndims - 1)
      count = ps.shape(context)[-level.event_ndims]
      older = context[(..., slice(None, count - keep), *tail)]
      newer = context[(..., slice(count - keep, None), *tail)]
      context = level.inverse(newer, context=older, **kwargs)
    return contexts

  def _forward(self, y, **kwargs):
    return self._augmented_forward(y, **kwargs)[0]

  def _inverse(self, x, **kwargs):
    return self._augmented_inverse(x, **kwargs)[0]

  def _forward_log_det_jacobian(self, y, **kwargs):
    return -self._augmented_forward(y, **kwargs)[1]["ildj"]

  def _inverse_log_det_jacobian(self, x, **kwargs):
    return self._augmented_inverse(x, **kwargs)[1]["ildj"]

  def _augmented_forward(self, y, context=None, mask=None, lengths=None, **kwargs):
    contexts = self.level_contexts(context, **kwargs)
    log_det = 0
    for level, past in reversed(list(zip(self._levels, contexts))):
      given = {"context": past, "mask": mask, "lengths": lengths, **kwargs}
      x = level.forward(y, **given)
      log_det += level.forward_log_det_jacobian(y, **given)
      y = x
    return y, {"ildj": -log_det}

  def _augmented_inverse(self, x, context=None, mask=None, lengths=None, **kwargs):
    contexts = self.level_contexts(context, **kwargs)
    log_det = 0
    for level, past in zip(self._levels, contexts):
      given = {"context": past, "mask": mask, "lengths": lengths, **kwargs}
      y = level.inverse(x, **given)
      log_det += level.inverse_log_det_jacobian(x, **given)
      x = y
    return x, {"ildj": log_det}
