"""The Walsh start: an orthogonal analysis, its transpose, and little noise."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers import convolutional, walsh

FILTERS, KERNELS, STRIDES = (12, 16, 20, 30), (5, 5, 5, 5), (2, 2, 2, 2)


def start(make, filters, network, noise):
  """Network whose kernels are the given ones, with a multiple of the usual noise."""
  kernels = make(FILTERS, KERNELS)
  net = network(
    filters, KERNELS, STRIDES, convolutional.Style(), "net", map_given(kernels)
  )
  net.build([None, None, None, kernels[0].shape[2 if filters is FILTERS else 3]])
  for layer, kernel in zip(net.layers, kernels):
    difference = layer.kernel - kernel
    layer.kernel.assign(kernel + noise * difference)
  return net


def map_given(kernels):
  return [walsh.Given(kernel) for kernel in kernels]


def analysis(noise=0.0):
  return start(walsh.analysis_kernels, FILTERS, convolutional.analysis_network, noise)


def synthesis(noise=0.0):
  filters = (*FILTERS[-2::-1], 3)
  return start(walsh.synthesis_kernels, filters, convolutional.synthesis_network, noise)


def test_analysis_is_orthogonal_and_stays_within_its_block():
  """The matrix of one 16x16 block, found by coding each of its unit images."""
  count = 16 * 16 * 3
  images = np.zeros([count, 48, 48, 3], np.float32)
  block = np.eye(count).reshape(count, 16, 16, 3)
  images[:, 16:32, 16:32] = block
  latents = analysis()(images).numpy()
  inside = latents[:, 1, 1].copy()
  latents[:, 1, 1] = 0
  assert np.abs(latents).max() < 1e-6
  np.testing.assert_allclose(inside.T @ inside, np.eye(FILTERS[-1]), atol=1e-5)


def test_synthesis_is_its_transpose():
  latents = np.eye(FILTERS[-1], dtype=np.float32)[:, None, None]
  images = synthesis()(latents)
  assert images.shape[1:] == [16, 16, 3]
  np.testing.assert_allclose(analysis()(images), latents, atol=1e-5)


def test_grey_and_slow_signals_are_kept():
  ramp = np.linspace(-0.4, 0.4, 64, dtype=np.float32)
  image = np.tile(ramp[None, :, None, None], [1, 1, 64, 3])
  restored = synthesis()(analysis()(image)).numpy()
  assert np.abs(restored - image).mean() < 0.02


def test_noise_is_small_beside_the_transform():
  image = np.random.default_rng(0).uniform(-0.5, 0.5, [1, 64, 64, 3]).astype(np.float32)
  clean, noisy = analysis()(image).numpy(), analysis(1.0)(image).numpy()
  assert 0 < np.abs(noisy - clean).std() < 0.3 * clean.std()


def test_given_pads_with_noise_to_the_shape_asked_for():
  tf.keras.utils.set_random_seed(0)
  value = np.ones([2, 2, 3, 4], np.float32)
  got = walsh.Given(value)([2, 2, 5, 4], tf.float32).numpy()
  assert np.abs(got[:, :, :3] - 1).max() < 0.1
  assert 0 < np.abs(got[:, :, 3:]).max() < 0.1
  again = walsh.Given.from_config(walsh.Given(value).get_config())
  np.testing.assert_array_equal(again._value, value)


@pytest.mark.parametrize("side", [3, 5, 7])
def test_any_odd_kernel_keeps_the_grid(side):
  kernels = walsh.analysis_kernels((12,), (side,))
  net = convolutional.analysis_network(
    (12,), (side,), (2,), convolutional.Style(), "net", map_given(kernels)
  )
  net.build([None, None, None, 3])
  net.layers[0].kernel.assign(kernels[0])
  image = np.random.default_rng(0).normal(size=[1, 8, 8, 3]).astype(np.float32)
  # All 12 coefficients of 2x2 blocks: nothing is lost.
  assert np.isclose((net(image).numpy() ** 2).sum(), (image**2).sum(), rtol=1e-4)


def test_flows_are_smooth_signals_in_the_first_channels():
  kernels = walsh.analysis_kernels(FILTERS, KERNELS, walsh.FLOW)
  assert kernels[0].shape[2] == 2
  net = convolutional.analysis_network(
    FILTERS, KERNELS, STRIDES, convolutional.Style(), "net", map_given(kernels)
  )
  flow = np.zeros([1, 32, 32, 8], np.float32)
  flow[..., :2] = [1, -2]  # Channels behind the flow are not looked at.
  flow[..., 2:] = np.random.default_rng(0).normal(size=[1, 32, 32, 6])
  latent = net(flow).numpy()
  assert np.abs(latent[..., 0] - 16).max() < 1
  assert np.abs(latent[..., 1] + 32).max() < 1
  assert np.abs(latent[..., 2:]).max() < 1


@pytest.mark.parametrize("basis", [walsh.COLORS, walsh.FLOW])
def test_scales_halve_with_detail(basis):
  scales = walsh.latent_scales(FILTERS, basis, 8.0)
  assert scales.shape == (FILTERS[-1],)
  assert scales[0] == 8 and np.all(np.diff(scales) <= 0)
  assert set(scales[scales > 0]) <= {8.0 * 0.5**k for k in range(12)}
