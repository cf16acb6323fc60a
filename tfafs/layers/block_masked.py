"""The network of a block neural autoregressive flow (paper 003, sections 3.1 to 3.3).

Output i of the network depends on inputs 1 to i, and grows strictly with input i: each
weight matrix is block lower triangular with positive diagonal blocks. Beside its value
the network returns the logarithm of the diagonal of its Jacobian, at little more cost.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

ACTIVATIONS = ("leaky_tanh", "tanh")
RESIDUALS = ("gated", "plain", None)
LEAK = 0.01
"""Slope that `leaky_tanh` adds to tanh."""

_LOG_2 = math.log(2.0)


class Weights(NamedTuple):
  """What a layer multiplies with, after masking and weight normalisation.

  D is the size of the event, a and b are the layer's units for each of its components,
  coming in and going out.

  Attributes:
    kernel: [D * a, D * b]; rows are inputs.
    log_blocks: [D, a, b], logarithms of the diagonal blocks of `kernel`.
    bias: [D * b].
  """

  kernel: tf.Tensor
  log_blocks: tf.Tensor
  bias: tf.Tensor


class BlockAutoregressiveOutput(NamedTuple):
  """What the network returns.

  Attributes:
    value: [..., D].
    log_diagonal: [..., D], logarithms of d value_i / d input_i.
  """

  value: tf.Tensor
  log_diagonal: tf.Tensor


class BlockMaskedDense(tf.keras.layers.Layer):
  """Weights of one layer: D x D blocks of a x b, zero for outputs before inputs.

  Diagonal blocks are exponentials, so positive. The weights into each unit are divided
  by their norm and multiplied by the exponential of a scalar of its own (appendix C).
  The masks act in the forward pass: any optimizer may change any variable.

  Starts as the authors' code does (which is not what appendix C says): raw weights are
  Glorot uniform in the blocks that a unit sees, logarithms of norms are logarithms of
  uniform draws.
  """

  def __init__(
    self,
    event_size: int,
    units_in: int,
    units_out: int,
    dtype=None,
    name: Optional[str] = None,
  ):
    """Creates the layer with its variables.

    Args:
      event_size: Number D of components of the event.
      units_in: Inputs a for each component.
      units_out: Outputs b for each component.
      dtype: Floating type of variables and results.
      name: Name of the layer.
    """
    super().__init__(
      name=name, dtype=dtype or tf.keras.backend.floatx(), autocast=False
    )
    self.event_size = event_size
    self.units_in = units_in
    self.units_out = units_out
    rows, columns = event_size * units_in, event_size * units_out
    component = np.arange(event_size)
    below = component[:, None] < component[None, :]
    # Unit (i, k) has (i + 1) * a inputs; bounds [D] of its block column.
    bounds = np.sqrt(6.0 / ((component + 1.0) * units_in + units_out))
    per_column = np.repeat(bounds, units_out)
    self._mask = np.kron(below, np.ones([units_in, units_out], bool))
    with tf.name_scope(self.name):
      self.off_diagonal = self.add_weight(
        "off_diagonal",
        [rows, columns],
        initializer=_scaled_uniform(self._mask * per_column),
      )
      self.log_diagonal = self.add_weight(
        "log_diagonal",
        [event_size, units_in, units_out],
        initializer=_scaled_uniform(bounds[:, None, None]),
      )
      self.log_norm = self.add_weight(
        "log_norm", [columns], initializer=_log_of_uniform
      )
      self.bias = self.add_weight(
        "bias", [columns], initializer=_scaled_uniform(1.0 / math.sqrt(columns))
      )
    self.built = True

  @property
  def num_parameters(self) -> int:
    """Number of parameters, without the masked entries of `off_diagonal`."""
    blocks = self.event_size * (self.event_size + 1) // 2
    return (
      blocks * self.units_in * self.units_out + 2 * self.event_size * self.units_out
    )

  def normalized(self) -> Weights:
    """Returns the `Weights` that the variables stand for."""
    size, units_in, units_out = self.event_size, self.units_in, self.units_out
    # Not multiplied by the mask: the gradient of what it hides may be infinite.
    off_diagonal = tf.where(
      tf.constant(self._mask), self.off_diagonal, tf.zeros([], self.dtype)
    )
    # All is taken relative to the largest weight of a unit: no exponential overflows.
    tiny = np.finfo(off_diagonal.dtype.as_numpy_dtype).tiny
    beside = tf.math.log(tf.reduce_max(tf.abs(off_diagonal), 0) + tiny)
    largest = tf.reduce_max(self.log_diagonal, 1, keepdims=True)
    largest = tf.maximum(largest, tf.reshape(beside, [size, 1, units_out]))
    largest = tf.stop_gradient(largest)
    raw = tf.exp(self.log_diagonal - largest)
    shift = tf.reshape(largest, [-1])
    off_diagonal *= tf.exp(-shift)
    squared_norm = tf.reduce_sum(off_diagonal**2, 0)
    squared_norm += tf.reshape(tf.reduce_sum(raw**2, 1), [-1])
    log_factor = self.log_norm - 0.5 * tf.math.log(squared_norm)
    factor = tf.exp(log_factor)
    log_blocks = self.log_diagonal - largest
    log_blocks += tf.reshape(log_factor, [size, 1, units_out])
    blocks = raw * tf.reshape(factor, [size, 1, units_out])
    on_diagonal = tf.eye(size, dtype=self.dtype)[:, None, :, None]
    kernel = off_diagonal * factor
    kernel += tf.reshape(
      blocks[:, :, None] * on_diagonal, [size * units_in, size * units_out]
    )
    return Weights(kernel, log_blocks, self.bias)


class BlockAutoregressiveNetwork(tf.keras.layers.Layer):
  """A monotone autoregressive network from R^D to R^D (paper 003, section 3).

  With `leaky_tanh`, x -> tanh(x) + 0.01 x, it is onto R^D. With `tanh`, as published,
  each output is bounded unless there is a residual: then a density that it defines has
  a total mass below one, and some points have no pre-image.

  Residuals: "gated" is g f(x) + (1 - g) x with a trained scalar g in (0, 1), "plain" is
  f(x) + x, None is f(x).

  Modulation makes it amortised (section 5.4): for each layer and datum a bias and two
  vectors that multiply rows and columns of the shared weights. As those must keep their
  sign, they are exponentials of what is given; all zeros change nothing.
  """

  def __init__(
    self,
    event_size: int,
    hidden_units: Sequence[int] = (50,),
    activation: str = "leaky_tanh",
    residual: Optional[str] = None,
    dtype=None,
    name: Optional[str] = None,
  ):
    """Creates the network with its variables.

    Args:
      event_size: Number D of components of the event.
      hidden_units: Units for each component, of each hidden layer (H / d in the paper).
      activation: "leaky_tanh" or "tanh".
      residual: "gated", "plain" or None.
      dtype: Floating type of variables and results.
      name: Name of the network.

    Raises:
      ValueError: an argument is none of these, naming it.
    """
    super().__init__(
      name=name, dtype=dtype or tf.keras.backend.floatx(), autocast=False
    )
    hidden_units = tuple(hidden_units)
    if event_size < 1:
      raise ValueError(f"event_size must be at least 1, not {event_size}.")
    if not hidden_units or min(hidden_units) < 1:
      raise ValueError(
        "hidden_units must name at least one hidden layer of at least one unit for "
        f"each component, such as (50,), not {hidden_units}."
      )
    _check_choice("activation", activation, ACTIVATIONS)
    _check_choice("residual", residual, RESIDUALS)
    self.event_size = event_size
    self.hidden_units = hidden_units
    self.activation = activation
    self.residual = residual
    units = (1, *hidden_units, 1)
    with tf.name_scope(self.name):
      self.dense = [
        BlockMaskedDense(event_size, a, b, self.dtype, f"block_masked_dense_{i}")
        for i, (a, b) in enumerate(zip(units, units[1:]))
      ]
      self.gate = None
      if residual == "gated":
        normal = tf.keras.initializers.RandomNormal(0.0, 1.0)
        self.gate = self.add_weight("gate", [], initializer=normal)
    self.built = True

  @property
  def num_parameters(self) -> int:
    """Number of parameters that do something: masked entries are not counted."""
    return sum(d.num_parameters for d in self.dense) + (self.gate is not None)

  @property
  def modulation_sizes(self) -> tuple:
    """For each layer, the sizes of its bias and of the factors of its rows, columns."""
    size = self.event_size
    return tuple(
      (size * d.units_out, size * d.units_out, size * d.units_in) for d in self.dense
    )

  @property
  def modulation_size(self) -> int:
    """Length of the vector that `call` takes as `modulation`."""
    return sum(map(sum, self.modulation_sizes))

  def normalized(self) -> tuple:
    """Returns the `Weights` of each layer, for many calls with the same variables."""
    return tuple(dense.normalized() for dense in self.dense)

  def call(self, x, modulation=None, weights=None) -> BlockAutoregressiveOutput:
    """Maps points and differentiates the map.

    Args:
      x: [..., D].
      modulation: None, or [..., modulation_size] whose batch shape broadcasts with that
        of `x`: for each layer bias, log of row factors, log of column factors.
      weights: What `normalized` returned; None to ask it.

    Returns:
      A `BlockAutoregressiveOutput`.
    """
    if modulation is None:
      modulations = [(None, None, None)] * len(self.dense)
    else:
      modulations = self._split(modulation)
    hidden, log_jacobian = x, None
    weights = self.normalized() if weights is None else weights
    for layer, (of_layer, modulation) in enumerate(zip(weights, modulations)):
      if layer:
        hidden, log_slope = self._activate(hidden)
        log_jacobian += _by_component(log_slope, self.event_size)
      hidden, log_jacobian = _apply(of_layer, hidden, log_jacobian, modulation)
    return self._add_residual(x, hidden, tf.squeeze(log_jacobian, -1))

  def _split(self, modulation):
    """Splits the flat vector into (bias, rows, columns) of each layer."""
    if modulation.shape[-1] not in (None, self.modulation_size):
      raise ValueError(
        f"modulation must have {self.modulation_size} entries in its last dimension "
        f"(modulation_size of the network), not {modulation.shape[-1]}."
      )
    sizes = self.modulation_sizes
    parts = tf.split(modulation, [n for three in sizes for n in three], -1)
    return [parts[3 * i : 3 * i + 3] for i in range(len(sizes))]

  def _activate(self, x):
    """Returns the activation and the logarithm of its slope."""
    value = tf.tanh(x)
    if self.activation == "tanh":
      # The logarithm of 1 - tanh^2 without its cancellation.
      return value, 2.0 * (_LOG_2 - x - tf.nn.softplus(-2.0 * x))
    # Here the leak is large beside what cancels.
    return value + LEAK * x, tf.math.log(1.0 + LEAK - value * value)

  def _add_residual(self, x, value, log_diagonal):
    if self.residual == "gated":
      gate = tf.sigmoid(self.gate)
      value = gate * value + (1.0 - gate) * x
      log_diagonal = tf.nn.softplus(log_diagonal + self.gate)
      log_diagonal -= tf.nn.softplus(self.gate)
    elif self.residual == "plain":
      value += x
      log_diagonal = tf.nn.softplus(log_diagonal)
    return BlockAutoregressiveOutput(value, log_diagonal)


def log_matmul(log_left, log_blocks):
  """Product of matrices given and returned as logarithms (paper 003, appendix D).

  Both are scaled by their largest entries and multiplied as they are; terms that are
  smaller than the largest by a factor beyond the floating type's range are lost.

  Args:
    log_left: [..., D, a].
    log_blocks: [D, a, b].

  Returns:
    [..., D, b], the logarithm of sum_a exp(log_left) exp(log_blocks).
  """
  left_shift = tf.stop_gradient(tf.reduce_max(log_left, -1, keepdims=True))
  right_shift = tf.stop_gradient(tf.reduce_max(log_blocks, 1))
  left = tf.exp(log_left - left_shift)
  right = tf.exp(log_blocks - right_shift[:, None])
  if right.shape[-1] == 1:
    product = tf.reduce_sum(left * right[..., 0], -1, keepdims=True)
  else:
    # One product for each component; its gradient is much faster than `tf.einsum`'s.
    size, units_in, units_out = right.shape
    batch_shape = tf.shape(left)[:-2]
    left = tf.transpose(tf.reshape(left, [-1, size, units_in]), [1, 0, 2])
    product = tf.transpose(tf.matmul(left, right), [1, 0, 2])
    product = tf.reshape(product, tf.concat([batch_shape, [size, units_out]], 0))
  tiny = np.finfo(product.dtype.as_numpy_dtype).tiny
  return tf.math.log(tf.maximum(product, tiny)) + left_shift + right_shift


def _apply(weights, hidden, log_jacobian, modulation):
  """Applies one layer to the hidden units and to their log-derivatives."""
  bias, log_rows, log_columns = modulation
  size = weights.log_blocks.shape[0]
  if log_columns is not None:
    hidden *= tf.exp(log_columns)
    columns = _by_component(log_columns, size)
    log_jacobian = columns if log_jacobian is None else log_jacobian + columns
  hidden = tf.tensordot(hidden, weights.kernel, 1)
  if log_rows is not None:
    hidden = hidden * tf.exp(log_rows) + bias
  hidden += weights.bias
  if log_jacobian is None:
    # One input for each component: the blocks have one row, the same for all data.
    log_jacobian = tf.squeeze(weights.log_blocks, 1)
  else:
    log_jacobian = log_matmul(log_jacobian, weights.log_blocks)
  if log_rows is not None:
    log_jacobian += _by_component(log_rows, size)
  return hidden, log_jacobian


def _by_component(x, size):
  """Reshapes [..., D * n] to [..., D, n]."""
  shape = tf.concat([tf.shape(x)[:-1], [size, x.shape[-1] // size]], 0)
  return tf.reshape(x, shape)


def _scaled_uniform(bound):
  """Initializer: uniform in [-bound, bound], an array that broadcasts."""

  def initialize(shape, dtype=None, **kwargs):
    del kwargs
    draws = tf.random.uniform(shape, -1.0, 1.0, dtype)
    return draws * tf.constant(bound, dtype)

  return initialize


def _log_of_uniform(shape, dtype=None, **kwargs):
  """Initializer: logarithm of a uniform draw from (0, 1)."""
  del kwargs
  return tf.math.log(tf.random.uniform(shape, 1e-4, 1.0, dtype))


def _check_choice(name, value, choices):
  if value not in choices:
    raise ValueError(f"{name} must be one of {choices}, not {value!r}.")
