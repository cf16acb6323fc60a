"""Numeric inverse of maps that are triangular and increasing: parallel Newton.

A map f from R^D to R^D is autoregressive and increasing if output i depends on inputs 1
to i and grows with input i. Then f(x) = y has at most one solution, and it can be found
one component after the other, each by the root of a scalar function. To do all of that
in few evaluations of f, every evaluation moves all components of all data at once, each
by its own Newton step. The first component that has not settled has all it depends on
at rest, so its root can be bracketed: there a step that leaves the bracket, or that did
not halve the residual, becomes a bisection. Every component becomes the first in its
turn, mostly with a start close to its root: convergence is certain, and fast.
"""

from typing import Callable, NamedTuple, Optional

import numpy as np
import tensorflow as tf

MAX_STEP = 4.0
"""Longest first step of a component; doubles while it is too short in one direction."""
FARTHEST = 1e18
"""Components beyond this have no solution: the map is bounded there."""


class InverseReport(NamedTuple):
  """A solution of f(x) = y and how it was found.

  Attributes:
    value: [..., D], x; NaN for data without a solution.
    residual: [...], largest |f(x) - y| of a datum.
    found: bool [...], whether a datum has its solution.
    num_calls: int32 scalar, evaluations of f.
  """

  value: tf.Tensor
  residual: tf.Tensor
  found: tf.Tensor
  num_calls: tf.Tensor


class _State(NamedTuple):
  """Of the iteration; all but `calls` are [..., D].

  Attributes:
    calls: Evaluations of f so far.
    x: Where f is evaluated next.
    lower: Largest component known to be too small, of the first that is unsettled.
    upper: Smallest known to be too large.
    difference: f(x) - y at the last x.
    max_step: Longest step that is taken.
    settled: Whether the component is solved, with all before it.
    failed: Whether the component, or one before it, has no solution.
  """

  calls: tf.Tensor
  x: tf.Tensor
  lower: tf.Tensor
  upper: tf.Tensor
  difference: tf.Tensor
  max_step: tf.Tensor
  settled: tf.Tensor
  failed: tf.Tensor


def solve(
  function: Callable,
  y,
  start=None,
  tolerance: Optional[float] = None,
  max_calls: Optional[int] = None,
) -> InverseReport:
  """Solves f(x) = y for an autoregressive increasing map. Not differentiable.

  Args:
    function: From x [..., D] to a pair: f(x), and the logarithm of the diagonal of its
      Jacobian, both [..., D].
    y: [..., D], static D.
    start: [..., D], where to start; y by default.
    tolerance: A component is solved if its Newton step is at most `tolerance * (1 +
      |x|)` and |f(x) - y| at most `tolerance * (1 + |y|)`, or if rounding allows no
      better. By default 2e-6 in float32, 1e-12 in float64.
    max_calls: Evaluations of f after which to give up; 100 (D + 1) by default.

  Returns:
    An `InverseReport`.
  """
  y = tf.convert_to_tensor(y)
  size = y.shape[-1]
  numbers = np.finfo(y.dtype.as_numpy_dtype)
  if tolerance is None:
    tolerance = 2e-6 if y.dtype == tf.float32 else 1e-12
  if max_calls is None:
    max_calls = 100 * (size + 1)
  infinity = tf.fill(tf.shape(y), tf.constant(np.inf, y.dtype))
  x = y if start is None else tf.broadcast_to(start, tf.shape(y))
  # A datum that is not finite is given up; it must not hold up the others.
  hopeless = tf.reduce_any(~tf.math.is_finite(y), -1, keepdims=True)
  state = _State(
    calls=tf.constant(0),
    x=tf.where(tf.math.is_finite(x), x, 0.0),
    lower=-infinity,
    upper=infinity,
    difference=infinity,
    max_step=tf.fill(tf.shape(y), tf.constant(MAX_STEP, y.dtype)),
    settled=tf.zeros(tf.shape(y), tf.bool),
    failed=tf.broadcast_to(hopeless, tf.shape(y)),
  )

  def unfinished(*state):
    state = _State(*state)
    done = state.settled | state.failed
    return (state.calls < max_calls) & ~tf.reduce_all(done)

  def step(*state):
    return _step(function, y, _State(*state), tolerance, float(numbers.eps))

  # Shapes may lose what is static of them on the way through `function`.
  shapes = _State(tf.TensorShape([]), *[y.shape] * (len(_State._fields) - 1))
  state = _State(
    *tf.while_loop(unfinished, step, tuple(state), shape_invariants=tuple(shapes))
  )
  found = tf.reduce_all(state.settled & ~state.failed, -1)
  return InverseReport(
    value=tf.where(found[..., None], state.x, tf.constant(np.nan, y.dtype)),
    residual=tf.reduce_max(tf.abs(state.difference), -1),
    found=found,
    num_calls=state.calls,
  )


