"""The conformance checks pass sound bijectors and catch each kind of unsound one."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs import testing

tfb = tfp.bijectors


class Wobble(tfb.Bijector):
  """y = x + weight * tanh(x) / 4 per coordinate, one fault of choice in it."""

  def __init__(self, weight, fault="", parameters=None, name="wobble"):
    parameters = dict(locals()) if parameters is None else parameters
    self._weight, self._fault = weight, fault
    super().__init__(
      forward_min_event_ndims=1, dtype=weight.dtype, parameters=parameters, name=name
    )

  @classmethod
  def _parameter_properties(cls, dtype):
    return {}

  @property
  def _amplitude(self):
    return 0.25 * tf.tanh(self._weight)

  def _forward(self, x):
    slope = self._amplitude
    if self._fault == "gradient":
      slope = tf.stop_gradient(slope)
    if self._fault == "triangular":
      x = x + 0.1 * tf.reverse(x, [-1])
    return x + slope * tf.tanh(x)

  def _inverse(self, y):
    x = y
    for _ in range(20):
      x = y - self._amplitude * tf.tanh(x)
    return x + 1e-3 if self._fault == "inverse" else x

  def _forward_log_det_jacobian(self, x):
    slope = 1.0 + self._amplitude * (1.0 - tf.tanh(x) ** 2)
    log_det = tf.reduce_sum(tf.math.log(slope), -1)
    return 1.01 * log_det if self._fault == "log_det" else log_det


class Collider(Wobble):
  """Makes its variable in the constructor: all instances are equal to the cache."""

  def __init__(self, dtype, name="collider"):
    parameters = dict(locals())
    super().__init__(weights(dtype), parameters=parameters, name=name)


class Late(Wobble):
  """Makes a second variable at the first call."""

  extra = None

  def _forward(self, x):
    if self.extra is None:
      self.extra = tf.Variable(0.5, dtype=x.dtype)
    return super()._forward(x) + 0.0 * self.extra


class Forgetful(Wobble):
  """Reads its weight once, at construction."""

  def __init__(self, weight, name="forgetful"):
    parameters = dict(locals())
    super().__init__(weight, parameters=parameters, name=name)
    self._constant = tf.constant(0.25 * tf.tanh(weight))

  @property
  def _amplitude(self):
    return self._constant


class Deaf(Wobble):
  """Takes a context and does nothing with it."""

  def _forward(self, x, context=None):
    return super()._forward(x)

  def _inverse(self, y, context=None):
    return super()._inverse(y)

  def _forward_log_det_jacobian(self, x, context=None):
    return super()._forward_log_det_jacobian(x)


class Eager(Wobble):
  """Leaves the graph, so that neither XLA nor a SavedModel can follow."""

  def _forward(self, x):
    return tf.ensure_shape(tf.py_function(super()._forward, [x], x.dtype), x.shape)


class OneWay(Wobble):
  """Has no inverse."""

  def _inverse(self, y):
    raise NotImplementedError("OneWay has no inverse.")


def weights(dtype):
  return tf.Variable(tf.ones([3], dtype))


def faulty(fault):
  return lambda dtype: Wobble(weights(dtype), fault)


def fails(make, check, **options):
  with pytest.raises(AssertionError, match=f"checks failed:\n{check}: ") as failure:
    testing.assert_bijector_conforms(make, [3], checks=[check], **options)
  return str(failure.value)


def test_a_sound_bijector_passes_every_check():
  ran = testing.assert_bijector_conforms(faulty(""), [3], jacobian_mask=np.eye(3))
  assert ran == list(testing.CHECKS)


def test_a_scalar_bijector_of_tfp_passes():
  testing.assert_bijector_conforms(
    lambda dtype: tfb.Scale(log_scale=weights(dtype)), [], batch_shape=(3,)
  )


@pytest.mark.parametrize(
  ("make", "check", "says"),
  [
    (faulty("inverse"), "round_trip", "inverse of forward"),
    (faulty("log_det"), "log_det", "against slogdet"),
    (faulty("gradient"), "gradients", "gradients miss the slope"),
    (lambda dtype: Collider(dtype), "cache", "after another bijector's"),
    (lambda dtype: Late(weights(dtype)), "variables", "by the first call"),
    (lambda dtype: Forgetful(weights(dtype)), "variables", "changes nothing"),
    (lambda dtype: Eager(weights(dtype)), "xla", ""),
    (lambda dtype: OneWay(weights(dtype)), "round_trip", "OneWay has no inverse"),
  ],
)
def test_a_fault_is_caught(make, check, says):
  assert says in fails(make, check)


def test_the_cache_collision_is_real():
  """The second of two equal bijectors answers with the first one's value."""
  case = testing.BijectorCase(Collider, (3,))
  one, other = case.fresh(tf.float64, 0), case.fresh(tf.float64, 1)
  x = case.x(tf.float64, 2)
  kept = one.forward(x)
  np.testing.assert_array_equal(other.forward(x), kept)
  assert np.abs(other.forward(tf.identity(x)) - kept).max() > 1e-4


def test_a_broken_promise_of_structure_is_caught():
  message = fails(faulty("triangular"), "jacobian", jacobian_mask=np.eye(3))
  assert "jacobian_mask promises zero" in message


def test_unused_keyword_arguments_are_caught():
  def context(batch_shape, dtype, seed):
    return {"context": tf.random.stateless_normal(batch_shape, [seed, 0], dtype=dtype)}

  make = lambda dtype: Deaf(weights(dtype))  # noqa: E731
  assert "change nothing" in fails(make, "kwargs", kwargs=context)


def test_a_bijector_without_inverse_may_say_so():
  testing.assert_bijector_conforms(
    lambda dtype: OneWay(weights(dtype)), [3], invertible=False
  )
  message = fails(faulty(""), "round_trip", invertible=False)
  assert "declared not invertible" in message


def test_a_skip_needs_a_known_name_and_a_reason():
  with pytest.raises(
    ValueError, match=r"No check is called \['xlb'\]; there are round"
  ):
    testing.assert_bijector_conforms(faulty(""), [3], skip={"xlb": "no"})
  with pytest.raises(ValueError, match="needs a reason"):
    testing.assert_bijector_conforms(faulty(""), [3], skip={"xla": ""})
  ran = testing.assert_bijector_conforms(
    faulty(""), [3], checks=["xla", "event_ndims"], skip={"xla": "a reason"}
  )
  assert ran == ["event_ndims"]


def test_all_failures_are_told_at_once():
  with pytest.raises(AssertionError, match="2 of 2 checks failed:\nround_trip: ") as e:
    testing.assert_bijector_conforms(
      faulty("inverse"), [3], checks=["round_trip", "composition"]
    )
  assert "\ncomposition: " in str(e.value)
