"""Dense networks that give the parameters of flows, masked or not, with a context."""

from collections.abc import Sequence
from typing import Callable, Optional, Union

import numpy as np
import tensorflow as tf

LEFT_TO_RIGHT, RIGHT_TO_LEFT = "left_to_right", "right_to_left"

# Standard deviation of the output at the start: flows begin near the identity.
_OUTPUT_STDDEV = 0.01


def ranks_of(order: Union[str, Sequence[int]], size: int) -> np.ndarray:
  """Rank of each of `size` dimensions, int [size], 0 for the first.

  Args:
    order: "left_to_right", "right_to_left", or the ranks themselves.
    size: Number of dimensions.

  Raises:
    ValueError: If `order` is neither a known name nor a permutation.
  """
  if isinstance(order, str):
    ranks = {
      LEFT_TO_RIGHT: np.arange(size),
      RIGHT_TO_LEFT: np.arange(size)[::-1],
    }.get(order)
  else:
    ranks = np.asarray(order)
  if ranks is None or sorted(ranks.tolist()) != list(range(size)):
    raise ValueError(
      f"order must be {LEFT_TO_RIGHT!r}, {RIGHT_TO_LEFT!r} or a permutation of the "
      f"numbers 0 to {size - 1}; got {order!r}."
    )
  return ranks


class DenseNetwork(tf.keras.layers.Layer):
  """Dense layers from [..., inputs] to [..., outputs, parameters], with a context.

  The variables are made with the layer. The context reaches every layer through weights
  of its own. `masks` says which weights exist; they are applied in the forward pass, so
  that no optimizer can undo them.
  """

  def __init__(
    self,
    inputs: int,
    outputs: int,
    parameters: int,
    hidden_units: Sequence[int] = (64, 64),
    context_size: Optional[int] = None,
    activation: Union[str, Callable] = "relu",
    masks: Optional[Sequence[np.ndarray]] = None,
    dtype="float32",
    name: Optional[str] = None,
  ):
    """Makes the layer and its variables.

    Args:
      inputs: Size of the last dimension of the input.
      outputs: Number of dimensions that get parameters.
      parameters: Number of parameters for each of them.
      hidden_units: Units of each hidden layer.
      context_size: Size of the last dimension of the context, None for no context.
      activation: Keras activation of the hidden layers.
      masks: One array of 0 and 1 for each layer, [units in, units out], the last one for
        outputs * parameters units; None for all 1.
      dtype: Floating type of variables and results.
      name: Name of the layer.

    Raises:
      ValueError: If a size is not positive.
    """
    super().__init__(name=name, dtype=dtype, autocast=False)
    sizes = [inputs, *hidden_units, outputs * parameters]
    if min(outputs, parameters, *hidden_units, 1) < 1 or inputs < 0:
      raise ValueError(
        "outputs, parameters and hidden_units must be at least 1; got "
        f"{outputs}, {parameters}, {tuple(hidden_units)}."
      )
    self.event_size, self.outputs, self.parameters = inputs, outputs, parameters
    self.context_size = context_size
    self._activation = tf.keras.activations.get(activation)
    self._masks = masks
    self._kernels, self._biases, self._context_kernels = [], [], []
    for i, (size_in, size_out) in enumerate(zip(sizes, sizes[1:])):
      last = i == len(hidden_units)

      def initializer(fan_in, last=last):
        deviation = _OUTPUT_STDDEV if last else np.sqrt(2.0)
        return tf.keras.initializers.RandomNormal(
          stddev=deviation / np.sqrt(max(fan_in, 1))
        )

      fan_in = size_in if masks is None else max(1.0, masks[i].sum(0).mean())
      add = self.add_weight
      self._kernels.append(
        add(f"kernel_{i}", (size_in, size_out), None, initializer(fan_in))
      )
      self._biases.append(add(f"bias_{i}", (size_out,), None, "zeros"))
      if context_size is not None:
        self._context_kernels.append(
          add(
            f"context_kernel_{i}",
            (context_size, size_out),
            None,
            initializer(context_size),
          )
        )
    self.built = True

  def bind(self, context=None) -> Callable:
    """The network for one context, for use in a loop: masks and context taken in once.

    Args:
      context: Tensor [..., context_size], or None.

    Returns:
      A function from [..., inputs] to [..., outputs, parameters]; the batch dimensions
      of input and context broadcast.

    Raises:
      ValueError: If a context is missing, not wanted, or of another size.
    """
    biases = self._biases
    if (context is None) != (self.context_size is None):
      wanted = "takes none" if context is not None else "needs one"
      raise ValueError(
        f"{self.name} {wanted}: give context= where the network was made with "
        f"context_size, and only there (context_size is {self.context_size})."
      )
    if context is not None:
      context = tf.convert_to_tensor(context, self.dtype)
      if not context.shape[-1:].is_compatible_with([self.context_size]):
        raise ValueError(
          f"context must have shape [..., {self.context_size}], as the network was made "
          f"with this context_size; got {context.shape}."
        )
      biases = [
        tf.tensordot(context, kernel, 1) + bias
        for kernel, bias in zip(self._context_kernels, biases)
      ]
    kernels = self._kernels
    if self._masks is not None:
      kernels = [k * tf.constant(m, k.dtype) for k, m in zip(kernels, self._masks)]

    def function(x):
      for i, (kernel, bias) in enumerate(zip(kernels, biases)):
        x = self._activation(x) if i else x
        x = tf.tensordot(x, kernel, 1) + bias
      return tf.reshape(x, tf.concat([tf.shape(x)[:-1], self._tail], 0))

    return function

  @property
  def _tail(self):
    return [self.outputs, self.parameters]

  def call(self, x, context=None):
    """Parameters [..., outputs, parameters] for `x` [..., inputs]."""
    return self.bind(context)(x)


