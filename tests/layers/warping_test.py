"""Warps against naive loops in float64."""

import math

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfafs.layers import scale_space, warping


def naive_warp(volume, flow, depth):
  """Trilinear reading, pixel by pixel."""
  height, width, planes, channels = volume.shape
  out = np.zeros([height, width, channels])

  def around(position, size):
    position = min(max(position, 0.0), size - 1.0)
    low = math.floor(position)
    high = min(low + 1, size - 1)
    return ((low, 1 - (position - low)), (high, position - low))

  for y in range(height):
    for x in range(width):
      for j, wy in around(y + flow[y, x, 1], height):
        for i, wx in around(x + flow[y, x, 0], width):
          for d, wd in around(depth[y, x], planes):
            out[y, x] += wy * wx * wd * volume[j, i, d]
  return out


def random(shape, seed=0):
  return np.random.default_rng(seed).uniform(size=shape)


@given(
  st.integers(1, 9),
  st.integers(1, 9),
  st.integers(2, 6),
  st.floats(0.1, 20),
  st.integers(0, 1000),
)
@settings(max_examples=15, deadline=None)
def test_warp_is_trilinear(height, width, planes, reach, seed):
  rng = np.random.default_rng(seed)
  volume = rng.uniform(size=[height, width, planes, 3])
  flow = rng.normal(size=[height, width, 2]) * reach
  depth = rng.uniform(-1, planes, size=[height, width])
  got = warping.scale_space_warp(
    *(tf.constant(x[None], tf.float32) for x in (volume, flow, depth))
  )
  np.testing.assert_allclose(got[0], naive_warp(volume, flow, depth), atol=2e-5)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_bilinear_warp_is_the_plane_at_depth_zero(height, width, seed):
  rng = np.random.default_rng(seed)
  image = rng.uniform(size=[height, width, 4])
  flow = rng.normal(size=[height, width, 2]) * 3
  volume = np.stack([image, rng.uniform(size=image.shape)], 2)
  got = warping.bilinear_warp(
    *(tf.constant(x[None], tf.float32) for x in (image, flow))
  )
  expected = naive_warp(volume, flow, np.zeros([height, width]))
  np.testing.assert_allclose(got[0], expected, atol=2e-5)


def test_warp_by_whole_pixels_moves_the_image():
  image = random((1, 8, 8, 3)).astype(np.float32)
  volume = scale_space.gaussian_pyramid(tf.constant(image))
  flow = tf.tile(tf.constant([[[[2.0, -1.0]]]]), [1, 8, 8, 1])
  got = warping.scale_space_warp(volume, flow, tf.zeros([1, 8, 8]))
  np.testing.assert_allclose(got[:, 1:, :6], image[:, :7, 2:], atol=1e-6)


def test_warp_gradients_are_those_of_differences():
  rng = np.random.default_rng(3)
  volume = tf.constant(rng.uniform(size=[1, 3, 3, 3, 1]), tf.float32)
  # Away from the kinks at whole pixels and planes.
  flow = tf.constant(rng.integers(-2, 3, [1, 3, 3, 2]) + 0.4, tf.float32)
  depth = tf.constant(rng.integers(0, 2, [1, 3, 3]) + 0.3, tf.float32)

  def warp(flow, depth):
    return tf.reduce_sum(tf.sin(3 * warping.scale_space_warp(volume, flow, depth)))

  theoretical, numeric = tf.test.compute_gradient(warp, [flow, depth], delta=1e-2)
  for a, b in zip(theoretical, numeric):
    np.testing.assert_allclose(a, b, atol=2e-2)


def test_volume_and_warp_compile_under_xla():
  image = tf.constant(random((2, 18, 21, 3)), tf.float32)
  flow = tf.constant(random((2, 18, 21, 2)) * 4 - 2, tf.float32)
  depth = tf.constant(random((2, 18, 21)) * 5, tf.float32)

  def warp(image, flow, depth):
    volume = scale_space.gaussian_pyramid(image)
    return warping.scale_space_warp(volume, flow, depth)

  compiled = tf.function(warp, jit_compile=True)(image, flow, depth)
  np.testing.assert_allclose(compiled, warp(image, flow, depth), atol=1e-5)
