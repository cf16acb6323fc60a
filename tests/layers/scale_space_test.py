"""Scale-space volume against naive loops in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfafs.layers import scale_space


def naive_blur(image, sigma):
  """Normalised Gaussian over the pixels that exist, pixel by pixel."""
  radius = math.ceil(3 * sigma)
  height, width, _ = image.shape
  out = np.zeros_like(image)
  for y in range(height):
    for x in range(width):
      total = 0.0
      for j in range(max(0, y - radius), min(height, y + radius + 1)):
        for i in range(max(0, x - radius), min(width, x + radius + 1)):
          weight = math.exp(-0.5 * ((j - y) ** 2 + (i - x) ** 2) / sigma**2)
          out[y, x] += weight * image[j, i]
          total += weight
      out[y, x] /= total
  return out


def random(shape, seed=0):
  return np.random.default_rng(seed).uniform(size=shape)


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (7, 6)])
def test_blur_is_a_normalised_gaussian(size):
  image = random((*size, 3))
  got = scale_space.gaussian_blur(tf.constant(image[None], tf.float32), 1.5)
  np.testing.assert_allclose(got[0], naive_blur(image, 1.5), atol=1e-6)


def test_blur_keeps_a_constant_image_at_the_borders():
  image = tf.fill([1, 5, 4, 3], 0.7)
  np.testing.assert_allclose(scale_space.gaussian_blur(image, 2.0), image, atol=1e-6)


def test_upsample_is_bilinear_with_half_pixel_centres():
  image = random((3, 4, 1))
  got = scale_space.upsample(tf.constant(image[None], tf.float32), 6, 7)[0].numpy()
  for y in range(6):
    for x in range(7):
      fy = min(max((y + 0.5) / 2 - 0.5, 0), 2)
      fx = min(max((x + 0.5) / 2 - 0.5, 0), 3)
      j, i = min(int(fy), 1), min(int(fx), 2)
      v, u = fy - j, fx - i
      expected = (1 - v) * ((1 - u) * image[j, i] + u * image[j, i + 1])
      expected += v * ((1 - u) * image[j + 1, i] + u * image[j + 1, i + 1])
      np.testing.assert_allclose(got[y, x], expected, atol=1e-6)


@given(st.integers(2, 37), st.integers(2, 37), st.integers(1, 5))
@settings(max_examples=8, deadline=None)
def test_pyramid_takes_any_size_and_keeps_constants(height, width, num_levels):
  image = tf.fill([2, height, width, 3], 0.25)
  volume = scale_space.gaussian_pyramid(image, num_levels)
  assert volume.shape == [2, height, width, num_levels + 1, 3]
  np.testing.assert_allclose(volume, np.full(volume.shape, 0.25), atol=1e-6)


def test_pyramid_follows_algorithm_1():
  """Every plane on its own, doubled as often as it was halved."""
  image = tf.constant(random((1, 16, 24, 3)), tf.float32)
  volume = scale_space.gaussian_pyramid(image, num_levels=4)
  planes, level = [image], image
  for i in range(4):
    level = scale_space.gaussian_blur(level, 1.0)
    plane = level
    for _ in range(i):
      height, width = plane.shape[1:3]
      plane = scale_space.upsample(plane, 2 * height, 2 * width)
    planes.append(plane)
    level = tf.nn.avg_pool2d(level, 2, 2, "VALID")
  np.testing.assert_allclose(volume, tf.stack(planes, 3), atol=1e-6)


def test_pyramid_blurs_as_strongly_as_the_paper_says():
  """Variance of an impulse against sigma^2 (0, 1, 5, 21), within the grid's error."""
  image = np.zeros([1, 129, 129, 1], np.float32)
  image[0, 64, 64] = 1
  volume = scale_space.gaussian_pyramid(tf.constant(image), num_levels=3).numpy()
  position = np.arange(129)
  for level, variance in enumerate((0, 1, 5, 21)):
    profile = volume[0, :, :, level, 0].sum(0)
    profile /= profile.sum()
    mean = (profile * position).sum()
    measured = (profile * (position - mean) ** 2).sum()
    # Halving and doubling add what a box and a hat of two pixels have.
    assert variance - 0.1 <= measured <= 1.35 * variance + 0.1


@pytest.mark.parametrize("size", [(1, 3), (6, 9)])
def test_blurs_are_gaussians_of_doubling_scale(size):
  image = random((*size, 2))
  got = scale_space.gaussian_blurs(tf.constant(image[None], tf.float32), 5, 0.7)
  planes = [image, *(naive_blur(image, 0.7 * 2**i) for i in range(5))]
  np.testing.assert_allclose(got[0], np.stack(planes, 2), atol=2e-6)


def test_volumes_go_by_name():
  assert scale_space.volume_of("pyramid") is scale_space.gaussian_pyramid
  assert scale_space.volume_of("blur") is scale_space.gaussian_blurs
  with pytest.raises(ValueError, match=r"volume is 'box': give one of 'pyramid', 'bl"):
    scale_space.volume_of("box")
