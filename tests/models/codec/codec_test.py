"""The codec as a Keras model: objective, reproducibility, sizes, pictures."""

import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from codec_cases import build

from tfafs.layers import exact_convolution, scale_space
from tfafs.models import registry
from tfafs.models.codec import state as states
from tfafs.training import optimizers


def clips(batch=2, time=3, height=32, width=32, seed=0):
  rng = np.random.default_rng(seed)
  coarse = rng.uniform(size=[batch, height // 8 + 2, width // 8 + 3, 3])
  frame = tf.image.resize(coarse, [height + 8, width + 8]).numpy()
  return tf.constant(
    np.stack([frame[:, t : t + height, t : t + width] for t in range(time)], 1)
  )


def test_objective_is_mse_plus_beta_bits_per_pixel(tiny_codec):
  x = clips()
  terms = tiny_codec.rate_distortion(x)
  coded = tiny_codec(x)
  mse = np.mean((coded.reconstruction - x) ** 2)
  bits = sum(b.numpy().sum() for b in coded.bits.values())
  bpp = bits / (2 * 3 * 32 * 32)
  np.testing.assert_allclose(terms["mse"], mse, rtol=1e-5)
  np.testing.assert_allclose(terms["bpp"], bpp, rtol=1e-5)
  np.testing.assert_allclose(
    terms["loss"], mse + tiny_codec.config.model.beta * bpp, rtol=1e-5
  )
  error = np.mean((coded.reconstruction - x) ** 2, axis=(2, 3, 4))
  np.testing.assert_allclose(terms["psnr"], np.mean(-10 * np.log10(error)), rtol=1e-5)


def test_a_frame_is_coded_from_the_8_bit_reconstruction_before_it(tiny_codec):
  x = clips(batch=1)
  coded = tiny_codec(x)
  first = np.round(np.clip(coded.reconstruction[:, 0], 0, 1) * 255) / 255
  second = tiny_codec.inter(x[:, 1], states.State(first)).reconstruction
  np.testing.assert_allclose(coded.reconstruction[:, 1], second, atol=1e-5)


def test_reconstruction_is_shift_plus_scale_times_noise(tiny_codec):
  x = clips(batch=1)
  coded = tiny_codec.inter(x[:, 1], states.State(x[:, 0]))
  shift, scale = coded.transform
  assert np.ptp(scale) > 0.01
  np.testing.assert_allclose(
    coded.reconstruction, shift + scale * coded.noise, atol=1e-6
  )
  np.testing.assert_allclose(
    coded.transform.forward(coded.transform.inverse(x[:, 1])), x[:, 1], atol=1e-5
  )


def test_without_motion_search_an_untrained_transform_nearly_repeats_its_reference():
  config = registry.load_config("stat_ssf_sp", "tiny")
  config.model.motion_search = False
  model = registry.build(config)
  x = clips(batch=1, time=1)[:, 0]
  shift, scale = model.inter.transform(x, tf.random.normal([1, 2, 2, 12]))
  np.testing.assert_array_equal(scale, np.ones_like(scale))
  assert np.abs(shift - x).mean() < 0.02


def test_with_motion_search_an_untrained_codec_follows_motion():
  model = registry.build(registry.load_config("stat_ssf_sp", "tiny"))
  noise = tf.random.stateless_uniform([1, 104, 104, 3], [0, 0])
  picture = 4 * scale_space.gaussian_blur(noise - 0.5, 2.0) + 0.5
  reference, frame = picture[:, 4:-4, 4:-4], picture[:, 2:-6, 7:-1]
  shift = model.inter(frame, states.State(reference)).transform.shift

  def error(image):  # Away from what comes in at the borders.
    return np.mean((image - frame)[:, 16:-16, 16:-16] ** 2)

  assert error(shift) < 0.5 * error(reference)


def test_the_shifts_own_error_fades_from_the_loss():
  config = registry.load_config("ssf", "tiny")
  config.training.update(steps=100, shift_weight=2.0, shift_until=0.5)
  model = registry.build(config)
  weights = [float(model._shift_weight(step)) for step in (0, 25, 50, 99)]
  assert weights == [2.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (31, 47)])
def test_any_size_from_16(tiny_codec, size):
  coded = tiny_codec(clips(1, 2, *size))
  assert coded.reconstruction.shape == [1, 2, *size, 3]


@pytest.mark.parametrize(
  ("name", "gain"),
  [
    ("tat", True),
    ("ssf_tp", False),
    ("stat_sp", True),
    ("stat_ssf_sp_tp_plus", True),
  ],
)
def test_codecs_of_all_parts_learn_to_code_a_clip(name, gain):
  config = registry.load_config(name, "tiny")
  tf.keras.utils.set_random_seed(0)
  model = registry.build(config)
  model.compile(tf.keras.optimizers.Adam(3e-3))
  x = clips()
  before = float(model.rate_distortion(x)["loss"])
  data = tf.data.Dataset.from_tensors(x).repeat()
  history = model.fit(data, steps_per_epoch=40, verbose=0).history
  assert history["loss"][-1] < 0.6 * before
  coded = model.inter(x[:, 1], states.State(x[:, 0]))
  assert np.any(coded.transform.scale != 1) == gain


def test_a_step_is_a_function_of_weights_data_seed_and_step_number():
  logs = []
  for seed in (5, 5, 6):
    config = registry.load_config("ssf", "tiny")
    config.training.seed = seed
    tf.keras.utils.set_random_seed(0)
    model = registry.build(config)
    model.compile(tf.keras.optimizers.Adam(1e-3))
    model.fit(tf.data.Dataset.from_tensors(clips()).repeat(2), verbose=0)
    logs.append(float(model.rate_distortion(clips())["loss"]))
  assert logs[0] == logs[1] != logs[2]


def test_training_begins_without_rounding_the_index_network():
  model = build("ssf")
  model.config.training.update(steps=2, exact_from=0.5, shift_weight=0.0)
  model.compile(tf.keras.optimizers.legacy.SGD(0.0))
  for step in range(2):
    seed = tf.constant([model.config.training.seed, step])
    with exact_convolution.rounding(tf.constant(step == 1)):
      expected = model.rate_distortion(clips(), seed)["bpp"]
    with exact_convolution.rounding(tf.constant(step == 0)):
      other = model.rate_distortion(clips(), seed)["bpp"]
    model.optimizer.iterations.assign(step)
    got = model.train_step(clips())["bpp"]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert abs(float(got - other)) > 1e-5 * float(got)


def test_bfloat16_is_near_float32(tiny_codec):
  config = registry.load_config("stat_ssf_sp", "tiny")
  config.model.precision = "mixed_bfloat16"
  model = registry.build(config)
  model.set_weights(tiny_codec.get_weights())
  x = clips()
  low, full = model.rate_distortion(x), tiny_codec.rate_distortion(x)
  assert all(v.dtype == tf.float32 for v in low.values())
  np.testing.assert_allclose(low["loss"], full["loss"], rtol=0.05)


def test_evaluate_measures_the_mean_over_batches(tiny_codec):
  tiny_codec.compile()
  x = clips(batch=4, seed=3)
  got = tiny_codec.evaluate(
    tf.data.Dataset.from_tensor_slices(x).batch(2), verbose=0, return_dict=True
  )
  np.testing.assert_allclose(
    got["mse"], tiny_codec.rate_distortion(x)["mse"], rtol=1e-4
  )


def test_the_history_of_fit_is_of_its_steps():
  config = registry.load_config("ssf", "tiny")
  config.training.learning_rate = 1e-12
  model = registry.build(config)
  model.compile(optimizers.make_optimizer(config.training))
  x = clips(batch=2, seed=3)
  history = model.fit(tf.data.Dataset.from_tensors(x), verbose=0).history
  expected = model.rate_distortion(x, seed=(config.training.seed, 0))
  for name in ("loss", "mse"):
    np.testing.assert_allclose(history[name], [expected[name]], 1e-2)


def test_pictures_of_figure_2(tiny_codec):
  pictures = tiny_codec.visualize(clips())
  assert list(pictures) == [
    "frame",
    "reference",
    "shift",
    "scale",
    "noise",
    "reconstruction",
    "motion_rate",
    "residual_rate",
  ]
  for picture in pictures.values():
    assert picture.shape == [2, 32, 32, 3]
    assert picture.numpy().min() >= 0 and picture.numpy().max() <= 1


def test_the_step_compiles_under_xla():
  """With static shapes, as TPUs need it; and it computes what the plain step does."""
  program = """
import numpy as np, tensorflow as tf
from tfafs.models import registry
config = registry.load_config("stat_ssf_sp", "tiny")
clips = tf.random.stateless_uniform([1, 2, 32, 32, 3], [0, 0])
losses = []
for jit_compile in (False, True):
  tf.keras.utils.set_random_seed(0)
  model = registry.build(config)
  model.compile(tf.keras.optimizers.Adam(1e-3))
  model.optimizer.build(model.trainable_variables)
  step = tf.function(model.train_step, jit_compile=jit_compile)
  losses.append([float(step(clips)["loss"]) for _ in range(3)])
np.testing.assert_allclose(*losses, rtol=1e-3)
"""
  # Without the compiler's own optimisations, which take minutes and change no result.
  flags = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}
  subprocess.run(
    [sys.executable, "-c", program], check=True, env={**os.environ, **flags}
  )
