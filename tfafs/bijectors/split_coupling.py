"""SplitCoupling: some dimensions pass, the others are mapped given those."""

from collections.abc import Sequence
from typing import Optional, Union

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import cache_util

from tfafs.bijectors import scalar_maps
from tfafs.bijectors.masked_autoregressive import (
  broadcast_batch,
  check_event,
  check_parameters,
)
from tfafs.layers.masked_network import LEFT_TO_RIGHT, DenseNetwork, ranks_of

tfb = tfp.bijectors


class SplitCoupling(tfb.Bijector):
  """Maps noise y to data x over the last dimension, one half given the other.

  With S the dimensions that pass unchanged, x_S = y_S, and for every other i

      inverse:  y_i = to_noise(x_i; parameters(x_S, context))   data to noise, density
      forward:  x_i = to_data(y_i; parameters(x_S, context))    noise to data, sampling
      log |det dy/dx| = sum over i not in S of log slope of to_noise at x_i

  Each direction is one pass of the network. With a network of images, which has an
  `event_ndims` of 3, the last dimension is that of the channels, the parameters of a value
  depend on the passing channels of all places, and the sum is over all places, too.

  Keyword argument `context`: [..., context_size], what the network is conditioned on.

  Source: Dinh et al., Real NVP, 2017; the SCF of paper 002, section 3.
  """

  # Calls `_augmented_*` and keeps the log-determinant that comes with the value.
  _cache = cache_util.BijectorCacheWithGreedyAttrs(
    forward_name="_augmented_forward", inverse_name="_augmented_inverse"
  )

  def __init__(
    self,
    network: tf.keras.layers.Layer,
    unchanged: Sequence[int],
    scalar: Union[str, scalar_maps.ScalarMap] = "affine",
    validate_args: bool = False,
    name: str = "split_coupling",
  ):
    """Makes the bijector of a network; `build` makes both.

    Args:
      network: A `DenseNetwork`, or a layer like it: `bind(context)` returns a function
        from [..., len(unchanged)] to parameters [..., others, scalar.num_parameters]; if
        it has an attribute `event_ndims`, that is the rank of an event, else 1.
      unchanged: Indices of the dimensions that pass unchanged.
      scalar: "affine", "sigmoid_affine", "nonlinear_squared", or a map of
        `tfafs.bijectors.scalar_maps`.
      validate_args: Unused; bad shapes are always reported.
      name: Name of the ops.

    Raises:
      ValueError: If the network gives another number of parameters than `scalar` has, or
        reads another number of dimensions than `unchanged` names.
    """
    parameters = dict(locals())
    with tf.name_scope(name) as name:
      unchanged = tuple(int(i) for i in unchanged)
      parameters["unchanged"] = unchanged
      size = network.event_size + network.outputs
      if network.event_size != len(set(unchanged) & set(range(size))):
        raise ValueError(
          f"unchanged must name {network.event_size} of the {size} dimensions, as the "
          f"network reads so many; got {unchanged}."
        )
      self._network = network
      self._unchanged = unchanged
      self._changed = tuple(i for i in range(size) if i not in unchanged)
      # Where each dimension lies in the concatenation of both.
      self._places = np.argsort(unchanged + self._changed).tolist()
      self._in_order = self._places == sorted(self._places)
      self._scalar = scalar_maps.get(scalar)
      check_parameters(network, self._scalar)
      event_ndims = getattr(network, "event_ndims", 1)
      self._axes = list(range(-event_ndims, 0))
      super().__init__(
        forward_min_event_ndims=event_ndims,
        dtype=tf.as_dtype(network.dtype),
        validate_args=validate_args,
        parameters=parameters,
        name=name,
      )

  @classmethod
  def build(
    cls,
    event_size: int,
    scalar: Union[str, scalar_maps.ScalarMap] = "affine",
    hidden_units=(64, 64),
    context_size: Optional[int] = None,
    order=LEFT_TO_RIGHT,
    activation="relu",
    dtype="float32",
    name: str = "split_coupling",
  ) -> "SplitCoupling":
    """Makes the bijector with a `DenseNetwork`.

    The first half in `order` passes, the smaller one where `event_size` is odd; see
    `MaskedNetwork` for the other arguments.

    Raises:
      ValueError: If `event_size` is not positive or `order` no order.
    """
    if event_size < 1:
      raise ValueError(f"event_size must be at least 1; got {event_size}.")
    scalar = scalar_maps.get(scalar)
    half = event_size // 2
    unchanged = np.flatnonzero(ranks_of(order, event_size) < half)
    network = DenseNetwork(
      half,
      event_size - half,
      scalar.num_parameters,
      hidden_units,
      context_size,
      activation,
      dtype=dtype,
    )
    return cls(network, unchanged, scalar, name=name)

  @classmethod
  def _parameter_properties(cls, dtype):
    return {}

  @property
  def network(self):
    """The network that gives the parameters."""
    return self._network

  @property
  def scalar(self):
    """The scalar map."""
    return self._scalar

  @property
  def unchanged(self) -> tuple:
    """Indices of the dimensions that pass unchanged."""
    return self._unchanged

  def _augmented_forward(self, y, context=None):
    passing, mapped, parameters = self._split(y, context)
    data = self._scalar.to_data(mapped, parameters)
    log_slope = self._scalar.to_noise(data, parameters).log_slope
    return self._join(passing, data), {"ildj": tf.reduce_sum(log_slope, self._axes)}

  def _augmented_inverse(self, x, context=None):
    passing, mapped, parameters = self._split(x, context)
    noise = self._scalar.to_noise(mapped, parameters)
    return self._join(passing, noise.value), {
      "ildj": tf.reduce_sum(noise.log_slope, self._axes)
    }

  def _forward(self, y, **kwargs):
    return self._augmented_forward(y, **kwargs)[0]

  def _inverse(self, x, **kwargs):
    return self._augmented_inverse(x, **kwargs)[0]

  def _inverse_log_det_jacobian(self, x, **kwargs):
    return self._augmented_inverse(x, **kwargs)[1]["ildj"]

  def _forward_log_det_jacobian(self, y, **kwargs):
    return -self._augmented_forward(y, **kwargs)[1]["ildj"]

  def _split(self, value, context):
    check_event(value, len(self._places))
    value = broadcast_batch(value, context)
    if self._in_order:
      sizes = [len(self._unchanged), len(self._changed)]
      passing, mapped = tf.split(value, sizes, -1)
      return passing, mapped, self._network.bind(context)(passing)
    passing = tf.gather(value, tf.constant(self._unchanged, tf.int32), axis=-1)
    mapped = tf.gather(value, tf.constant(self._changed, tf.int32), axis=-1)
    return passing, mapped, self._network.bind(context)(passing)

  def _join(self, passing, mapped):
    joined = tf.concat([passing, mapped], -1)
    return joined if self._in_order else tf.gather(joined, self._places, axis=-1)
