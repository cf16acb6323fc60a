"""Fixed points of autoregressive maps: iterate until nothing moves, D passes at most."""

from typing import Callable, NamedTuple, Optional, Union

import numpy as np
import tensorflow as tf


class FixedPoint(NamedTuple):
  """A solution and what it took.

  Attributes:
    value: Tensor like `start`.
    passes: int32 scalar, the number of times that the map was computed.
  """

  value: tf.Tensor
  passes: tf.Tensor


def solve(
  step: Callable,
  start,
  max_passes: Union[int, tf.Tensor],
  tolerance: Optional[float] = None,
) -> FixedPoint:
  """The `value` with `step(value) = value`, where each pass settles one more dimension.

  `step` must be autoregressive: in some order of D dimensions, dimension i of its result
  depends on the dimensions before i only. Then D passes from anywhere give the solution
  (dimension i is right once those before it are), and fewer where the dependence is weak:
  the iteration ends when a pass moves nothing by more than `tolerance`, all examples of
  the batch taken together.

  Gradients are those of the solution, by the implicit function theorem, first order
  only (the second order raises NotImplementedError): the adjoint equation is again
  autoregressive and solved the same way. Nothing of the iteration is kept for them.

  Args:
    step: Function from a tensor to one of its shape; may capture what gradients go to.
    start: Tensor, the first guess.
    max_passes: Number of dimensions D, which is the largest number of passes.
    tolerance: Largest move that counts as none, relative to 1 + |value|; by default 4
      times the spacing of floating point numbers at 1.

  Returns:
    A `FixedPoint`.
  """
  start = tf.convert_to_tensor(start)
  if tolerance is None:
    tolerance = 4.0 * float(np.finfo(start.dtype.as_numpy_dtype).eps)
  # One pass is kept for the end, where gradients are recorded.
  guess, passes = _iterate(step, tf.stop_gradient(start), max_passes - 1, tolerance)
  guess = tf.stop_gradient(guess)
  value = _with_adjoint(step, guess, max_passes, tolerance)(step(guess))
  return FixedPoint(value, passes + 1)


def _iterate(step, start, max_passes, tolerance) -> FixedPoint:
  """Passes without gradients until nothing moves, `max_passes` at most."""

  def body(value, _, passes):
    new = tf.stop_gradient(step(value))
    new.set_shape(value.shape)
    # Not-a-number moves nothing: it would never settle.
    moved = tf.reduce_any(tf.abs(new - value) > tolerance * (1.0 + tf.abs(new)))
    return new, moved, passes + 1

  value, _, passes = tf.while_loop(
    lambda value, moved, passes: moved,
    body,
    (start, tf.constant(True), tf.constant(0)),
    maximum_iterations=max_passes,
  )
  return FixedPoint(value, passes)


def _with_adjoint(step, point, max_passes, tolerance):
  """An identity whose gradient v becomes the solution a of `a = v + J^T a`.

  J is the Jacobian of `step` at `point`; with v the gradient to the fixed point, a is
  that to `step`'s result while `step`'s argument stays.
  """

  @tf.custom_gradient
  def attach(value):
    def gradient(upstream):
      def adjoint_step(adjoint):
        with tf.GradientTape() as tape:
          tape.watch(point)
          result = step(point)
        back = tape.gradient(
          result, point, adjoint, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return upstream + back

      # The adjoint's scale is the upstream's, not 1.
      scale = tf.reduce_max(tf.abs(upstream))
      scale = tf.where(scale > 0.0, scale, tf.ones_like(scale))
      upstream = upstream / scale
      adjoint, _ = _iterate(adjoint_step, upstream, max_passes - 1, tolerance)
      return _first_order_only(adjoint * scale, value)

    return tf.identity(value), gradient

  return attach


@tf.custom_gradient
def _first_order_only(adjoint, value):
  """`adjoint`; refuses what would be silently wrong, derivatives of the derivative."""

  def refuse(*_):
    raise NotImplementedError(
      "Sampling an autoregressive flow has first-order gradients only. Differentiate the "
      "inverse, which has all orders, or the density of the sample."
    )

  del value  # Makes the result depend on what is differentiated.
  return tf.identity(adjoint), refuse