def _step(function, y, state, tolerance, eps):
  """One evaluation of f, and where to evaluate it next."""
  x = state.x
  value, log_diagonal = function(x)
  difference = value - y
  residual = tf.abs(difference)
  newton = difference * tf.exp(-log_diagonal)
  # The first unsettled component of each datum: all before it are at rest.
  before = tf.math.cumprod(tf.cast(state.settled, x.dtype), -1, exclusive=True) > 0
  first = before & ~state.settled
  lower = tf.where(first & (difference < 0), tf.maximum(state.lower, x), state.lower)
  upper = tf.where(first & (difference > 0), tf.minimum(state.upper, x), state.upper)
  scale = 1.0 + tf.abs(x)
  solved = tf.abs(newton) <= tolerance * scale
  solved &= residual <= tolerance * (1.0 + tf.abs(y))
  # Rounding may keep the residual up for good.
  solved |= residual <= 2.0 * eps * (1.0 + tf.abs(y))
  solved |= (tf.abs(newton) <= eps * scale) | (upper - lower <= 4.0 * eps * scale)
  # All that have become solved in a row settle at once.
  settled = tf.math.cumprod(tf.cast(state.settled | solved, x.dtype), -1) > 0
  onward = tf.sign(difference) == tf.sign(state.difference)
  factor = tf.where(onward, tf.constant(2.0, x.dtype), tf.constant(0.25, x.dtype))
  max_step = tf.maximum(factor * state.max_step, MAX_STEP)
  max_step = tf.where(tf.abs(newton) > state.max_step, max_step, state.max_step)
  cut = tf.clip_by_value(newton, -max_step, max_step)
  # Where f overflows there is nothing to go by: back towards the origin.
  target = tf.where(tf.math.is_finite(cut), x - cut, 0.5 * x)
  bracketed = tf.math.is_finite(lower) & tf.math.is_finite(upper)
  bisect = (target <= lower) | (target >= upper)
  bisect |= residual > 0.5 * tf.abs(state.difference)
  middle = 0.5 * tf.where(bracketed, lower, 0.0) + 0.5 * tf.where(bracketed, upper, 0.0)
  target = tf.where(first & bracketed & bisect, middle, target)
  failed = first & ~settled & (tf.abs(target) > FARTHEST)
  failed = tf.reduce_any(state.failed | failed, -1, keepdims=True)
  return (
    state.calls + 1,
    tf.where(settled | failed, x, target),
    lower,
    upper,
    difference,
    max_step,
    settled,
    tf.broadcast_to(failed, tf.shape(x)),
  )


def with_gradient(solution, function: Callable, y):
  """Attaches the derivatives of the inverse to a solution, by implicit differentiation.

  With J the Jacobian of f, lower triangular, dx = J^-1 (dy - df) where df is the change
  of f at fixed x with whatever it depends on. So gradients flow to y and to all that
  `function` reads; J is only computed if they are asked for, by D products of a vector
  with it, and any order of derivatives is right.

  Args:
    solution: [..., D], x with f(x) = y.
    function: As in `solve`; evaluated once more.
    y: [..., D], static D.

  Returns:
    `solution`, differentiable.
  """
  solution = tf.stop_gradient(solution)
  difference = function(solution)[0] - y
  return solution - _inverse_jacobian_gradient(solution, function, y, difference)


def _inverse_jacobian_gradient(solution, function, y, difference):
  """Zeros [..., D] whose derivative for `difference` is the inverse of f's Jacobian."""

  @tf.custom_gradient
  def zeros(difference):
    def gradient(upstream):
      # Differentiable itself, if a second derivative is wanted.
      x = solution - _inverse_jacobian_gradient(solution, function, y, difference)
      jacobian = _jacobian(function, x)
      return tf.linalg.triangular_solve(
        jacobian, upstream[..., None], lower=True, adjoint=True
      )[..., 0]

    return tf.zeros_like(difference), gradient

  return zeros(difference)


def _jacobian(function, x):
  """Jacobian of f, [..., D, D], rows are outputs."""
  size = x.shape[-1]
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    value = function(x)[0]
  basis = tf.eye(size, dtype=x.dtype)
  rows = tf.vectorized_map(
    lambda row: tape.gradient(value, x, tf.broadcast_to(row, tf.shape(value))), basis
  )
  rank = rows.shape.rank
  return tf.transpose(rows, [*range(1, rank - 1), 0, rank - 1])
