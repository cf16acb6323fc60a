"""Exact convolutions against integer arithmetic of NumPy, and as layers that learn."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfafs.layers import exact_convolution

LIMIT = exact_convolution.LIMIT


def layer_of(stride=1, size=3, inputs=4, filters=5, exponents=(-3, -3), high=LIMIT):
  layer = exact_convolution.ExactConv2D(filters, size, stride, exponents, high, "conv")
  layer.build([None, None, None, inputs])
  return layer


def integers_of(rng, *shape):
  return rng.integers(-LIMIT, LIMIT + 1, shape).astype(np.float32)


def expected_sums(x, kernel, stride):
  """Convolution in int64, tap by tap, with "same" padding."""
  x, kernel = x.astype(np.int64), kernel.astype(np.int64)
  side = kernel.shape[0]
  batch, height, width, _ = x.shape
  if stride == 1:
    before = (side - 1) // 2
    padded = np.pad(x, [(0, 0), (before, side), (before, side), (0, 0)])
    sums = np.zeros([batch, height, width, kernel.shape[3]], np.int64)
    for i in range(side):
      for j in range(side):
        window = padded[:, i : i + height, j : j + width]
        sums += window @ kernel[i, j]
    return sums
  # A transposed convolution adds a kernel around each input.
  before = (side - stride) // 2
  sums = np.zeros(
    [batch, stride * height + side, stride * width + side, kernel.shape[2]], np.int64
  )
  for y in range(height):
    for x_ in range(width):
      added = np.einsum("bc,ijoc->bijo", x[:, y, x_], kernel)
      sums[:, stride * y : stride * y + side, stride * x_ : stride * x_ + side] += added
  return sums[:, before : before + stride * height, before : before + stride * width]


def expected(layer, x, stride):
  kernel, bias, step = layer.freeze()
  sums = expected_sums(x, kernel, stride) + bias.astype(np.int64)
  assert np.abs(sums).max() < 2**24
  # NumPy rounds ties to even as well.
  return np.clip(np.round(sums * step.astype(np.float64)), 0, LIMIT)


@settings(deadline=None, max_examples=25)
@given(
  seed=st.integers(0, 2**31),
  scale=st.floats(-12, 12),
  spread=st.floats(0, 6),
  stride=st.sampled_from([1, 2]),
  size=st.sampled_from([3, 5]),
  exponents=st.tuples(st.integers(-4, 0), st.integers(-6, 0)),
)
def test_is_integer_arithmetic(seed, scale, spread, stride, size, exponents):
  """For weights of any size, and of very different ones from filter to filter."""
  rng = np.random.default_rng(seed)
  layer = layer_of(stride, size, exponents=exponents)
  weights = rng.normal(size=layer.kernel.shape) * 2.0**scale
  per_filter = 2.0 ** rng.uniform(-spread, spread, 5)
  weights *= per_filter[:, None] if stride > 1 else per_filter
  layer.kernel.assign(weights)
  layer.bias.assign(rng.normal(size=5) * 2.0**scale)
  x = integers_of(rng, 2, 5, 4, 4)
  np.testing.assert_array_equal(layer(x), expected(layer, x, stride))


@pytest.mark.parametrize("stride", [1, 2])
def test_the_largest_sums_there_can_be_are_exact(stride):
  """Wide layers whose products all have one sign reach their bound, not past it."""
  layer = layer_of(stride, 5, inputs=192, filters=2)
  layer.kernel.assign(np.full(layer.kernel.shape, 0.37))
  layer.bias.assign([50.0, -50.0])
  x = np.full([1, 6, 6, 192], LIMIT, np.float32)
  sums = expected_sums(x, layer.freeze().kernel, stride)
  assert 2**22 < sums.max() < 2**24
  np.testing.assert_array_equal(layer(x), expected(layer, x, stride))


def test_the_order_of_the_sum_does_not_matter_as_it_does_for_real_weights():
  rng = np.random.default_rng(0)
  layer = layer_of(inputs=192, filters=8)
  x = integers_of(rng, 1, 8, 8, 192)
  order = rng.permutation(192)
  kernel, bias, step = layer.freeze()
  shuffled = exact_convolution.Integers(kernel[:, :, order], bias, step)
  np.testing.assert_array_equal(layer(x), layer(x[..., order], integers=shuffled))
  real = layer.kernel.numpy()
  here, there = (
    tf.nn.conv2d(a, b, 1, "SAME")
    for a, b in ((x, real), (x[..., order], real[:, :, order]))
  )
  assert np.any(here != there)


@pytest.mark.parametrize("stride", [1, 2])
def test_frozen_integers_give_what_the_weights_give(stride):
  layer, rng = layer_of(stride), np.random.default_rng(0)
  x = integers_of(rng, 1, 5, 5, 4)
  outside, frozen = layer(x), layer.freeze()
  for jit in (False, True):
    call = tf.function(lambda x: layer(x, integers=frozen), jit_compile=jit)
    np.testing.assert_array_equal(outside, call(x))
  layer.kernel.assign(layer.kernel + 0.5)
  np.testing.assert_array_equal(outside, layer(x, integers=frozen))
  assert np.any(outside != layer(x))


@pytest.mark.parametrize("stride", [1, 2])
def test_is_near_the_convolution_of_the_real_weights(stride):
  rng = np.random.default_rng(0)
  layer = layer_of(stride, inputs=32, filters=16)
  x = rng.integers(-60, 61, [1, 8, 8, 32]).astype(np.float32)
  real = x / 8
  if stride == 1:
    sums = tf.nn.conv2d(real, layer.kernel, 1, "SAME")
  else:
    sums = tf.nn.conv2d_transpose(real, layer.kernel, [1, 16, 16, 16], 2, "SAME")
  wanted = np.clip(sums, 0, LIMIT / 8)
  error = np.sqrt(np.mean((layer(x) / 8 - wanted) ** 2))
  # An eighth is the unit, and its rounding error alone is a twelfth of that, squared.
  assert error < 0.75 / 8
  assert wanted.std() > 30 * error


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_are_those_of_the_real_convolution(stride):
  rng = np.random.default_rng(1)
  layer = layer_of(stride, inputs=8, filters=3, high=LIMIT)
  layer.bias.assign([9.0, 9.0, 9.0])
  x = tf.constant(rng.integers(-9, 10, [1, 4, 4, 8]), tf.float32)
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    out = layer(x)
    if stride == 1:
      sums = tf.nn.conv2d(x / 8, layer.kernel, 1, "SAME")
    else:
      sums = tf.nn.conv2d_transpose(x / 8, layer.kernel, [1, 8, 8, 3], 2, "SAME")
    real = sums + layer.bias
    weight = tf.constant(rng.normal(size=out.shape), tf.float32)
    mine, theirs = (tf.reduce_sum(weight * y) for y in (out / 8, real))
  assert out.numpy().min() > 0 and out.numpy().max() < LIMIT
  for source in (layer.kernel, layer.bias, x):
    here, there = (tape.gradient(y, source).numpy() for y in (mine, theirs))
    np.testing.assert_allclose(here, there, atol=0.02 * np.abs(there).max())


@pytest.mark.parametrize("stride", [1, 2])
def test_probe_has_the_answers_of_integer_arithmetic_and_reaches_the_bound(stride):
  layer = layer_of(stride, 5, inputs=64, filters=6)
  # Large weights of one sign in one filter: the probe has to find it.
  layer.kernel.assign(tf.abs(layer.kernel) if stride == 1 else -tf.abs(layer.kernel))
  integers = layer.freeze()
  inputs, outputs = layer.probe(integers)
  np.testing.assert_array_equal(outputs, expected(layer, inputs, stride))
  np.testing.assert_array_equal(layer(inputs, integers=integers), outputs)
  assert np.abs(expected_sums(inputs, integers.kernel, stride)).max() > 2**22


@pytest.mark.parametrize("field", ["kernel", "bias", "step"])
def test_freeze_asserts_what_exactness_needs(field, monkeypatch):
  layer = layer_of()
  integers = layer.freeze()
  spoilt = integers._replace(**{field: getattr(integers, field) * 0.7 + 0.01})
  monkeypatch.setattr(layer, "_numbers", lambda: spoilt)
  with pytest.raises(AssertionError, match=r"integers|powers of two"):
    layer.freeze()


def test_learns_from_a_start_at_zero():
  rng = np.random.default_rng(0)
  layer = layer_of(inputs=6, filters=1, exponents=(-3, -5), high=63)
  layer.kernel.assign(tf.zeros_like(layer.kernel))
  layer.bias.assign([20 / 32])
  x = integers_of(rng, 8, 8, 8, 6) // 4
  wanted = 20 + x[..., :1] / 8
  optimizer = tf.keras.optimizers.legacy.Adam(2e-3)
  for _ in range(300):
    with tf.GradientTape() as tape:
      error = tf.reduce_mean(tf.math.squared_difference(layer(x), wanted))
    optimizer.apply_gradients(
      zip(tape.gradient(error, layer.trainable_variables), layer.trainable_variables)
    )
  assert error < 0.5 < np.var(wanted)


def test_refuses_what_cannot_be_exact():
  with pytest.raises(ValueError, match="fewer channels"):
    layer_of(size=5, inputs=4000)
  layer = layer_of()
  layer.kernel.assign(layer.kernel * np.nan)
  with pytest.raises(ValueError, match="NaN or infinite"):
    layer.freeze()


def test_an_offset_is_added_before_the_clip():
  layer = layer_of(inputs=4, filters=5, high=63)
  x = integers_of(np.random.default_rng(1), 2, 6, 7, 4)
  kernel, bias, step = layer.freeze()
  sums = expected_sums(x, kernel, 1) + bias.astype(np.int64)
  offset = np.arange(-4, 6, dtype=np.float32).reshape(2, 1, 1, 5) * 6
  outputs = layer(x, integers=layer.freeze(), offset=tf.constant(offset))
  rounded = np.round(sums * step.astype(np.float64))
  np.testing.assert_array_equal(outputs, np.clip(rounded + offset, 0, 63))
  assert np.any((rounded < 0) & (rounded + offset > 0))


@pytest.mark.parametrize("stride", [1, 2])
def test_without_rounding_it_is_the_layer_of_its_real_weights(stride):
  exact = layer_of(stride)
  real = exact_convolution.ExactConv2D(
    5, 3, stride, (-3, -3), LIMIT, "real", exact=False
  )
  real.build([None, None, None, 4])
  real.set_weights(exact.get_weights())
  x = integers_of(np.random.default_rng(0), 2, 6, 7, 4)
  always = exact(x)
  with exact_convolution.rounding(tf.constant(False)):
    np.testing.assert_allclose(exact(x), real(x), rtol=1e-4, atol=1e-3)
  with exact_convolution.rounding(tf.constant(True)):
    np.testing.assert_array_equal(exact(x), always)
  assert np.any(real(x) != always)
  np.testing.assert_array_equal(exact(x), always)
