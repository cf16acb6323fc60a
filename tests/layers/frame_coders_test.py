import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers import frame_coders


def test_shapes_and_leading_axes():
  encoder = frame_coders.FrameEncoder(16, 3, filters=(4, 6), code_size=5)
  x = tf.random.stateless_normal([2, 3, 16, 16, 3], [0, 1])
  codes = encoder(x)
  assert codes.shape == [2, 3, 5]
  for i, j in np.ndindex(2, 3):
    np.testing.assert_allclose(codes[i, j], encoder(x[i, j][None])[0], 1e-4, 1e-5)
  decoder = frame_coders.FrameDecoder(16, 3, 5, filters=(4, 6))
  loc, log_scale = decoder(codes)
  assert loc.shape == log_scale.shape == x.shape
  one = decoder(codes[1, 2][None])
  np.testing.assert_allclose(loc[1, 2], one.loc[0], 1e-4, 1e-5)


def test_encoder_is_convolutions_written_out():
  """Two halvings and a kernel over what is left, by loops over output places."""
  encoder = frame_coders.FrameEncoder(8, 1, filters=(2, 3), code_size=4)
  for i, variable in enumerate(encoder.variables):
    noise = tf.random.stateless_uniform(variable.shape, [0, i], -0.5, 0.5)
    variable.assign_add(noise if "variance" not in variable.name else abs(noise))
  x = np.random.default_rng(0).normal(size=(8, 8, 1)).astype(np.float32)
  flow = x.astype(np.float64)
  layers = [layer for layer in encoder._layers if layer.weights]
  for convolution, norm in zip(layers[::2], layers[1::2]):
    kernel, bias = convolution.get_weights()
    stride = convolution.strides[0]
    if stride == 2:
      flow = np.pad(flow, [(1, 1), (1, 1), (0, 0)])
    side = len(kernel)
    places = range(0, len(flow) - side + 1, stride)
    flow = np.stack(
      [
        [
          np.tensordot(flow[i : i + side, j : j + side], kernel, 3) + bias
          for j in places
        ]
        for i in places
      ]
    )
    gamma, beta, mean, variance = norm.get_weights()
    flow = gamma * (flow - mean) / np.sqrt(variance + 1e-5) + beta
    flow = np.where(flow > 0, flow, 0.2 * flow)
  assert flow.shape == (1, 1, 4)
  np.testing.assert_allclose(encoder(x[None])[0], flow[0, 0], 1e-4, 1e-5)


def test_bounds_of_the_decoder():
  decoder = frame_coders.FrameDecoder(8, 1, 2, (3,), bounded_loc=True)
  for variable in decoder.trainable_variables:
    variable.assign(50 * variable)
  loc, log_scale = decoder(100 * tf.ones([1, 2]))
  assert np.all((loc >= 0) & (loc <= 1))
  assert np.min(log_scale) == -15 and np.max(log_scale) == 5


def test_refusals():
  with pytest.raises(ValueError, match="its size 12 is no multiple of 8"):
    frame_coders.FrameEncoder(12, 1, (2, 2, 2))
  with pytest.raises(ValueError, match=r"filters \(\) halve the frame 0 times"):
    frame_coders.FrameDecoder(12, 1, 4, ())
  with pytest.raises(ValueError, match=r"activation must be one of .*; got 'gelu'"):
    frame_coders.FrameEncoder(8, 1, (2,), activation="gelu")
