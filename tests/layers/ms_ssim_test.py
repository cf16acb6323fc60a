"""MS-SSIM against TensorFlow's, against loops, and as a loss."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers import ms_ssim


def pair(height, width, noise=0.1, seed=0):
  rng = np.random.default_rng(seed)
  coarse = rng.uniform(size=[2, height // 8 + 1, width // 8 + 1, 3])
  image = tf.image.resize(coarse, [height, width]).numpy()
  other = np.clip(image + rng.normal(0, noise, image.shape), 0, 1)
  return image.astype(np.float32), other.astype(np.float32)


@pytest.mark.parametrize("size", [(161, 176), (163, 197)])
def test_is_tensorflows_where_five_scales_fit(size):
  x, y = pair(*size)
  expected = tf.image.ssim_multiscale(x, y, max_val=1.0)
  np.testing.assert_allclose(ms_ssim.ms_ssim(x, y), expected, atol=2e-5)
  assert 0.2 < float(expected[0]) < 0.99


def naive(x, y, scales):
  """One channel, in float64, window by window."""
  offset = np.arange(11) - 5
  window = np.exp(-0.5 * (offset / 1.5) ** 2)
  window = np.outer(window, window) / window.sum() ** 2
  weights = np.array(ms_ssim.WEIGHTS[:scales])
  weights /= weights.sum()
  result = 1.0
  for scale in range(scales):
    if scale:
      x, y = (
        v.reshape(v.shape[0] // 2, 2, v.shape[1] // 2, 2).mean((1, 3)) for v in (x, y)
      )
    found = []
    for i in range(x.shape[0] - 10):
      for j in range(x.shape[1] - 10):
        a, b = x[i : i + 11, j : j + 11], y[i : i + 11, j : j + 11]
        ma, mb = (window * a).sum(), (window * b).sum()
        va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
        cov = (window * (a - ma) * (b - mb)).sum()
        structure = (2 * cov + 0.03**2) / (va + vb + 0.03**2)
        luminance = (2 * ma * mb + 0.01**2) / (ma**2 + mb**2 + 0.01**2)
        found.append((luminance * structure, structure))
    ssim, structure = np.mean(found, 0)
    result *= (ssim if scale == scales - 1 else structure) ** weights[scale]
  return result


def test_smaller_images_have_fewer_scales():
  for side, scales in ((11, 1), (21, 2), (41, 3), (81, 4), (161, 5), (500, 5)):
    assert ms_ssim.num_scales(side, 600) == scales
    if side not in (11, 500):
      assert ms_ssim.num_scales(600, side - 1) == scales - 1
  x, y = pair(48, 44, noise=0.05)
  expected = [
    np.mean([naive(*(v[b, ..., c].astype(float) for v in (x, y)), 3) for c in range(3)])
    for b in range(2)
  ]
  np.testing.assert_allclose(ms_ssim.ms_ssim(x, y), expected, atol=1e-5)
  with pytest.raises(ValueError, match="at least 11x11 pixels; got 40x10"):
    ms_ssim.ms_ssim(tf.zeros([1, 10, 40, 3]), tf.zeros([1, 10, 40, 3]))


def test_equal_images_are_1_and_gradients_stay_finite():
  x, _ = pair(32, 32)
  np.testing.assert_allclose(ms_ssim.ms_ssim(x, x), 1.0, atol=1e-6)
  # Opposed structures, for which TensorFlow's own has gradients that are no numbers.
  for other in (1.0 - x, np.zeros_like(x), x):
    value = tf.Variable(other)
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(1.0 - ms_ssim.ms_ssim(value, x))
    assert np.all(np.isfinite(tape.gradient(loss, value)))
    assert np.isfinite(loss)
