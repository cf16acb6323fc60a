"""Checks of a bijector's manners: caches, variables, graphs, XLA, saving, composition."""

import pathlib
import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.testing.case import FORWARD, INVERSE, BijectorCase, evaluate

tfb = tfp.bijectors

_LEAST_DIFFERENCE = 1e-6


def _all(case, bijector, x, y, kwargs) -> list:
  """Values and log-determinants of every direction."""
  results = list(evaluate(bijector, FORWARD, x, kwargs))
  if case.invertible:
    results += evaluate(bijector, INVERSE, y, kwargs)
  return results


def _traced(case, bijector, x, y, kwargs) -> list:
  """The same, value and log-determinant of one tensor, so that one may serve the other."""
  results = []
  for direction, point in zip(case.directions, (tf.identity(x), tf.identity(y))):
    results.append(getattr(bijector, direction)(point, **kwargs))
    log_det = getattr(bijector, f"{direction}_log_det_jacobian")
    results.append(log_det(point, **kwargs))
  return results


def _inputs(case, bijector, dtype, *sample_shape):
  kwargs = case.arguments(dtype, *sample_shape)
  x = case.x(dtype, *sample_shape)
  y = case.y(bijector, dtype, *sample_shape) if case.invertible else x
  return x, y, kwargs


def _differ(first, second) -> bool:
  pairs = zip(first, second)
  return all(np.abs(a - b).max() > _LEAST_DIFFERENCE for a, b in pairs)


def check_cache(case: BijectorCase):
  """Two bijectors of equal hyperparameters never answer from each other's cache."""
  dtype = tf.float64
  one, other = case.fresh(dtype, 0), case.fresh(dtype, 1)
  x, y, kwargs = _inputs(case, one, dtype, 2)
  expected = _all(case, other, x, y, kwargs)
  assert _differ(expected[:1], _all(case, one, x, y, kwargs)[:1]), (
    "Two bijectors from `make` agree: give them different weights, or perturb > 0."
  )

  def ask(bijector, x, y):
    """The very same tensors, no copies: here a cache may answer."""
    results = [bijector.forward(x, **kwargs)]
    results.append(bijector.forward_log_det_jacobian(x, **kwargs))
    if case.invertible:
      results.append(bijector.inverse(y, **kwargs))
      results.append(bijector.inverse_log_det_jacobian(y, **kwargs))
    return results

  def ask_both(x, y):
    return ask(one, x, y), ask(other, x, y)

  for how, function in (("eager", ask_both), ("tf.function", tf.function(ask_both))):
    kept, answers = function(x, y)
    for i, (answer, right) in enumerate(zip(answers, expected)):
      case.close(answer, right, f"{how}: result {i} after another bijector's", dtype)
    del kept
  assert one != other, "Two bijectors of different weights are equal (==)."


def check_kwargs(case: BijectorCase):
  """Keyword arguments matter, and are part of the cache's key."""
  dtype = tf.float64
  bijector = case.fresh(dtype)
  x, y, kwargs = _inputs(case, bijector, dtype, 2)
  if not kwargs:
    return
  others = case.arguments(dtype, 2, seed=1)
  expected = _all(case, bijector, x, y, others)
  kept = bijector.forward(x, **kwargs)
  answer = bijector.forward(x, **others)
  case.close(answer, expected[0], "forward of other keyword arguments, same tensor")
  assert _differ([kept], [answer]), "Keyword arguments of another seed change nothing."


