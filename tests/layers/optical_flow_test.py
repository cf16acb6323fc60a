"""Optical flow of textures that were moved by a known amount."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers import optical_flow, scale_space, warping


def texture(height, width, seed=0):
  noise = np.random.default_rng(seed).uniform(size=[1, height, width, 3])
  image = scale_space.gaussian_blur(tf.constant(noise, tf.float32), 2.0)
  return (image - tf.reduce_min(image)) / (tf.reduce_max(image) - tf.reduce_min(image))


@pytest.mark.parametrize("motion", [(0, 0), (1, -2), (-5, 3), (6, 7)])
def test_finds_whole_pixels(motion):
  x, y = motion
  image = texture(128, 160)
  frame, reference = (
    image[:, 16:112, 16:144],
    image[:, 16 - y : 112 - y, 16 - x : 144 - x],
  )
  flow = optical_flow.lucas_kanade(frame, reference)[0, 20:-20, 20:-20].numpy()
  error = np.abs(flow - [x, y])
  assert np.median(error) < 0.05
  assert np.mean(error < 0.25) > 0.95


def test_finds_parts_of_pixels():
  """An affine motion, drawn by reading the texture at moved positions."""
  reference = texture(96, 128, seed=1)
  y, x = np.meshgrid(np.linspace(-1, 1, 96), np.linspace(-1, 1, 128), indexing="ij")
  motion = np.stack([1.3 + 0.8 * x, -0.6 * y + 0.4 * x], -1).astype(np.float32)
  frame = warping.bilinear_warp(reference, motion[None])
  flow = optical_flow.lucas_kanade(frame, reference)[0].numpy()
  assert np.median(np.abs(flow - motion)[8:-8, 8:-8]) < 0.1


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (17, 3), (33, 35)])
def test_any_size_and_flat_images_stand_still(size):
  image = tf.fill([2, *size, 3], 0.5)
  np.testing.assert_array_equal(
    optical_flow.lucas_kanade(image, image), np.zeros([2, *size, 2])
  )


def test_noise_does_not_move():
  """A still scene under coding noise: nearly every pixel stays where it is."""
  reference = texture(96, 96)
  noise = np.random.default_rng(2).normal(size=reference.shape).astype(np.float32)
  flow = optical_flow.lucas_kanade(reference + 0.01 * noise, reference)
  assert np.mean(np.abs(flow) < 0.1) > 0.95


def test_compiles_under_xla():
  frame, reference = texture(48, 64), texture(48, 64, seed=3)
  flow = optical_flow.lucas_kanade(frame, reference)
  compiled = tf.function(optical_flow.lucas_kanade, jit_compile=True)(frame, reference)
  np.testing.assert_allclose(compiled, flow, atol=1e-3)
