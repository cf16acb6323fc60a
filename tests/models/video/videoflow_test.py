"""VideoFlow: published sizes, its density, samples, start, training, export."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.layers import dequantization
from tfafs.models import registry
from tfafs.models.video import videoflow
from tfafs.training import optimizers

tfd = tfp.distributions
NAMES = ("videoflow", "videoflow_af")


def make(name="videoflow_af", seed=0, moved=True, **fields):
  """A tiny model; moved, it has been started by data and is nowhere the identity."""
  tf.keras.utils.set_random_seed(seed)
  config = registry.load_config(name, "tiny")
  config.update_from_flattened_dict(fields)
  model = registry.build(config)
  if moved:
    model.initialize_from(clips(model, batch=4))
    for i, variable in enumerate(model.trainable_variables):
      noise = tf.random.stateless_normal(variable.shape, [seed, i])
      variable.assign_add(0.05 * noise)
  return model


def clips(model, batch=2, time=None, seed=1):
  shape = [batch, time or model.config.data.num_frames, *model.frame_shape]
  levels = tf.random.stateless_uniform(shape, [seed, 0], 0, 256, tf.int32)
  return tf.cast(levels, tf.float32) / 255


@pytest.mark.parametrize(
  "depth, width, flow_width, count",
  [
    (24, 256, None, 67_493_660),  # Of BAIR, the published "roughly 67 million".
    (12, 128, None, 32_472_188),  # Of paper 000, "roughly 32 million".
    (12, 128, 128, 32_472_188 + 4_971_272),
  ],
)
def test_published_sizes(depth, width, flow_width, count):
  name = "videoflow_af" if flow_width else "videoflow"
  config = registry.load_config(name, "paper")
  config.model.glow.depth, config.model.prior.width = depth, width
  if flow_width:
    config.model.prior.flow_width = flow_width
  model = videoflow.VideoFlow(config)
  sizes = [int(np.prod(v.shape)) for v in model.trainable_variables]
  assert sum(sizes) == count


def test_density_by_jacobian_and_prior():
  """log |dz/dx| of a frame by its whole Jacobian, Gaussians of its latents by TFP."""
  model = make(**{"data.image_size": 4})
  x = clips(model, batch=1)
  actual = model(x)[0].numpy()

  def flat_latents(frame):
    latents = model.flow.inverse(tf.reshape(frame, [1, 4, 4, 1]))
    return tf.concat([tf.reshape(z, [-1]) for z in latents], 0)

  log_dets = []
  for frame in x[0, 3:]:
    frame = tf.reshape(frame, [-1])
    with tf.GradientTape() as tape:
      tape.watch(frame)
      z = flat_latents(frame)
    jacobian = tape.jacobian(z, frame).numpy().astype(np.float64)
    assert np.abs(jacobian - np.diag(np.diag(jacobian))).max() > 0.1
    log_dets.append(np.linalg.slogdet(jacobian)[1])
  latents = [model.flow.inverse(frame[tf.newaxis]) for frame in x[0]]
  for t in range(3, 6):
    kept, expected = None, log_dets[t - 3]
    for level in (1, 0):  # From coarse to fine; each frame and level by itself.
      prior, z = model.priors[level], latents[t][level]
      past = tf.stack([latents[t - 3 + i][level][0] for i in range(3)])[tf.newaxis]
      condition = None
      if kept is not None:
        outputs = prior._without_past(kept)
        condition = outputs[:, tf.newaxis, :, :, 0::2]
      mean, log_deviation = (v[:, 0] for v in prior.base(past, condition))
      shift, log_scale = (v[:, 0] for v in prior.flow(past))
      u = (z - shift) / tf.exp(log_scale)
      expected += tf.reduce_sum(tfd.Normal(mean, tf.exp(log_deviation)).log_prob(u))
      expected -= tf.reduce_sum(log_scale)
      h = z if kept is None else tf.concat([kept, z], -1)
      kept = model.flow.levels[level].forward(h)
    np.testing.assert_allclose(actual[t - 3], expected, 1e-4)


def test_first_frames_have_a_density_too():
  """It has no past; its price is of the config, and is what makes its weights move."""
  model = make("videoflow", **{"training.burn_in_weight": 0.5})
  x = clips(model)
  noise, scales = model.to_noise(x), model.flow.split(x)
  expected = scales.log_det[:, :3]
  for prior, z, kept in zip(model.priors, scales.latents, scales.kept):
    like = z[:, :3]
    outputs = prior._without_past(tf.zeros_like(like) if kept is None else kept[:, :3])
    normal = tfd.Normal(outputs[..., 0::2], tf.exp(outputs[..., 1::2]))
    expected += tf.reduce_sum(normal.log_prob(like), [2, 3, 4])
  np.testing.assert_allclose(noise.burn_in_log_prob, expected, 1e-4)
  with_price = model.terms(x, (1, 2))
  seed = tf.random.experimental.stateless_split((1, 2), 2)[0]
  noisy = dequantization.dequantize(x, "uniform", seed)
  price = -0.5 * tf.reduce_mean(model.to_noise(noisy).burn_in_log_prob)
  model.config.training.burn_in_weight = 0.0
  model.priors[-1]._without_past.norm.bias.assign_add([1e30] * 16)
  without = model.terms(x, (1, 2))  # An infinite density without a price is none.
  np.testing.assert_allclose(with_price["loss"] - without["loss"], price, 1e-3)
  np.testing.assert_allclose(without["loss"], -tf.reduce_mean(model(noisy)), 1e-5)


def test_with_a_flow_it_starts_as_without():
  """Of the same seed; what it has more is the flows' networks, which start at zero."""
  plain = make("videoflow", moved=False)
  flow = make("videoflow_af", moved=False)
  own = {id(v) for prior in flow.priors for v in prior.flow.variables}
  shared = [v for v in flow.variables if id(v) not in own]
  assert len(own) > 0 and len(shared) == len(plain.variables)
  for one, other in zip(shared, plain.variables):
    assert one.shape == other.shape and one.name == other.name
  x = clips(plain)
  for model in (plain, flow):
    model.initialize_from(x)
  np.testing.assert_array_equal(flow(x), plain(x))
  context = x[:, :3]
  np.testing.assert_array_equal(
    flow.sample(context, 2, (1, 2)), plain.sample(context, 2, (1, 2))
  )