def check_variables(case: BijectorCase):
  """All variables exist before the first call; what is computed follows them."""
  dtype = tf.float64
  bijector = case.fresh(dtype)
  count = len(bijector.variables)
  x, y, kwargs = _inputs(case, bijector, dtype, 2)

  @tf.function
  def graph(x, y, kwargs):
    return _traced(case, bijector, x, y, kwargs)

  before = graph(x, y, kwargs)
  assert len(bijector.variables) == count, "Variables were made by the first call."
  if not count:
    return
  for i, variable in enumerate(bijector.trainable_variables):
    noise = tf.random.stateless_normal(variable.shape, [i, 9], dtype=variable.dtype)
    variable.assign_add(0.1 * noise)
  if case.sample_y is None and case.invertible:
    y = case.y(bijector, dtype, 2)
  eager = _all(case, bijector, x, y, kwargs)
  assert _differ(eager[:1], before[:1]), "An update of the variables changes nothing."
  for i, (traced, now) in enumerate(zip(graph(x, y, kwargs), eager)):
    case.close(traced, now, f"result {i} of a traced function after an update")
  if case.invertible:
    again = bijector.inverse(tf.identity(eager[0]), **kwargs)
    case.close(again, x, "round trip after an update")


def _graph_agrees(case, dtype, **options):
  bijector = case.fresh(dtype)
  x, y, kwargs = _inputs(case, bijector, dtype, 3)

  @tf.function(**options)
  def graph(x, y, kwargs):
    with tf.GradientTape() as tape:
      tape.watch(x)
      results = _traced(case, bijector, x, y, kwargs)
      total = tf.add_n([tf.reduce_sum(result) for result in results[:2]])
    return results, tape.gradient(total, [x, *bijector.trainable_variables])

  results, gradients = graph(x, y, kwargs)
  for i, (traced, eager) in enumerate(zip(results, _all(case, bijector, x, y, kwargs))):
    case.close(traced, eager, f"result {i} under tf.function({options}) in {dtype}")
  for gradient in gradients:
    assert gradient is not None, f"A gradient is None under tf.function({options})."
    assert np.all(np.isfinite(tf.convert_to_tensor(gradient))), (
      "A gradient is not finite."
    )


def check_graph(case: BijectorCase):
  """`tf.function` gives what eager mode gives, with gradients, in both dtypes."""
  for dtype in (tf.float32, tf.float64):
    _graph_agrees(case, dtype)


def check_xla(case: BijectorCase):
  """So does `tf.function(jit_compile=True)`."""
  for dtype in (tf.float32, tf.float64):
    _graph_agrees(case, dtype, jit_compile=True)


def check_unknown_shape(case: BijectorCase):
  """One traced function serves inputs of every batch size."""
  dtype = tf.float32
  bijector = case.fresh(dtype)
  _, _, kwargs = _inputs(case, bijector, dtype, 2)
  specs = {
    name: tf.TensorSpec([None] * len(value.shape), value.dtype)
    for name, value in kwargs.items()
  }
  spec = tf.TensorSpec(case.spec_shape, dtype)

  @tf.function(input_signature=[spec, spec, specs])
  def graph(x, y, kwargs):
    return _traced(case, bijector, x, y, kwargs)

  for batch in (1, 4):
    x, y, kwargs = _inputs(case, bijector, dtype, batch)
    expected = _all(case, bijector, x, y, kwargs)
    for i, (traced, eager) in enumerate(zip(graph(x, y, kwargs), expected)):
      case.close(traced, eager, f"result {i}, shape {case.spec_shape}, batch {batch}")


def check_vectorized_map(case: BijectorCase):
  """`tf.vectorized_map` over inputs gives what a batch gives."""
  bijector = case.fresh(tf.float64)
  x, _, kwargs = _inputs(case, bijector, tf.float64, 3)
  expected = bijector.forward(x, **kwargs)
  mapped = tf.vectorized_map(
    lambda pair: bijector.forward(tf.identity(pair[0]), **pair[1]), (x, kwargs)
  )
  case.close(mapped, expected, "vectorized_map of forward")


