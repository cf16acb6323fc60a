"""Densities of video: published sizes, density, samples, training, export."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.layers import dequantization
from tfafs.models import filtering, registry
from tfafs.models.video import clip_density, variants, video
from tfafs.training import optimizers

SIZES = {
  # Published, in thousands: 343, 363; 686, 726; 11,302, 11,325; 10,592, 10,643 (10,634 by
  # any count). Those hold for each LSTM layer a second bias and learned first states, 6 *
  # 256 in all, and initial parameters: 4 * 256 of the latents, 2 * 64 * 64 * channels of
  # the decoder and of each flow, which take no part.
  ("af1", 1): 335_042,
  ("af1", 3): 338_502,
  ("af2", 1): 670_084,
  ("af2", 3): 677_004,
  ("slvm", 1): 11_287_042,
  ("slvm", 3): 11_293_190,
  ("slvm_af1", 1): 10_571_460,
  ("slvm_af1", 3): 10_581_068,
  ("slvm_af2", 1): 10_906_502,
  ("slvm_af2", 3): 10_919_570,
}
PUBLISHED = {
  ("af1", 1): 343,
  ("af1", 3): 363,
  ("af2", 1): 686,
  ("af2", 3): 726,
  ("slvm", 1): 11_302,
  ("slvm", 3): 11_325,
  ("slvm_af1", 1): 10_592,
}


def make(name="slvm_af1", seed=0, moved=True, **fields):
  """A tiny model; its flows predict something, and its running statistics are set."""
  tf.keras.utils.set_random_seed(seed)
  config = registry.load_config(name, "tiny")
  config.update_from_flattened_dict(fields)
  model = registry.build(config)
  for i, variable in enumerate(model.variables if moved else ()):
    if "head" in variable.name or "moving_mean" in variable.name:
      noise = tf.random.stateless_normal(variable.shape, [seed, i])
      variable.assign_add(0.1 * noise)
  return model


def clips(model, batch=2, time=None, seed=1):
  shape = [batch, time or model.config.data.num_frames, *model.frame_shape]
  levels = tf.random.stateless_uniform(shape, [seed, 0], 0, 256, tf.int32)
  return tf.cast(levels, tf.float32) / 255


@pytest.mark.parametrize("name, channels", SIZES)
def test_published_sizes(name, channels):
  config = registry.load_config(name, "paper")
  config.data.channels = channels
  model = video.VideoDensity(config)
  count = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
  assert count == SIZES[name, channels]
  if (name, channels) in PUBLISHED:
    row = variants.VARIANTS[name]
    maps = row.num_flows + row.latent
    extra = maps * 2 * 64 * 64 * channels
    extra += row.latent * (2 * row.lstm_layers * 6 * 256 + 4 * 256)
    assert round((count + extra) / 1000) == PUBLISHED[name, channels]


def test_published_steps():
  """Appendix B.4, Moving MNIST: 200k for the latent model by itself, else 100k."""
  steps = {
    name: registry.load_config(name, "paper").training.steps
    for name in variants.VARIANTS
  }
  assert steps.pop("slvm") == 200_000
  assert set(steps.values()) == {100_000} and len(steps) == 4


@pytest.mark.parametrize("name", ["af1", "af2", "slvm_af2"])
def test_noise_is_that_of_the_bijector(name):
  model = make(name)
  x = clips(model, time=9)
  noise = model.to_noise(x)
  past, event = x[:, : model.burn_in], x[:, model.burn_in :]
  assert noise.values.shape == event.shape
  expected = model.flow.inverse(event, context=past, training=False)
  np.testing.assert_allclose(noise.values, expected, 1e-4, 1e-5)
  log_det = model.flow.inverse_log_det_jacobian(event, context=past, training=False)
  np.testing.assert_allclose(tf.reduce_sum(noise.logdet, 1), log_det, 1e-4)
  assert np.std(noise.logdet) > 0.1


def test_density_by_the_jacobian():
  """af2 on frames of 2 x 2: log N(y) + log |det dy/dx| with the whole Jacobian."""
  model = make("af2", **{"data.image_size": 2, "data.num_frames": 9})
  x = clips(model, batch=1)
  event = tf.reshape(x[:, 6:], [-1])

  def noise(event):
    event = tf.reshape(event, [1, 3, 2, 2, 1])
    return tf.reshape(model.to_noise(tf.concat([x[:, :6], event], 1)).values, [-1])

  with tf.GradientTape() as tape:
    tape.watch(event)
    y = noise(event)
  jacobian = tape.jacobian(y, event).numpy()
  # Blocks of 4: a frame depends on frames up to itself, on itself by a scale alone.
  frames = jacobian.reshape(3, 4, 3, 4).transpose(0, 2, 1, 3)
  for t in range(3):
    np.testing.assert_array_equal(frames[t, t + 1 :], 0)
    np.testing.assert_array_equal(frames[t, t], np.diag(np.diag(frames[t, t])))
  assert np.all(np.abs(frames[2, 0]).sum(1) > 0)
  _, log_det = np.linalg.slogdet(jacobian.astype(np.float64))
  expected = -0.5 * np.sum(np.square(y)) - 6 * np.log(2 * np.pi) + log_det
  np.testing.assert_allclose(tf.reduce_sum(model(x)), expected, 1e-5)


def test_bound_is_that_of_the_noise_plus_the_log_determinant():
  """And of a model without flow on that noise: the transform only changes the frame."""
  model = make()
  x = clips(model)
  noise = model.to_noise(x)
  terms = model.step_terms(x, (3, 4))
  np.testing.assert_allclose(terms.logdet[0], noise.logdet, 1e-6)
  plain = make("slvm", seed=1, moved=False)
  plain.encoder, plain.decoder, plain.cell = model.encoder, model.decoder, model.cell
  other = plain.step_terms(noise.values, (3, 4))
  np.testing.assert_allclose(terms.reconstruction, other.reconstruction, 1e-5)
  np.testing.assert_allclose(terms.kl, other.kl, 1e-5)
  np.testing.assert_array_equal(other.logdet, 0)
  expected = (other.reconstruction - other.kl)[0] + noise.logdet
  np.testing.assert_allclose(model(x, seed=(3, 4)), expected, 1e-5)


def test_the_filtering_posterior_reads_the_past_only():
  model = make("slvm_af1")
  x = tf.Variable(clips(model, batch=1, time=7))
  with tf.GradientTape(persistent=True) as tape:
    steps = tf.unstack(model(x)[0])
  for t, step in enumerate(steps):
    gradient = tf.reduce_sum(tf.abs(tape.gradient(step, x)), [0, 2, 3, 4])
    later = 3 + t + 1
    assert np.all(gradient[:later] > 0)
    np.testing.assert_array_equal(gradient[later:], 0)


def test_more_samples_tighten_the_bound():
  model = make("slvm")
  for variable in model.trainable_variables:  # A posterior that is far from the prior.
    if "posterior_loc" in variable.name:
      variable.assign(6 * variable)
  x = tf.repeat(clips(model, batch=1), 20, 0)
  bounds = [
    np.mean(filtering.iwae(model.step_terms(x, (1, 2), count, analytic_kl=False)))
    for count in (1, 4, 16)
  ]
  assert bounds[0] < bounds[1] < bounds[2]


@pytest.mark.parametrize("name", variants.VARIANTS)
def test_samples_invert_the_transform(name):
  model = make(name)
  context = clips(model, time=model.burn_in + 1)
  drawn = model.sample(context, 4, (1, 2))
  assert drawn.shape == [2, 4, *model.frame_shape]
  np.testing.assert_array_equal(drawn, model.sample(context, 4, (1, 2)))
  other = model.sample(context, 4, (1, 3))
  assert np.all(np.std(drawn - other, (1, 2, 3, 4)) > 0)
  cold = model.sample(context, 4, (1, 2), temperature=0.0)
  whole = tf.concat([context, cold], 1)
  noise = model.to_noise(whole).values[:, 1:]
  if model.cell is None:
    np.testing.assert_allclose(noise, tf.zeros_like(noise), atol=1e-4)
    warm = model.to_noise(tf.concat([context, drawn], 1)).values
    assert abs(np.std(warm[:, 1:]) - 1) < 0.05
    return
  # Means of the prior after the posterior has read the frame that is not burn-in.
  seed = tf.random.experimental.stateless_split((1, 2), 2)[0]
  state = model.filter_noise(model.to_noise(context), seed).state
  for t in range(4):
    mean = model.cell.prior(state).mean()
    expected = model.emission(mean[:, None]).mean()[:, 0]
    np.testing.assert_allclose(noise[:, t], expected, 1e-3, 1e-4)
    state = model.cell.step(state, mean, None)
  short = context[:, : model.burn_in]
  assert model.sample(short, 2, (0, 1)).shape[1] == 2
  if model.burn_in:
    with pytest.raises(ValueError, match=f"{name} reads {model.burn_in} before"):
      model.sample(short[:, 1:], 2, (0, 1))


@pytest.mark.parametrize("name", variants.VARIANTS)
def test_a_step_lowers_the_loss_and_moves_every_variable(name):
  model = make(name, moved=False, **{"training.learning_rate": 0.01})
  model.compile(optimizers.make_optimizer(model.config.training))
  model.optimizer.build(model.trainable_variables)
  x = clips(model)
  before = [variable.numpy() for variable in model.trainable_variables]
  step = tf.function(model.train_step)
  logs = [step(x) for _ in range(12)]
  losses = [float(log["loss"]) for log in logs]
  assert losses[-1] < losses[0] - 10
  for variable, old in zip(model.trainable_variables, before):
    # A bias before batch normalisation has no effect, and gradients of rounding alone.
    assert np.any(variable != old), variable.name
  per_frame = (logs[0]["nats_per_dimension"] - np.log(256)) * 256
  data = model.config.data
  if data.scored_frames == data.num_frames - model.burn_in:  # All that the loss is of.
    np.testing.assert_allclose(per_frame, losses[0], 1e-4)
  assert set(model.test_step(x)) == set(logs[0])


def test_evaluate_and_fit_give_means_over_clips_each_batch_with_noise_of_its_own(
  tmp_path,
):
  still = {"training.seed": 7, "training.learning_rate": 1e-12}
  model = make("slvm", **still)
  model.compile(optimizers.make_optimizer(model.config.training))
  x = clips(model, 3)
  x = tf.concat([x, x[:2]], 0)
  for _ in range(2):  # Each time from the same start.
    data = tf.data.Dataset.from_tensor_slices(x).batch(2)
    got = model.evaluate(data, return_dict=True, verbose=0)
    seeds = ((7, -1), (7, -3), (7, -5))
    parts = [model.terms(x[i : i + 2], s) for i, s in zip((0, 2, 4), seeds)]
    for name, value in got.items():
      values = [float(part[name]) for part in parts]
      assert len(set(values)) == 3, name
      np.testing.assert_allclose(value, np.dot(values, [2, 2, 1]) / 5, 1e-4)
  assert set(got) == set(parts[0])
  seeds = ((7, 0), (7, 1), (7, 2))
  history = model.fit(data, verbose=0).history
  values = [
    float(model.terms(x[i : i + 2], s, training=True)["loss"])
    for i, s in zip((0, 2, 4), seeds)
  ]
  np.testing.assert_allclose(history["loss"], [np.dot(values, [2, 2, 1]) / 5], 1e-3)
  assert not any("loss" in variable.name for variable in model.variables)
  saved = tf.train.Checkpoint(model=model).save(str(tmp_path / "c"))
  assert not [name for name, _ in tf.train.list_variables(saved) if "_means" in name]


def test_the_weight_of_the_divergence_and_its_free_nats_are_of_training():
  """At step 3 of 10 from 0.2; and none of the divergence costs anything below a limit."""
  model = make("slvm", **{"training.kl_start": 0.2, "training.kl_steps": 10})
  model.compile(optimizers.make_optimizer(model.config.training))
  x = clips(model)
  losses = {}
  for step in (0, 3, 10):
    model.optimizer.iterations.assign(step)
    losses[step] = float(model.terms(x, (5, 6), training=True)["loss"])
  logs = model.terms(x, (5, 6), training=True)
  kl = float(logs["kl_per_frame"])
  assert kl > 0.01
  np.testing.assert_allclose(losses[10] - losses[0], 0.8 * kl, 1e-2)
  np.testing.assert_allclose(losses[10] - losses[3], 0.56 * kl, 1e-2)
  model.config.training.free_nats = 100.0
  raised = model.terms(x, (5, 6), training=True)
  np.testing.assert_allclose(raised["loss"] - losses[10], 100 - kl, 1e-3)
  # Figures are of the bound itself.
  np.testing.assert_array_equal(
    raised["nats_per_dimension"], logs["nats_per_dimension"]
  )


def test_dequantisation_is_part_of_the_model():
  """Uniform noise in place of Gaussian: the same levels, another density."""
  x = clips(make("af1"))
  figures = {}
  for kind in ("gaussian", "uniform"):
    model = make("af1", **{"model.dequantization": kind})
    seeds = tf.random.experimental.stateless_split((5, 6), 2)
    noisy = dequantization.dequantize(x, kind, seeds[0])
    expected = -np.mean(model(noisy)) / 256 + np.log(256)
    figures[kind] = float(model.terms(x, (5, 6))["nats_per_dimension"])
    np.testing.assert_allclose(figures[kind], expected, 1e-5)
  assert figures["gaussian"] != figures["uniform"]


def test_correlation_in_batch():
  rho, random = 0.8, np.random.default_rng(0)
  x = [random.normal(size=(400, 5))]
  for _ in range(19):
    x.append(rho * x[-1] + np.sqrt(1 - rho**2) * random.normal(size=(400, 5)))
  x = np.stack(x, 1)
  x[..., 0] = 7.0  # A value that does not vary counts as uncorrelated.
  assert abs(clip_density.correlation_in_batch(x) - 0.8 * rho) < 0.02
  # Two frames of eight clips, as a step of VideoFlow scores: no correlation of white noise.
  white = random.normal(size=(8, 2, 40_000))
  assert abs(clip_density.correlation_in_batch(white)) < 0.005
  still = np.repeat(white[:, :1], 2, 1)
  np.testing.assert_allclose(clip_density.correlation_in_batch(still), 1)


@pytest.mark.parametrize("name", ["af2", "slvm_af1"])
def test_pictures_put_the_frame_together(name):
  model = make(name)
  x = clips(model)
  pictures = model.pictures(x)
  if name == "af2":
    y = pictures["shift_2"] + tf.exp(pictures["log_scale_2"]) * pictures["noise"]
  else:
    y = pictures["noise"]
    assert set(pictures) >= {"mean", "log_std"}
  frame = pictures["shift"] + tf.exp(pictures["log_scale"]) * y
  np.testing.assert_allclose(frame, x[:, model.burn_in :], atol=1e-4)
  seen = model.visualize(x)
  assert set(seen) == set(pictures)
  for picture in seen.values():
    assert picture.shape == [2, *model.frame_shape]
    assert np.all((picture >= 0) & (picture <= 1))
  assert np.std(seen["frame"]) > 0.1 and np.std(seen["noise"]) > 0.02


@pytest.mark.parametrize("name", ["af2", "slvm", "slvm_af1"])
def test_pictures_are_shown_in_their_units(name):
  """Data from black to white; noise, and what predicts it, from -3 to 3."""
  model = make(name)
  x = clips(model)
  kind = model.config.model.dequantization
  pictures = model.pictures(dequantization.dequantize(x, kind, (0, 1)))
  data = {"frame", "shift", "mean"} if name == "slvm" else {"frame", "shift"}
  for key, seen in model.visualize(x).items():
    value = pictures[key][:, -1]
    expected = value if key in data else 0.5 + value / 6
    np.testing.assert_allclose(seen, np.clip(expected, 0, 1), atol=1e-5, err_msg=key)


@pytest.mark.parametrize("name", ["af2", "slvm_af1"])
def test_exported_model_agrees(name, tmp_path):
  model = make(name)
  for _ in range(2):  # The second replaces the first.
    model.export_density(tmp_path / "saved")
  assert [p.name for p in tmp_path.iterdir()] == ["saved"]
  loaded = tf.saved_model.load(str(tmp_path / "saved"))
  assert int(loaded.burn_in) == model.burn_in
  x, seed = clips(model, batch=3, time=model.burn_in + 4), (1, 2)
  log_prob = loaded.signatures["log_prob"](x=x, seed=tf.constant(seed))["log_prob"]
  np.testing.assert_allclose(log_prob, model(x, seed=seed), 1e-4)
  noise = loaded.transform(x)
  expected = model.to_noise(x)
  np.testing.assert_allclose(noise["noise"], expected.values, 1e-4, 1e-5)
  scale = tf.exp(expected.predictions[-1].log_scale)
  last = "scale_2" if name == "af2" else "scale"
  np.testing.assert_allclose(noise[last], scale, 1e-4, 1e-5)
  drawn = loaded.sample(x, 3, 0.5, seed)["x"]
  np.testing.assert_allclose(drawn, model.sample(x, 3, seed, 0.5), 1e-3, 1e-3)
  short = x[:, : model.burn_in]
  drawn = loaded.sample(short, 3, 0.5, seed)["x"]
  np.testing.assert_allclose(drawn, model.sample(short, 3, seed, 0.5), 1e-3, 1e-3)
  with pytest.raises(
    tf.errors.InvalidArgumentError, match=f"least {model.burn_in} fra"
  ):
    loaded.sample(short[:, 1:], 3, 0.5, seed)
  with pytest.raises(tf.errors.InvalidArgumentError, match="num_frames must be at"):
    loaded.sample(short, 0, 0.5, seed)
  for few in (short, short[:, 1:]):
    for function in (lambda x: loaded.log_prob(x, seed), loaded.transform):
      words = f"x must have at least {model.burn_in + 1} frames"
      with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        function(few)
  noisy = loaded.dequantize(x, seed)["x"]
  np.testing.assert_array_equal(noisy, dequantization.dequantize(x, "gaussian", seed))


@pytest.mark.parametrize(
  "fields, words",
  [
    ({"data.num_frames": 4}, "reads 3 frames and scores data.scored_frames=3"),
    ({"data.image_size": 18}, "its size 18 is no multiple of 4"),
    ({"model.latent.activation": "tanh"}, "activation must be one of leaky_relu"),
    ({"model.dequantization": "triangle"}, "dequantization must be one of gaussian"),
    ({"model.dequantization": "none"}, "dequantization=none leaves 8-bit values"),
    ({"data.channels": 2}, r"data\.channels must be 1 or 3, not 2"),
    ({"data.eval_clips": 0}, r"data\.eval_clips must be at least 1, not 0"),
    ({"training.kl_start": -0.1}, r"training\.kl_start must be at least 0, not -0\.1"),
    ({"training.kl_steps": -1}, r"training\.kl_steps must be at least 0, not -1"),
    ({"training.free_nats": -1.0}, r"training\.free_nats must be at least 0, not -1"),
  ],
)
def test_refusals(fields, words):
  with pytest.raises(ValueError, match=words):
    make("slvm_af1", **fields)