def test_start_from_data():
  """After it latents are normal; it depends on the data alone and repeats itself."""
  model = make("videoflow", moved=False)
  x = clips(model, batch=8)
  before = np.std(model.pictures(x)["latents"])
  model.initialize_from(x)
  after = model.pictures(x)
  assert abs(np.std(after["latents"]) - 1) < abs(before - 1)
  assert 0.7 < np.std(after["latents"]) < 1.1
  weights = [v.numpy() for v in model.variables]
  model.initialize_from(x)
  for variable, old in zip(model.variables, weights):
    np.testing.assert_array_equal(variable, old)
  model.config.training.seed += 1
  model.initialize_from(x)
  assert any(np.any(v != old) for v, old in zip(model.variables, weights))


def noise_of(model, context, drawn):
  """Noise of each drawn frame, given those before it as the model sees them."""
  low, high = dequantization.RANGES[model.config.model.dequantization]
  noises = []
  for t in range(drawn.shape[1]):
    past = tf.concat([context, tf.clip_by_value(drawn[:, :t], low, high)], 1)
    noise = model.to_noise(tf.concat([past, drawn[:, t : t + 1]], 1))
    noises.append(noise.values[:, -1])
  return tf.stack(noises, 1)


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_the_density_backwards(name):
  model = make(name)
  context = clips(model, time=4)
  drawn = model.sample(context, 4, (1, 2))
  assert drawn.shape == [2, 4, *model.frame_shape]
  np.testing.assert_array_equal(drawn, model.sample(context, 4, (1, 2)))
  assert np.std(drawn - model.sample(context, 4, (1, 3))) > 0.01
  assert np.any((drawn < 0) | (drawn > 1))  # Some are brought back.
  noise = noise_of(model, context, drawn)
  assert abs(np.std(noise) - 1) < 0.05 and abs(np.mean(noise)) < 0.05
  half = model.sample(context, 1, (1, 2), temperature=0.5)
  other = noise_of(model, context, half)
  np.testing.assert_allclose(other, 0.5 * noise[:, :1], atol=1e-3)
  cold = model.sample(context, 3, (1, 2), temperature=0.0)
  np.testing.assert_allclose(
    noise_of(model, context, cold), 0 * noise[:, :3], atol=1e-3
  )
  pictures = model.pictures(tf.concat([context, cold[:, :1]], 1))
  np.testing.assert_allclose(pictures["prediction"][:, 1:], cold[:, :1], atol=1e-3)
  with pytest.raises(ValueError, match=f"{name} reads 3 before the first"):
    model.sample(context[:, :2], 1, (1, 2))


def test_going_on_from_what_was_drawn_is_drawing_more():
  model = make()
  for prior in model.priors:  # Frames that leave the range.
    prior.flow._head.norm.bias.assign_add([0.4, 0.0] * prior.flow._channels)
  context = clips(model, time=3)
  whole = model.sample(context, 4, (1, 2), temperature=0.0)
  first = model.sample(context, 2, (1, 2), temperature=0.0)
  assert np.mean((first < 0) | (first > 1)) > 0.01
  rest = model.sample(tf.concat([context, first], 1), 2, (3, 4), temperature=0.0)
  np.testing.assert_allclose(tf.concat([first, rest], 1), whole, 1e-4, 1e-4)


