"""What a conformance check needs to know of a bijector."""

import dataclasses
from collections.abc import Mapping
from typing import Callable, Optional

import numpy as np
import tensorflow as tf

FORWARD, INVERSE = "forward", "inverse"

_TOLERANCE = {tf.float32: 1e-4, tf.float64: 1e-9}


def _standard_normal(shape, dtype, seed):
  return tf.random.stateless_normal(shape, [seed, 17], dtype=dtype)


@dataclasses.dataclass(frozen=True)
class BijectorCase:
  """A bijector under test: how to make it, what to feed it, what it cannot do.

  Attributes:
    make: `make(dtype)` returns a fresh bijector with weights of its own.
    event_shape: Shape of one event; keep its size small, Jacobians are taken of it.
    kwargs: `kwargs(batch_shape, dtype, seed)` returns the keyword arguments of every
      method, a dict of tensors that all lead with `batch_shape`; another seed gives
      other arguments.
    unknown_shape: Shape with None for dimensions left unknown in a `tf.TensorSpec`, one
      batch dimension first; by default the batch alone is unknown.
    batch_shape: Shape of the batch of parameters, for a bijector that has one; inputs
      get it to the left of the event.
    sample_x: `sample_x(shape, dtype, seed)` draws inputs of `forward`; standard normal
      by default.
    sample_y: The same for `inverse`; None where `inverse` is not defined everywhere, so
      that only images of `forward` may be fed.
    jacobian_mask: bool [D, D] over the flattened event: False where the Jacobian of
      `forward`, `[output, input]`, is promised to be zero; None for no promise.
    tolerance: {dtype: tolerance} relative to 1 + |value|, by default 1e-4 in float32 and
      1e-9 in float64.
    difference_step: Step of the central differences (float64) that gradients are held
      against.
    perturb: Standard deviation of the noise added to every trainable variable of a new
      bijector, so that one that starts as the identity is tested elsewhere too.
    invertible: False for a bijector that has no `inverse` at all; it must then raise
      NotImplementedError.
    skip: {name of a check: reason why it cannot hold}; see `tfafs.testing.CHECKS`.
  """

  make: Callable
  event_shape: tuple
  kwargs: Callable = lambda batch_shape, dtype, seed: {}
  unknown_shape: Optional[tuple] = None
  batch_shape: tuple = ()
  sample_x: Callable = _standard_normal
  sample_y: Optional[Callable] = _standard_normal
  jacobian_mask: Optional[np.ndarray] = None
  tolerance: Mapping = dataclasses.field(default_factory=dict)
  difference_step: float = 1e-5
  perturb: float = 0.1
  invertible: bool = True
  skip: Mapping[str, str] = dataclasses.field(default_factory=dict)

  @property
  def event_size(self) -> int:
    """Number of scalars in one event."""
    return int(np.prod(self.event_shape))

  @property
  def directions(self) -> tuple:
    """The directions that can be computed."""
    return (FORWARD, INVERSE) if self.invertible else (FORWARD,)

  @property
  def spec_shape(self) -> tuple:
    """Shape of a `tf.TensorSpec` with all unknown that may be unknown."""
    if self.unknown_shape is not None:
      return self.unknown_shape
    return (None, *self.batch_shape, *self.event_shape)

  def fresh(self, dtype, seed: int = 0):
    """A new bijector, its variables moved at random.

    The global seeds of Python, NumPy and TensorFlow are set, so that a failure repeats.
    """
    tf.keras.utils.set_random_seed(seed)
    bijector = self.make(dtype)
    for i, variable in enumerate(bijector.trainable_variables):
      noise = tf.random.stateless_normal(
        variable.shape, [seed, i], dtype=variable.dtype
      )
      variable.assign_add(self.perturb * noise)
    return bijector

  def shape(self, *sample_shape: int) -> tuple:
    """Shape of an input: samples, the bijector's own batch, the event."""
    return (*sample_shape, *self.batch_shape, *self.event_shape)

  def arguments(self, dtype, *sample_shape: int, seed: int = 0) -> dict:
    """Keyword arguments for inputs of `shape(*sample_shape)`."""
    return self.kwargs((*sample_shape, *self.batch_shape), dtype, seed)

  def x(self, dtype, *sample_shape: int, seed: int = 0):
    """Inputs of `forward`, of `shape(*sample_shape)`."""
    return self.sample_x(self.shape(*sample_shape), dtype, seed)

  def y(self, bijector, dtype, *sample_shape: int, seed: int = 0):
    """Inputs of `inverse`, of `shape(*sample_shape)`."""
    if self.sample_y is not None:
      return self.sample_y(self.shape(*sample_shape), dtype, seed)
    kwargs = self.arguments(dtype, *sample_shape, seed=seed)
    x = self.x(dtype, *sample_shape, seed=seed)
    return tf.identity(bijector.forward(x, **kwargs))

  def point(self, bijector, direction, dtype, *sample_shape: int, seed: int = 0):
    """Inputs of `direction`, "forward" or "inverse"."""
    if direction == FORWARD:
      return self.x(dtype, *sample_shape, seed=seed)
    return self.y(bijector, dtype, *sample_shape, seed=seed)

  def close(self, actual, desired, what: str, dtype=None, factor: float = 1.0):
    """Asserts that two tensors agree within the tolerance of their dtype."""
    actual, desired = tf.convert_to_tensor(actual), tf.convert_to_tensor(desired)
    dtype = dtype or actual.dtype
    tolerance = factor * self.tolerance.get(dtype, _TOLERANCE[dtype])
    np.testing.assert_allclose(
      actual.numpy(), desired.numpy(), tolerance, tolerance, err_msg=what
    )


def evaluate(bijector, direction: str, point, kwargs: Mapping) -> tuple:
  """Value and log-determinant, through copies of `point` so that no cache answers."""
  value = getattr(bijector, direction)(tf.identity(point), **kwargs)
  log_det = getattr(bijector, f"{direction}_log_det_jacobian")(
    tf.identity(point), **kwargs
  )
  return value, log_det
