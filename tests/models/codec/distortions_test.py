"""MS-SSIM as the distortion of a codec."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs import datasets
from tfafs.models import registry


def build(distortion):
  config = registry.load_config("ssf", "tiny")
  config.training.distortion, config.model.beta = distortion, 0.05
  # Without what takes long to trace.
  config.model.motion_search, config.model.scale_space.num_levels = False, 2
  tf.keras.utils.set_random_seed(0)
  return registry.build(config)


@pytest.fixture(scope="module")
def clips():
  clip = datasets.synthetic_clip(seed=3, num_frames=3, height=176, width=176)
  return tf.constant(clip[None] / 255.0, tf.float32)


def test_objective_is_1_minus_ms_ssim_plus_beta_bits_per_pixel(clips):
  model = build("ms_ssim")
  terms = model.rate_distortion(clips)
  coded = model(clips)
  similarity = tf.image.ssim_multiscale(clips[0], coded.reconstruction[0], 1.0)
  bpp = float(terms["bpp"])
  np.testing.assert_allclose(terms["ms_ssim"], np.mean(similarity), atol=1e-4)
  np.testing.assert_allclose(
    terms["loss"], 1 - np.mean(similarity) + 0.05 * bpp, atol=1e-4
  )
  shift = tf.image.ssim_multiscale(clips[0, 1:], coded.shift[0], 1.0)
  np.testing.assert_allclose(terms["shift_ms_ssim"], np.mean(shift), atol=1e-4)
  # What is reported beside it is what a model that minimises the error reports.
  plain = build("mse").rate_distortion(clips)
  assert "ms_ssim" not in plain
  for name in ("mse", "psnr", "bpp"):
    np.testing.assert_allclose(terms[name], plain[name], rtol=1e-5)


def test_it_is_learned_on_crops_with_fewer_scales(clips):
  model = build("ms_ssim")
  model.compile(tf.keras.optimizers.Adam(3e-3))
  crops = clips[:, :, :32, :32]
  before = model.rate_distortion(crops)
  for _ in range(3):
    model.train_step(crops)
  after = model.rate_distortion(crops)
  assert float(after["loss"]) < 0.95 * float(before["loss"])
  assert float(after["ms_ssim"]) > float(before["ms_ssim"])


def test_what_cannot_be():
  with pytest.raises(ValueError, match=r"config.training.distortion is 'ssim'"):
    build("ssim")
