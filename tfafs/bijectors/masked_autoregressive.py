"""MaskedAutoregressive: each dimension is mapped given those before it."""

from typing import Optional, Union

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import cache_util
from tensorflow_probability.python.internal import prefer_static as ps

from tfafs.bijectors import fixed_point, scalar_maps
from tfafs.layers.masked_network import LEFT_TO_RIGHT, MaskedNetwork

tfb = tfp.bijectors


class MaskedAutoregressive(tfb.Bijector):
  """Maps noise y to data x over the last dimension, x_i by a scalar map given x_<i.

      inverse:  y_i = to_noise(x_i; parameters(x_<i, context))   data to noise, density
      forward:  x_i = to_data(y_i; parameters(x_<i, context))    noise to data, sampling
      log |det dy/dx| = sum over i of log slope of to_noise at x_i

  `inverse` and its log-determinant are one pass of the network, together. `forward`
  repeats passes over all dimensions at once until nothing moves any more: D at most,
  and often far fewer (`forward_with_passes` tells); one that needs gradients does not
  keep the passes. `forward` has first-order gradients only.

  Keyword argument `context`: [..., context_size], what the network is conditioned on.

  Source: Papamakarios et al., Masked Autoregressive Flow, 2017; with NLSq as scalar map
  the AF of paper 002, section 4.3.
  """

  # Calls `_augmented_*` and keeps the log-determinant that comes with the noise.
  _cache = cache_util.BijectorCacheWithGreedyAttrs(
    forward_name="_augmented_forward", inverse_name="_augmented_inverse"
  )

  def __init__(
    self,
    network: tf.keras.layers.Layer,
    scalar: Union[str, scalar_maps.ScalarMap] = "affine",
    tolerance: Optional[float] = None,
    validate_args: bool = False,
    name: str = "masked_autoregressive",
  ):
    """Makes the bijector of a network; `build` makes both.

    Args:
      network: A `MaskedNetwork`, or a layer like it: `bind(context)` returns a function
        from [..., D] to parameters [..., D, scalar.num_parameters], autoregressive.
      scalar: "affine", "nonlinear_squared", or a map of `tfafs.bijectors.scalar_maps`.
      tolerance: Largest move of a pass of `forward` that counts as none, relative to
        1 + |x|; by default near rounding.
      validate_args: Unused; bad shapes are always reported.
      name: Name of the ops.

    Raises:
      ValueError: If the network gives another number of parameters than `scalar` has.
    """
    parameters = dict(locals())
    with tf.name_scope(name) as name:
      self._network = network
      self._scalar = scalar_maps.get(scalar)
      self._tolerance = tolerance
      check_parameters(network, self._scalar)
      super().__init__(
        forward_min_event_ndims=1,
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
    name: str = "masked_autoregressive",
  ) -> "MaskedAutoregressive":
    """Makes the bijector with a `MaskedNetwork`; see there for the arguments."""
    scalar = scalar_maps.get(scalar)
    network = MaskedNetwork(
      event_size,
      scalar.num_parameters,
      hidden_units,
      context_size,
      order,
      activation,
      dtype,
    )
    return cls(network, scalar, name=name)

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

  def forward_with_passes(self, y, context=None) -> fixed_point.FixedPoint:
    """`forward`, and the number of passes that it took, at most D."""
    y = tf.convert_to_tensor(y, self.dtype)
    check_event(y, self._network.event_size)
    y = broadcast_batch(y, context)
    parameters = self._network.bind(context)
    return fixed_point.solve(
      lambda x: self._scalar.to_data(y, parameters(x)),
      tf.zeros_like(y),
      self._network.event_size,
      self._tolerance,
    )

  def _augmented_forward(self, y, context=None):
    return self.forward_with_passes(y, context).value, {}

  def _augmented_inverse(self, x, context=None):
    check_event(x, self._network.event_size)
    parameters = self._network.bind(context)(x)
    noise = self._scalar.to_noise(x, parameters)
    return noise.value, {"ildj": tf.reduce_sum(noise.log_slope, -1)}

  def _forward(self, y, **kwargs):
    return self._augmented_forward(y, **kwargs)[0]

  def _inverse(self, x, **kwargs):
    return self._augmented_inverse(x, **kwargs)[0]

  def _inverse_log_det_jacobian(self, x, **kwargs):
    return self._augmented_inverse(x, **kwargs)[1]["ildj"]


def check_parameters(network, scalar) -> None:
  """Raises ValueError if a network does not give what a scalar map needs."""
  if network.parameters != scalar.num_parameters:
    raise ValueError(
      f"network gives {network.parameters} parameters for each dimension, but "
      f"{type(scalar).__name__} needs {scalar.num_parameters}: make the network with "
      f"parameters={scalar.num_parameters}."
    )


def check_event(value, event_size: int) -> None:
  """Raises ValueError if the last dimension is not that of the weights."""
  if value.shape.rank is not None and not value.shape[-1:].is_compatible_with(
    [event_size]
  ):
    raise ValueError(
      f"The last dimension must be {event_size}, as the weights were made for; got shape "
      f"{value.shape}."
    )


def broadcast_batch(value, context):
  """`value` [..., D] with the batch dimensions of `context` [..., C] too."""
  if context is None:
    return value
  batch = ps.broadcast_shape(ps.shape(value)[:-1], ps.shape(context)[:-1])
  return tf.broadcast_to(value, ps.concat([batch, ps.shape(value)[-1:]], 0))
