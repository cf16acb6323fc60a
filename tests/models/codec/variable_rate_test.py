"""Codecs of variable rate: what is trained, and what an export writes and reads."""

import io
import json

import numpy as np
import pytest
import tensorflow as tf

from tfafs import coding, datasets
from tfafs.layers import conditional
from tfafs.models import registry
from tfafs.models.codec import export, index_network, rates

QUALITIES = (0, 0.4375, 1, 2, 2.5, 3, 4, 5, 6)


def config_of(name="stat_ssf_sp", **training):
  config = registry.load_config(name, "tiny")
  config.model.variable_rate = True
  # Without what takes long to trace.
  config.model.motion_search, config.model.scale_space.num_levels = False, 2
  config.training.update(**training)
  return config


def build(config):
  tf.keras.utils.set_random_seed(1)
  return registry.build(config)


@pytest.fixture(scope="module")
def frames():
  return datasets.synthetic_clip(seed=5, num_frames=4, height=40, width=52)


@pytest.fixture(scope="module")
def model(frames):
  """Untrained, but its levels differ in all that they can."""
  model = build(config_of())
  rng = np.random.default_rng(0)
  for variable in model.trainable_variables:
    if "level_" in variable.name and "offset" not in variable.name:
      variable.assign_add(rng.normal(0, 0.02, variable.shape))
  return model


@pytest.fixture(scope="module")
def clips(frames):
  return tf.constant(
    np.stack([frames[:3], frames[1:]])[:, :, :32, :32] / 255.0, tf.float32
  )


@pytest.fixture(scope="module")
def codec(model, tmp_path_factory):
  path = tmp_path_factory.mktemp("variable") / "saved_model"
  model.export_codec(path)
  return coding.Codec.load(path)


def test_each_clip_has_its_level_and_beta(model, clips):
  seed = tf.constant([3, 7])
  drawn = model.rates.draw(2, seed)
  levels = drawn.quality.numpy().astype(int)
  assert levels[0] != levels[1]
  betas = np.array(model.config.model.betas)
  np.testing.assert_allclose(drawn.beta, betas[levels], rtol=1e-5)
  balance = (np.exp(np.log(betas).mean()) / betas[levels]) ** 0.5
  np.testing.assert_allclose(drawn.importance, balance, rtol=1e-5)
  coded = model(clips, seed=seed, quality=drawn.quality)
  mse = np.mean((coded.reconstruction - clips) ** 2, axis=(1, 2, 3, 4))
  bits = sum(part.numpy().sum(1) for part in coded.bits.values())
  loss = np.mean(balance * (mse + betas[levels] * bits / (3 * 32 * 32)))
  np.testing.assert_allclose(
    model.rate_distortion(clips, seed)["loss"], loss, rtol=1e-4
  )


def test_all_levels_are_drawn_alike_and_per_datum(model):
  draws = np.stack([model.rates.draw(8, [0, step]).quality for step in range(100)])
  counts = np.bincount(draws.ravel().astype(int), minlength=7)
  assert len(counts) == 7
  # 800 draws: 114 of each on average, with a standard deviation of 10.
  assert counts.min() > 70 and counts.max() < 160
  assert np.mean([len(set(row)) for row in draws]) > 4  # of 8 in a batch


def test_a_batch_of_levels_is_each_clip_at_its_own(model, clips):
  together = model(clips, quality=tf.constant([0.0, 4.5]))
  for datum, quality in enumerate((0.0, 4.5)):
    alone = model(clips[datum : datum + 1], quality=tf.constant(quality))
    np.testing.assert_allclose(
      together.reconstruction[datum], alone.reconstruction[0], atol=1e-4
    )
    for part, bits in alone.bits.items():
      np.testing.assert_allclose(
        together.bits[part][datum], bits[0], rtol=1e-3, atol=0.1
      )


def test_levels_differ_before_training():
  """The quantisation steps alone give rates and qualities in their order."""
  model = build(config_of("ssf"))
  clip = datasets.synthetic_clip(seed=5, num_frames=3, height=48, width=48)
  x = tf.constant(clip[None] / 255.0, tf.float32)
  terms = [model.rate_distortion(x, quality=q) for q in (0, 0.5, 2, 4)]
  for name in ("bpp", "psnr"):
    values = [float(t[name]) for t in terms]
    assert values == sorted(set(values))
  assert float(terms[-1]["bpp"]) > 1.5 * float(terms[0]["bpp"])


def test_a_resumed_run_draws_what_it_would_have_drawn(clips, tmp_path):
  def start():
    model = build(config_of("ssf"))
    model.compile(tf.keras.optimizers.Adam(1e-3))
    model.optimizer.build(model.trainable_variables)
    return model

  whole = start()
  whole.train_step(clips)
  path = tf.train.Checkpoint(model=whole).write(str(tmp_path / "checkpoint"))
  whole.train_step(clips)
  resumed = start()
  tf.train.Checkpoint(model=resumed).read(path).assert_consumed()
  resumed.train_step(clips)
  assert int(resumed.optimizer.iterations) == 2
  for there, here in zip(whole.get_weights(), resumed.get_weights()):
    np.testing.assert_array_equal(there, here)