def check_saving(case: BijectorCase):
  """A checkpoint restores into a new bijector; a SavedModel of functions serves."""
  dtype = tf.float32
  source, target = case.fresh(dtype, 0), case.fresh(dtype, 1)
  x, y, kwargs = _inputs(case, source, dtype, 2)
  expected = _all(case, source, x, y, kwargs)
  with tempfile.TemporaryDirectory() as folder:
    path = tf.train.Checkpoint(bijector=source).save(str(pathlib.Path(folder, "c")))
    status = tf.train.Checkpoint(bijector=target).restore(path)
    status.assert_existing_objects_matched()
    if source.variables:
      for i, (new, old) in enumerate(zip(_all(case, target, x, y, kwargs), expected)):
        case.close(new, old, f"result {i} after a checkpoint was restored")
    module = tf.Module()
    module.bijector = source
    module.run = tf.function(lambda x, y, kwargs: _traced(case, source, x, y, kwargs))
    module.run.get_concrete_function(x, y, kwargs)
    tf.saved_model.save(module, folder)
    loaded = tf.saved_model.load(folder)
  for i, (new, old) in enumerate(zip(loaded.run(x, y, kwargs), expected)):
    case.close(new, old, f"result {i} of the SavedModel")


def check_identity(case: BijectorCase):
  """`copy`, `repr`, `str`, `==`, `hash`, dtypes and shapes."""
  dtype = tf.float32
  bijector = case.fresh(dtype)
  x, y, kwargs = _inputs(case, bijector, dtype, 2)
  expected = _all(case, bijector, x, y, kwargs)
  copy = bijector.copy(name="another_name")
  assert copy.name == "another_name"
  assert len(copy.variables) == len(bijector.variables), "A copy has other variables."
  for i, (new, old) in enumerate(zip(_all(case, copy, x, y, kwargs), expected)):
    case.close(new, old, f"result {i} of a copy")
  assert bijector == bijector
  assert hash(bijector) == hash(bijector)
  assert type(bijector).__name__ in repr(bijector)
  assert type(bijector).__name__ in str(bijector)
  shape = tf.TensorShape(case.event_shape)
  assert bijector.forward_event_shape(shape) == shape
  assert bijector.inverse_event_shape(shape) == shape
  for wrong in (tf.float64, tf.int32):
    assert bijector.forward_dtype(tf.float32) == tf.float32
    try:
      bijector.forward(tf.cast(x, wrong), **kwargs)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError):
      continue
    raise AssertionError(f"A float32 bijector takes inputs of {wrong}.")
  batch = bijector.experimental_batch_shape(len(case.event_shape))
  assert batch == case.batch_shape, f"experimental_batch_shape is {batch}."


def check_composition(case: BijectorCase):
  """`Chain` and `Invert` of it behave, keyword arguments by layer name."""
  dtype = tf.float64
  bijector = case.fresh(dtype)
  x, y, kwargs = _inputs(case, bijector, dtype, 2)
  expected = _all(case, bijector, x, y, kwargs)
  two = tf.constant(2.0, dtype)
  chain = tfb.Chain([tfb.Scale(two), bijector])
  routed = {bijector.name: kwargs} if kwargs else {}
  case.close(
    chain.forward(tf.identity(x), **routed), 2.0 * expected[0], "Chain forward"
  )
  ndims = len(case.event_shape)
  log_det = chain.forward_log_det_jacobian(tf.identity(x), event_ndims=ndims, **routed)
  alone = bijector.forward_log_det_jacobian(tf.identity(x), event_ndims=ndims, **kwargs)
  shift = case.event_size * np.log(2.0)
  case.close(log_det, alone + shift, "Chain forward log-det")
  inverted = tfb.Invert(bijector)
  case.close(
    inverted.inverse(tf.identity(x), **kwargs), expected[0], "Invert(...).inverse"
  )
  if case.invertible:
    case.close(
      inverted.forward(tf.identity(y), **kwargs), expected[2], "Invert(...).forward"
    )
    value = tf.identity(2.0 * expected[0])
    case.close(chain.inverse(value, **routed), x, "Chain inverse")
