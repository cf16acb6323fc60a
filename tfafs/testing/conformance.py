"""`assert_bijector_conforms`: one call that tests a bijector against TFP's contract."""

from collections.abc import Iterable
from typing import Callable, Optional

from tfafs.testing import citizenship, mathematics
from tfafs.testing.case import BijectorCase

CHECKS: dict[str, Callable[[BijectorCase], None]] = {
  "round_trip": mathematics.check_round_trip,
  "log_det": mathematics.check_log_det,
  "jacobian": mathematics.check_jacobian,
  "gradients": mathematics.check_gradients,
  "low_precision": mathematics.check_low_precision,
  "event_ndims": mathematics.check_event_ndims,
  "scalar": mathematics.check_scalar,
  "sample_log_prob": mathematics.check_sample_log_prob,
  "cache": citizenship.check_cache,
  "kwargs": citizenship.check_kwargs,
  "variables": citizenship.check_variables,
  "graph": citizenship.check_graph,
  "xla": citizenship.check_xla,
  "unknown_shape": citizenship.check_unknown_shape,
  "vectorized_map": citizenship.check_vectorized_map,
  "saving": citizenship.check_saving,
  "identity": citizenship.check_identity,
  "composition": citizenship.check_composition,
}


def check(case: BijectorCase, name: str) -> None:
  """Runs one of `CHECKS` on `case`, skip or no skip.

  Raises:
    AssertionError: If the bijector does not conform.
    ValueError: If `name` is not a check.
  """
  if name not in CHECKS:
    raise ValueError(f"No check is called {name!r}; there are {', '.join(CHECKS)}.")
  CHECKS[name](case)


def assert_bijector_conforms(
  make: Callable,
  event_shape: tuple,
  *,
  checks: Optional[Iterable[str]] = None,
  **options,
) -> list[str]:
  """Asserts that a bijector keeps the contract of TensorFlow Probability's bijectors.

  Round trips both ways (through copies, so that no cache answers), log-determinants
  against `slogdet` of the Jacobian in float64, gradients against differences, no
  answers from another instance's cache, variables that exist at once and are followed,
  keyword arguments, event_ndims above the minimum, batch and unknown shapes, float32
  and float64, eager, `tf.function`, XLA, `tf.vectorized_map`, checkpoint, SavedModel,
  copies, `Chain`, `Invert`, `TransformedDistribution`, `cdf` and `quantile`.

      def make(dtype):
        return tfb.Scale(tf.Variable(tf.ones([3], dtype)))

      assert_bijector_conforms(make, event_shape=[3])

  Args:
    make: `make(dtype)` returns a fresh bijector of that dtype with variables of its own.
    event_shape: Shape of one event; of small size.
    checks: Names of the checks to run, all of `CHECKS` by default.
    **options: The other fields of `BijectorCase`, by keyword.

  Returns:
    The names of the checks that were run; those in `skip` were not.

  Raises:
    AssertionError: Names each check that failed and how.
    ValueError: If a name in `checks` or `skip` is not that of a check, or a reason
      in `skip` is empty.
  """
  case = BijectorCase(make, tuple(event_shape), **options)
  names = list(CHECKS if checks is None else checks)
  unknown = {*names, *case.skip} - set(CHECKS)
  if unknown:
    raise ValueError(
      f"No check is called {sorted(unknown)}; there are {', '.join(CHECKS)}."
    )
  if not all(case.skip.values()):
    raise ValueError("skip needs a reason for each check: {name: reason}.")
  names = [name for name in names if name not in case.skip]
  failures = []
  for name in names:
    try:
      CHECKS[name](case)
    except Exception as error:  # A check that cannot run is a failure like any other.
      failures.append(f"{name}: {type(error).__name__}: {error}")
  if failures:
    raise AssertionError(
      f"{len(failures)} of {len(names)} checks failed:\n" + "\n".join(failures)
    )
  return names