def test_index_networks_add_what_a_level_has():
  """Offsets between levels are rounded, ties to even, and clipped with the index."""
  levels = rates.Levels((1e-2, 1e-3, 1e-4))
  hyper = registry.load_config("ssf", "tiny").model.hyper
  network = index_network.IndexNetwork(3, hyper, False, [2.0, 30.0, 60.0], "n", levels)
  inputs = [tf.zeros([1, 1, 1, 8])], tf.constant([2, 3])

  def index(quality, integers=None):
    with levels.at(conditional.level_weights([quality], 3)):
      return network(*inputs, integers=integers).numpy()[0, 0, 0]

  # Half the logarithm of 10, in table entries, for a tenth of the beta.
  step = round(0.5 * np.log(10) / np.log(256 / 0.11) * 63)
  np.testing.assert_array_equal(index(1.0), [2, 30, 60])
  np.testing.assert_array_equal(index(0.0), [0, 30 - step, 60 - step])
  np.testing.assert_array_equal(index(2.0), [2 + step, 30 + step, 63])
  network._level_offset.assign(np.array([[-8, 0, 4], [0, 0, 0], [1, 5, -5]]) / 32.0)
  frozen = network.freeze()
  assert bool(network.is_exact_here(frozen, tf.constant(0.0)))
  for quality, offset in (
    (0.0, [-8, 0, 4]),
    (0.4375, [-4.5, 0, 2.25]),
    (1.5, [0.5, 2.5, -2.5]),
  ):
    expected = np.clip(np.round(offset) + np.array([2, 30, 60]), 0, 63)
    np.testing.assert_array_equal(index(quality), expected)
    np.testing.assert_array_equal(index(quality, frozen), expected)


def test_the_self_test_covers_the_offsets(model, monkeypatch):
  prior = model.inter.residual_prior
  frozen = prior.freeze_index()
  assert bool(prior.is_exact_here(frozen, tf.constant(0.0)))
  exact = conditional.level_weights
  monkeypatch.setattr(
    index_network.conditional, "level_weights", lambda *args: exact(*args) * 1.01
  )
  assert not bool(prior.is_exact_here(frozen, tf.constant(0.0)))


def test_files_of_every_quality_decode_bit_for_bit(codec, frames):
  sizes = []
  for quality in QUALITIES:
    file = io.BytesIO()
    with coding.CompressedVideoWriter(
      codec, file, 52, 40, 25, gop=3, quality=quality
    ) as writer:
      sent = [writer.write(frame).reconstruction for frame in frames]
    file.seek(0)
    with coding.CompressedVideoReader(codec, file) as stream:
      assert stream.header.quality == round(16 * quality)
      np.testing.assert_array_equal(list(stream), sent)
    sizes.append(len(file.getvalue()))
  assert sizes[-1] > 1.15 * sizes[0]


def test_the_export_codes_as_the_model_does(codec, model, frames):
  x = tf.constant(frames[None, :2] / 255.0, tf.float32)
  for quality in (0.0, 3.25):
    expected = model(x, quality=tf.constant(quality)).reconstruction[0]
    inputs = {"quality": tf.constant(quality)}
    coded = codec.signatures["encode_intra"](frame=tf.constant(frames[0]), **inputs)
    image = np.round(np.clip(expected[0], 0, 1) * 255)
    assert np.abs(coded["reference"].numpy().astype(int) - image).max() <= 1


def test_whole_clips_take_a_quality(codec, frames):
  inputs = {"gop": tf.constant(2), "quality": tf.constant(1.5)}
  coded = codec.signatures["compress"](frames=tf.constant(frames), **inputs)
  decoded = codec.signatures["decompress"](
    strings=coded["strings"], size=tf.constant([40, 52]), **inputs
  )["frames"]
  encoder = coding.Encoder(codec, gop=2, quality=1.5)
  for frame, here in zip(frames, decoded):
    np.testing.assert_array_equal(encoder.encode(frame).reconstruction, here)


def test_metadata_and_fingerprint(codec, model, tiny_codec, monkeypatch):
  assert codec.max_quality == 6 and codec.exact_index
  assert codec.metadata["betas"] == list(model.config.model.betas)
  assert "beta" not in codec.metadata
  # A codec of one rate is described as before there were others.
  described = export._described(tiny_codec.config.model)
  assert not {"variable_rate", "betas"} & set(described)
  assert export._described(model.config.model)["variable_rate"] is True

  def fingerprint():
    return json.loads(export.CodecModule(model).metadata)["fingerprint"]

  assert bytes.fromhex(fingerprint()) == codec.fingerprint
  (offset,) = [
    v for v in model.inter.motion_prior.trainable_variables if "offset" in v.name
  ]
  value = offset.numpy()
  offset.assign(value + 1 / 32)
  assert bytes.fromhex(fingerprint()) != codec.fingerprint
  offset.assign(value)


@pytest.mark.parametrize("betas", [(1e-3,), (1e-3, 1e-2), (1e-2, 0.0), (1e-2,) * 2])
def test_betas_that_cannot_be_levels(betas):
  config = config_of()
  config.model.betas = betas
  with pytest.raises(ValueError, match=r"config.model.betas is .* 2 to 16 positive"):
    registry.build(config)


@pytest.mark.parametrize("name", ["tat", "ssf_tp"])
def test_any_codec_can_be_of_variable_rate(name, clips):
  model = build(config_of(name))
  low, high = (model.rate_distortion(clips, quality=q)["bpp"] for q in (0.0, 6.0))
  assert float(low) < float(high)
  with tf.GradientTape() as tape:
    loss = model.rate_distortion(clips, tf.constant([0, 1]))["loss"]
  gradients = tape.gradient(loss, model.trainable_variables)
  assert all(g is not None and np.all(np.isfinite(g)) for g in gradients)
