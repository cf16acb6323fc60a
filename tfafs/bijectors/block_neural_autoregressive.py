"""Block neural autoregressive flow, with an inverse (paper 003)."""

from typing import Optional

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import cache_util, tensor_util

from tfafs.bijectors import autoregressive_inverse

tfb = tfp.bijectors


class BlockNeuralAutoregressive(tfb.Bijector):
  """`forward` is a monotone autoregressive network, `inverse` is found numerically.

  The network maps R^D to R^D; output i depends on inputs 1 to i and increases with
  input i. The log-determinant comes with the value: sums of positive terms, added up as
  logarithms.

  `forward` is one evaluation of the network; `inverse` takes some tens (see
  `autoregressive_inverse`). So for density estimation the flow is used as
  `tfb.Invert(flow)`: density fast, samples slower. For density matching and as a
  posterior it is used as it is: samples with their density are fast.

  ```python
  network = BlockAutoregressiveNetwork(event_size=2, hidden_units=(50, 50))
  flow = BlockNeuralAutoregressive(network)
  estimator = tfd.TransformedDistribution(
    tfd.MultivariateNormalDiag(tf.zeros(2)), tfb.Invert(flow))
  estimator.log_prob(x)  # One evaluation of the network.
  estimator.sample(100)  # Some tens.
  ```

  The inverse is differentiable for its input, for the network's variables and for
  `modulation`, by the implicit function theorem with a triangular solve.

  Not every point has an inverse if the network is bounded, that is with `activation=
  "tanh"` and no residual, as published. Such a point ends in an `InvalidArgumentError`
  that says how many there are; XLA compiles no such checks, there it becomes NaN.
  `inverse_report` gives the same without an error, with the number of evaluations.
  """

  # One evaluation of the network serves value and log-determinant.
  _cache = cache_util.BijectorCacheWithGreedyAttrs(
    forward_name="_augmented_forward", inverse_name="_augmented_inverse"
  )

  def __init__(
    self,
    network,
    modulation=None,
    tolerance: Optional[float] = None,
    max_calls: Optional[int] = None,
    validate_args: bool = False,
    name: str = "block_neural_autoregressive",
  ):
    """Creates the bijector.

    Args:
      network: A `layers.block_masked.BlockAutoregressiveNetwork`, or another Keras layer
        with its `event_size`, `dtype`, `normalized` and `call`.
      modulation: None, or floating [..., network.modulation_size], what an amortised
        flow has of its own for each datum. It can also be given to the methods, as
        `forward(x, modulation=...)`.
      tolerance: Of the inverse, see `autoregressive_inverse.solve`.
      max_calls: Most evaluations of the network for an inverse, same place.
      validate_args: As of every bijector.
      name: As of every bijector.
    """
    parameters = dict(locals())
    with tf.name_scope(name) as name:
      self._network = network
      self._modulation = tensor_util.convert_nonref_to_tensor(
        modulation, dtype=network.dtype, name="modulation"
      )
      self._tolerance = tolerance
      self._max_calls = max_calls
      super().__init__(
        forward_min_event_ndims=1,
        validate_args=validate_args,
        dtype=tf.as_dtype(network.dtype),
        parameters=parameters,
        name=name,
      )

  @classmethod
  def _parameter_properties(cls, dtype):
    return {"modulation": tfp.util.ParameterProperties(event_ndims=1)}

  @property
  def network(self):
    """The network."""
    return self._network

  @property
  def modulation(self):
    """What was given as `modulation`."""
    return self._modulation

  def _forward(self, x, modulation=None):
    return self._augmented_forward(x, modulation)[0]

  def _inverse(self, y, modulation=None):
    return self._augmented_inverse(y, modulation)[0]

  def _forward_log_det_jacobian(self, x, modulation=None):
    return -self._augmented_forward(x, modulation)[1]["ildj"]

  def _augmented_forward(self, x, modulation=None):
    value, log_diagonal = self._map(modulation)(x)
    return value, {"ildj": -tf.reduce_sum(log_diagonal, -1)}

  def _augmented_inverse(self, y, modulation=None):
    function = self._map(modulation)
    y = self._broadcast(y, modulation)
    report = autoregressive_inverse.solve(
      function, tf.stop_gradient(y), None, self._tolerance, self._max_calls
    )
    # A NaN that came in goes out; only points that should have an inverse are missed.
    missing = ~report.found & tf.reduce_all(tf.math.is_finite(y), -1)
    with tf.control_dependencies([self._assert_none(missing, report)]):
      solution = tf.identity(report.value)
    x = autoregressive_inverse.with_gradient(solution, function, y)
    return x, {"ildj": -tf.reduce_sum(function(x).log_diagonal, -1)}

  def inverse_report(self, y, modulation=None):
    """Inverts without raising, and says how; not differentiable.

    Args:
      y: Floating [..., D].
      modulation: As in `forward`.

    Returns:
      An `autoregressive_inverse.InverseReport`.
    """
    y = self._broadcast(tf.convert_to_tensor(y, self.dtype), modulation)
    return autoregressive_inverse.solve(
      self._map(modulation), y, None, self._tolerance, self._max_calls
    )

  def _map(self, modulation):
    """The network as a function of x, with weights that are normalised once."""
    if modulation is None:
      modulation = self._modulation
    if modulation is not None:
      modulation = tf.convert_to_tensor(modulation)
    weights = self._network.normalized()
    return lambda x: self._network(x, modulation=modulation, weights=weights)

  def _broadcast(self, y, modulation):
    """Gives y the batch shape that the result has."""
    if modulation is None:
      modulation = self._modulation
    if modulation is None:
      return y
    batch = tf.broadcast_dynamic_shape(tf.shape(y)[:-1], tf.shape(modulation)[:-1])
    y_shape = tf.broadcast_static_shape(y.shape[:-1], modulation.shape[:-1])
    y = tf.broadcast_to(y, tf.concat([batch, tf.shape(y)[-1:]], 0))
    return tf.ensure_shape(y, y_shape + self._network.event_size)

  def _assert_none(self, missing, report):
    message = (
      "BlockNeuralAutoregressive: some points have no pre-image, or none was found in "
      "max_calls evaluations (data: how many, largest residual, evaluations). A network "
      "with activation 'tanh' and no residual is bounded: use 'leaky_tanh' or a "
      "residual. inverse_report tells which points."
    )
    count = tf.math.count_nonzero(missing)
    residual = tf.where(missing, report.residual, tf.zeros_like(report.residual))
    return tf.debugging.Assert(
      tf.equal(count, 0),
      [message, count, tf.reduce_max(residual), report.num_calls],
    )