class MaskedNetwork(DenseNetwork):
  """Parameters of dimension i from the dimensions before it (MADE, Germain et al. 2015).

  The first dimension's parameters depend on the context alone.
  """

  def __init__(
    self,
    event_size: int,
    parameters: int,
    hidden_units: Sequence[int] = (64, 64),
    context_size: Optional[int] = None,
    order: Union[str, Sequence[int]] = LEFT_TO_RIGHT,
    activation: Union[str, Callable] = "relu",
    dtype="float32",
    name: Optional[str] = None,
  ):
    """Makes the layer and its variables.

    Args:
      event_size: Number of dimensions D.
      parameters: Number of parameters for each.
      hidden_units: Units of each hidden layer.
      context_size: Size of the last dimension of the context, None for no context.
      order: "left_to_right", "right_to_left", or the rank of each dimension.
      activation: Keras activation of the hidden layers.
      dtype: Floating type of variables and results.
      name: Name of the layer.

    Raises:
      ValueError: If a size is not positive or `order` no order.
    """
    if event_size < 1:
      raise ValueError(f"event_size must be at least 1; got {event_size}.")
    ranks = ranks_of(order, event_size)
    # A hidden unit of degree k reads the k first dimensions. Without a context, degree 0
    # would be a constant, which a bias is already.
    least = 0 if context_size is not None or event_size == 1 else 1
    degrees = [ranks + 1]
    for units in hidden_units:
      degrees.append(np.round(np.linspace(least, event_size - 1, units)).astype(int))
    masks = [
      (before[:, np.newaxis] <= after).astype(np.float32)
      for before, after in zip(degrees, degrees[1:])
    ]
    last = (degrees[-1][:, np.newaxis] <= ranks).astype(np.float32)
    masks.append(np.repeat(last, parameters, axis=1))
    super().__init__(
      event_size,
      event_size,
      parameters,
      hidden_units,
      context_size,
      activation,
      masks,
      dtype,
      name,
    )
