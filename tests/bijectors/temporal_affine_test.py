"""The temporal affine transform against loops, differences and longer sequences."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors.temporal_affine import TemporalAffineAutoregressive
from tfafs.layers import temporal_networks as networks

tfd = tfp.distributions
F64 = tf.float64


def normal(*shape, seed=0, dtype=F64):
  return tf.random.stateless_normal(shape, [seed, 0], dtype=dtype)


def dense(frame_shape=(2,), dtype=F64, **options):
  options = {"hidden_units": [6], "activation": "tanh", **options}
  return networks.DenseTemporalNetwork(
    frame_shape, head_initializer="glorot_normal", dtype=dtype, **options
  )


def recurrent(frame_shape=(2,), dtype=F64, **options):
  return networks.RecurrentTemporalNetwork(
    frame_shape, units=[4, 3], head_initializer="glorot_normal", dtype=dtype, **options
  )


def convolutional(dtype=F64, **options):
  options = {"filters": 3, "encoder_layers": 1, "fusion_layers": 1, **options}
  return networks.ConvolutionalTemporalNetwork(
    2, head_initializer="glorot_normal", dtype=dtype, **options
  )


NETWORKS = {
  "dense": (dense, (2,)),
  "dense, frames of rank 2": (lambda: dense((2, 3), predict_change=True), (2, 3)),
  "dense, frames of rank 0": (lambda: dense((), window=2), ()),
  "lstm": (recurrent, (2,)),
  "gru": (lambda: recurrent((3, 1), cell="gru", window=2), (3, 1)),
  "convolutional": (convolutional, (3, 4, 2)),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def make(name, **options):
  tf.keras.utils.set_random_seed(0)
  network, frame_shape = NETWORKS[name]
  return TemporalAffineAutoregressive(network(), **options), frame_shape


def inverse(bijector, x, **kwargs):
  """Noise and log-determinant, not from the cache."""
  y = bijector.inverse(tf.identity(x), **kwargs)
  return y, bijector.inverse_log_det_jacobian(tf.identity(x), **kwargs)


def forward(bijector, y, **kwargs):
  x = bijector.forward(tf.identity(y), **kwargs)
  return x, bijector.forward_log_det_jacobian(tf.identity(y), **kwargs)


def assert_close(actual, desired, tolerance=1e-12):
  np.testing.assert_allclose(actual, desired, tolerance, tolerance)


@pytest.mark.parametrize("frame_shape", [(), (3,), (4, 5, 3)])
def test_last_frame_and_scale_1_is_frame_differencing(frame_shape):
  bijector = TemporalAffineAutoregressive(
    lambda frames: (frames, None), window=1, event_ndims=1 + len(frame_shape)
  )
  x = normal(2, 6, *frame_shape)
  y, log_det = inverse(bijector, x)
  zeros = np.zeros([2, 1, *frame_shape])
  assert_close(y, np.diff(x, axis=1, prepend=zeros))
  assert_close(forward(bijector, y)[0], np.cumsum(y, 1))
  np.testing.assert_array_equal(log_det, np.zeros(2))
  y, _ = inverse(bijector, x[:, 1:], context=x[:, :1])
  assert_close(y, np.diff(x, axis=1))


def test_first_and_second_differences_by_window():
  """A window of 2 extrapolates a line: what is left are second differences."""

  def line(frames):
    return 2 * frames[..., 1:, :] - frames[..., :-1, :], 0.0

  bijector = TemporalAffineAutoregressive(line, window=2)
  x = normal(7, 3)
  y, _ = inverse(bijector, x[2:], context=x[:2])
  assert_close(y, np.diff(x, n=2, axis=0))


def test_both_directions_are_those_of_a_plain_loop():
  """Each frame by itself, from a window that is put together by hand."""
  network = dense(window=3)
  bijector = TemporalAffineAutoregressive(network, max_scale=1.2)
  y = normal(5, 2).numpy()
  frames, present, total = [np.zeros(2)] * 3, [False] * 3, 0.0
  for noise in y:
    window = tf.constant(np.stack(frames[-3:]))
    shift, log_scale = network(window, present=tf.constant(present[-3:]))
    scale = np.minimum(np.exp(log_scale[0]), 1.2)
    frames.append(shift[0].numpy() + scale * noise)
    present.append(True)
    total += np.log(scale).sum()
  x, log_det = forward(bijector, y)
  assert_close(x, frames[3:])
  assert_close(log_det, total)
  y_again, opposite = inverse(bijector, x)
  assert_close(y_again, y)
  assert_close(opposite, -total)


@every_network
def test_sampling_then_density(name):
  """The step path and the parallel path are one map, with context and lengths."""
  bijector, frame_shape = make(name)
  y = normal(3, 4, *frame_shape)
  for kwargs in (
    {},
    {"lengths": [4, 1, 0]},
    {"context": normal(3, 2, *frame_shape, seed=1), "lengths": [2, 4, 3]},
  ):
    x, log_det = forward(bijector, y, **kwargs)
    assert np.abs(x - y).max() > 0.01
    y_again, opposite = inverse(bijector, x, **kwargs)
    assert_close(y_again, y)
    assert_close(opposite, -log_det)


@every_network
def test_predictions_are_what_is_taken_out(name):
  bijector, frame_shape = make(name)
  x, kwargs = normal(2, 4, *frame_shape), {"context": normal(2, *frame_shape, seed=1)}
  for more in ({}, {"lengths": [4, 2]}):
    shift, log_scale = bijector.predict(x, **kwargs, **more)
    y, log_det = inverse(bijector, x, **kwargs, **more)
    valid = 2 if more else 4
    rest = (x - shift) * tf.exp(-log_scale)
    assert_close(y[:, :valid], rest[:, :valid])
    assert_close(tf.reduce_sum(tf.reshape(log_scale, [2, -1]), 1), -log_det)


@every_network
def test_unrolled_is_the_loop(name):
  network, frame_shape = NETWORKS[name]
  network = network()
  loop, unrolled = (
    TemporalAffineAutoregressive(network, unroll_loop=unroll)
    for unroll in (False, True)
  )
  y = normal(3, 4, *frame_shape)
  kwargs = {"context": normal(1, *frame_shape, seed=1), "lengths": [4, 2, 0]}
  for one, other in zip(forward(loop, y, **kwargs), forward(unrolled, y, **kwargs)):
    assert_close(one, other)
  spec = tf.TensorSpec([None, None, *frame_shape], F64)
  with pytest.raises(ValueError, match="unroll_loop needs a known number"):
    tf.function(unrolled.forward).get_concrete_function(spec)


@every_network
def test_context_is_the_beginning_of_a_longer_event(name):
  bijector, frame_shape = make(name)
  x = normal(2, 6, *frame_shape)
  whole, total = inverse(bijector, x)
  for k in (1, 2, 4):
    first, log_det_first = inverse(bijector, x[:, :k])
    rest, log_det_rest = inverse(bijector, x[:, k:], context=x[:, :k])
    assert_close(tf.concat([first, rest], 1), whole)
    assert_close(log_det_first + log_det_rest, total)
    again, _ = forward(bijector, rest, context=x[:, :k])
    assert_close(again, x[:, k:])


@every_network
def test_what_is_beyond_the_length_does_not_matter(name):
  bijector, frame_shape = make(name)
  x = normal(3, 5, *frame_shape)
  lengths = [5, 2, 0]
  valid = np.arange(5) < np.array(lengths)[:, None]
  padded = tf.where(valid.reshape([3, 5] + [1] * len(frame_shape)), x, 1e3)
  y, log_det = inverse(bijector, padded, lengths=lengths)
  for i, n in enumerate(lengths):
    if n:
      short, log_det_short = inverse(bijector, x[i, :n])
      assert_close(y[i, :n], short)
      assert_close(log_det[i], log_det_short)
    np.testing.assert_array_equal(y[i, n:], padded[i, n:])
  assert log_det[2] == 0
  masked, log_det_masked = inverse(bijector, padded, mask=tf.constant(valid))
  np.testing.assert_array_equal(masked, y)
  np.testing.assert_array_equal(log_det_masked, log_det)


@every_network
def test_no_frame_depends_on_a_masked_one(name):
  """Also when it is in the middle, and holds no number; gradients stay finite."""
  bijector, frame_shape = make(name)
  mask = tf.constant([True, False, True, True])
  x = tf.Variable(normal(4, *frame_shape))
  with tf.GradientTape() as tape:
    y = bijector.inverse(x, mask=mask)
    loss = tf.reduce_sum(tf.boolean_mask(y, mask) ** 2)
  gradient = tape.gradient(loss, x)
  np.testing.assert_array_equal(gradient[1], np.zeros(frame_shape))
  nan = tf.fill([1, *frame_shape], tf.constant(np.nan, F64))
  lost = tf.tensor_scatter_nd_update(x, [[1]], nan)
  with tf.GradientTape() as tape:
    other = bijector.inverse(lost, mask=mask)
    loss = tf.reduce_sum(tf.boolean_mask(other, mask) ** 2)
  for gradient in tape.gradient(loss, bijector.trainable_variables):
    assert np.all(np.isfinite(gradient))
  for t in (0, 2, 3):
    np.testing.assert_array_equal(other[t], y[t])
  again = bijector.forward(tf.identity(other), mask=mask)
  assert_close(again[2:], x[2:])


@every_network
def test_a_black_frame_is_not_a_missing_one(name):
  bijector, frame_shape = make(name)
  x = normal(2, *frame_shape)
  black = tf.zeros([bijector.window, *frame_shape], F64)
  without, _ = inverse(bijector, x)
  with_black, _ = inverse(bijector, x, context=black)
  assert np.abs(without - with_black).max() > 1e-3


@pytest.mark.parametrize("name", ["dense", "lstm", "convolutional"])
def test_start_is_frames_that_are_there(name):
  network, frame_shape = NETWORKS[name]
  network = network()
  start = tf.Variable(normal(network.window, *frame_shape, seed=5))
  bijector = TemporalAffineAutoregressive(network, start=start)
  plain = TemporalAffineAutoregressive(network)
  assert any(v is start for v in bijector.trainable_variables)
  x = normal(2, 3, *frame_shape)
  y, log_det = inverse(bijector, x)
  if not network.unlimited_memory:
    expected, log_det_expected = inverse(plain, x, context=start)
    assert_close(y, expected)
    assert_close(log_det, log_det_expected)
  for function in (bijector.inverse, bijector.forward):
    with tf.GradientTape() as tape:
      value = tf.reduce_sum(function(tf.identity(x)) ** 2)
    assert np.abs(tape.gradient(value, start)).max() > 1e-6
  assert_close(forward(bijector, y, context=x[0, :1])[0].shape, x.shape)


def test_batches_broadcast():
  bijector, _ = make("dense")
  x = normal(2, 1, 4, 2)
  context = normal(3, 3, 2, seed=1)
  lengths = [1, 4, 2]
  y, log_det = inverse(bijector, x, context=context, lengths=lengths)
  assert y.shape == [2, 3, 4, 2]
  assert log_det.shape == [2, 3]
  for i in range(2):
    for j in range(3):
      single = inverse(bijector, x[i, 0], context=context[j], lengths=lengths[j])
      assert_close(y[i, j], single[0])
      assert_close(log_det[i, j], single[1])
  again, opposite = forward(bijector, y, context=context, lengths=lengths)
  assert_close(again, tf.broadcast_to(x, again.shape))
  assert_close(opposite, -log_det)


def test_scales_are_bounded():
  def network(frames):
    return None, 0 * frames + 1e4

  x = normal(5, 3)
  _, log_det = forward(TemporalAffineAutoregressive(network, window=1), x)
  assert_close(log_det, 15 * np.log(10))
  bounded = TemporalAffineAutoregressive(network, window=1, max_scale=3.0)
  assert_close(forward(bounded, x)[0], 3 * x)

  bounded = TemporalAffineAutoregressive(
    lambda frames: (None, -1e4), window=1, min_scale=0.5
  )
  assert_close(forward(bounded, x)[0], 0.5 * x)
  free = TemporalAffineAutoregressive(
    lambda frames: (None, tf.fill([], 5.0)), window=1, max_scale=None
  )
  assert_close(forward(free, x)[1], 75)


@pytest.mark.parametrize("kind", ["dense", "recurrent", "convolutional"])
def test_starts_as_identity_or_frame_differencing(kind):
  makers = {
    "dense": lambda **o: networks.DenseTemporalNetwork([2, 2, 1], **o),
    "recurrent": lambda **o: networks.RecurrentTemporalNetwork([2, 2, 1], **o),
    "convolutional": lambda **o: networks.ConvolutionalTemporalNetwork(1, **o),
  }
  x = normal(3, 4, 2, 2, 1, dtype=tf.float32)
  identity = TemporalAffineAutoregressive(makers[kind]())
  np.testing.assert_array_equal(identity.inverse(x), x)
  difference = TemporalAffineAutoregressive(makers[kind](predict_change=True))
  assert_close(difference.inverse(x), np.diff(x, axis=1, prepend=0), 1e-6)


class Counting(tf.keras.layers.Layer):
  """Counts how often it is called and how many frames it is given."""

  def __init__(self):
    super().__init__(dtype="float64")
    self.calls, self.frames = 0, 0
    self.gain = self.add_weight("gain", [], initializer="ones")

  def call(self, frames):
    self.calls += 1
    self.frames += frames.shape[-2]
    return 0.5 * self.gain * frames[..., 2:, :], 0.1 * frames[..., 1:-1, :]


def test_a_density_takes_one_pass_and_a_sample_one_window_a_step():
  network = Counting()
  bijector = TemporalAffineAutoregressive(network)
  base = tfd.Sample(tfd.Normal(tf.zeros([], F64), 1.0), [8, 2])
  distribution = tfd.TransformedDistribution(base, bijector)
  distribution.log_prob(normal(3, 8, 2))
  assert (network.calls, network.frames) == (1, 3 + 8 - 1)
  sample = distribution.sample(3)
  assert (network.calls, network.frames) == (1 + 8, 10 + 8 * 3)
  distribution.log_prob(sample)  # Cached.
  assert network.calls == 9


def test_batch_statistics_are_updated_once_a_density():
  bijector = TemporalAffineAutoregressive(convolutional())
  moving = next(v for v in bijector.variables if "moving_mean" in v.name)
  before = moving.numpy()
  x = normal(2, 4, 3, 3, 2)
  bijector.inverse(x)
  np.testing.assert_array_equal(moving, before)
  y = bijector.inverse(x, training=True)
  once = moving.numpy()
  assert np.abs(once - before).max() > 0
  bijector.inverse_log_det_jacobian(x, training=True)
  np.testing.assert_array_equal(moving, once)
  del y


def test_half_precision_network():
  network = networks.ConvolutionalTemporalNetwork(
    2, filters=4, head_initializer="he_normal", dtype="mixed_bfloat16"
  )
  bijector = TemporalAffineAutoregressive(network)
  x = normal(2, 4, 4, 4, 2, dtype=tf.float32)
  y, log_det = inverse(bijector, x)
  assert y.dtype == log_det.dtype == tf.float32
  assert np.abs(y - x).max() > 0.1


def test_learns_a_gaussian_process_in_a_keras_model():
  """AR(1) noise of scale 0.2: the likelihood reaches the process' own."""
  tf.keras.utils.set_random_seed(0)
  noise = np.random.default_rng(0).normal(size=[256, 11, 1])
  x = np.zeros([256, 11, 1], np.float32)
  for t in range(1, 11):
    x[:, t] = 0.9 * x[:, t - 1] + 0.2 * noise[:, t]

  class Model(tf.keras.Model):
    def __init__(self):
      super().__init__()
      network = networks.DenseTemporalNetwork([1], window=1, hidden_units=[])
      self.bijector = TemporalAffineAutoregressive(network)
      self.base = tfd.Sample(tfd.Normal(0.0, 1.0), [10, 1])

    def call(self, x):
      flow = tfd.TransformedDistribution(self.base, self.bijector)
      kwargs = {"context": x[:, :1]}
      return flow.log_prob(x[:, 1:], bijector_kwargs=kwargs)

  model = Model()
  assert len(model.trainable_variables) == 2
  model.compile(tf.keras.optimizers.Adam(0.1), lambda _, log_prob: -log_prob / 10)
  model.fit(x, x, batch_size=256, epochs=150, verbose=0)
  entropy = 0.5 * np.log(2 * np.pi * np.e) + np.log(0.2)
  assert abs(-np.mean(model(x)) / 10 - entropy) < 0.03
  kernel = model.trainable_variables[0].numpy()
  assert abs(kernel[0, 0] - 0.9) < 0.05