def test_a_step_lowers_the_loss_and_moves_every_variable():
  fields = {"training.learning_rate": 3e-3, "training.burn_in_weight": 0.1}
  model = make(moved=False, **fields)
  x = clips(model)
  model.initialize_from(x)
  model.compile(optimizers.make_optimizer(model.config.training))
  model.optimizer.build(model.trainable_variables)
  before = [variable.numpy() for variable in model.trainable_variables]
  step = tf.function(model.train_step)
  losses = [float(step(x)["loss"]) for _ in range(12)]
  assert np.mean(losses[-3:]) < np.mean(losses[:3]) - 10
  for variable, old in zip(model.trainable_variables, before):
    # The published model's coarsest latents of the first frames are made of zeros.
    dead = variable.name == "prior_2/first/kernel:0"
    assert np.any(variable != old) != dead, variable.name


def test_training_is_on_parts_of_clips():
  model = make("videoflow", **{"training.patch_frames": 4, "data.num_frames": 7})
  model.compile(optimizers.make_optimizer(model.config.training))
  x = clips(model)
  whole = model.terms(x, (1, 2))
  assert "noise_correlation" in whole
  losses = set()
  for seed in range(12):
    part = model.terms(x, (seed, 2), training=True)
    assert "noise_correlation" not in part  # Of one frame there is none.
    own = tf.random.experimental.stateless_fold_in((seed, 2), 1)
    start = int(tf.random.stateless_uniform([], own, 0, 4, tf.int32))
    expected = model.terms(x[:, start : start + 4], (seed, 2))["loss"]
    np.testing.assert_allclose(part["loss"], expected, 1e-6)
    losses.add(start)
  assert losses == {0, 1, 2, 3}


def test_gaussian_dequantisation_too():
  x = clips(make())
  figures = {}
  for kind in ("gaussian", "uniform"):
    model = make(**{"model.dequantization": kind})
    seed = tf.random.experimental.stateless_split((5, 6), 2)[0]
    expected = -np.mean(model(dequantization.dequantize(x, kind, seed)))
    figures[kind] = float(model.terms(x, (5, 6))["nats_per_dimension"])
    np.testing.assert_allclose(figures[kind], expected / 256 + np.log(256), 1e-5)
  assert figures["gaussian"] != figures["uniform"]


def test_pictures():
  model = make()
  x = clips(model)
  pictures = model.pictures(x)
  assert list(pictures) == ["frame", "prediction", "latents", "noise"]
  for picture in pictures.values():
    assert picture.shape == [2, 3, *model.frame_shape]
  seen = model.visualize(x)
  for name, picture in seen.items():
    assert np.all((picture >= 0) & (picture <= 1)) and np.std(picture) > 0.02, name


def test_exported_model_agrees(tmp_path):
  model = make()
  model.export_density(tmp_path / "saved")
  loaded = tf.saved_model.load(str(tmp_path / "saved"))
  assert int(loaded.burn_in) == 3
  x, seed = clips(model, batch=3, time=5), (1, 2)
  log_prob = loaded.signatures["log_prob"](x=x, seed=tf.constant(seed))["log_prob"]
  np.testing.assert_allclose(log_prob, model(x), 1e-4)
  outputs = loaded.transform(x)
  np.testing.assert_allclose(outputs["noise"], model.to_noise(x).values, 1e-3, 1e-4)
  noises = [
    (outputs[f"latent_{i}"] - outputs[f"shift_{i}"]) / outputs[f"scale_{i}"]
    for i in (1, 2)
  ]
  np.testing.assert_allclose(model.layout.forward(noises), outputs["noise"], 1e-3, 1e-4)
  drawn = loaded.sample(x, 3, 0.5, seed)["x"]
  np.testing.assert_allclose(drawn, model.sample(x, 3, seed, 0.5), 1e-3, 1e-3)
  with pytest.raises(tf.errors.InvalidArgumentError, match="at least 3 frames"):
    loaded.sample(x[:, :2], 3, 0.5, seed)
  noisy = loaded.dequantize(x, seed)["x"]
  np.testing.assert_array_equal(noisy, dequantization.dequantize(x, "uniform", seed))


@pytest.mark.parametrize(
  "fields, words",
  [
    (
      {"data.image_size": 18},
      "data.image_size is 18; with model.glow.levels=2 it must",
    ),
    ({"data.num_frames": 5}, "reads 3 frames and scores data.scored_frames=3"),
    ({"model.glow.depth": 0}, "model.glow.depth must be at least 1, not 0"),
    ({"model.prior.flow_width": 0}, "model.prior.flow_width must be at least 1"),
    ({"training.patch_frames": 3}, "it must be 0, for whole clips, or 4 to"),
    ({"training.patch_frames": 7}, "training.patch_frames is 7"),
    ({"training.initial_clips": 0}, "training.initial_clips must be at least 1"),
    ({"training.burn_in_weight": -1.0}, "burn_in_weight must be at least 0"),
    ({"model.dequantization": "none"}, "dequantization=none leaves 8-bit values"),
  ],
)
def test_refusals(fields, words):
  with pytest.raises(ValueError, match=words):
    make(moved=False, **fields)