def test_wrong_arguments_are_named():
  network = dense()
  with pytest.raises(ValueError, match=r"window is 2, but .* made for 3"):
    TemporalAffineAutoregressive(network, window=2)
  with pytest.raises(ValueError, match=r"event_ndims is 4, but .* made for 2"):
    TemporalAffineAutoregressive(network, event_ndims=4)
  with pytest.raises(ValueError, match="window must be at least 1"):
    TemporalAffineAutoregressive(lambda frames: (frames, None), window=0)
  for bounds in ({"max_scale": 0.0}, {"min_scale": 0.0}, {"min_scale": 20.0}):
    with pytest.raises(ValueError, match="must be positive and ascending"):
      TemporalAffineAutoregressive(network, **bounds)
  bijector = TemporalAffineAutoregressive(network)
  x = normal(3, 4, 2)
  with pytest.raises(ValueError, match="An event must have rank 2"):
    bijector.inverse(x[0, 0])
  with pytest.raises(ValueError, match=r"context must be frames .*\*\[2\]"):
    bijector.inverse(x, context=x[..., :1])
  with pytest.raises(ValueError, match=r"mask must be bool \[..., 4\]"):
    bijector.inverse(x, mask=tf.ones([3, 5], bool))
  with pytest.raises(ValueError, match="mask must be bool"):
    bijector.inverse(x, mask=tf.ones([3, 4]))
  with pytest.raises(ValueError, match="mask or lengths, not both"):
    bijector.inverse(x, mask=tf.ones([3, 4], bool), lengths=[1, 2, 3])
  with pytest.raises(ValueError, match="conditional_input must be given"):
    bijector.inverse(x, conditional_input=x[:, 0])
  for function, message in (
    (lambda frames: frames, "must return a pair"),
    (lambda frames: (frames, frames), r"From n frames it must be made for n - 3 \+ 1"),
  ):
    with pytest.raises(ValueError, match=message):
      TemporalAffineAutoregressive(function).inverse(x)
