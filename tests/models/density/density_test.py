import numpy as np
import pytest
import tensorflow as tf

from tfafs.datasets import density_2d
from tfafs.models import registry
from tfafs.models.density import variants
from tfafs.training import optimizers


def build(name="bnaf", dataset="8gaussians", **model):
  tf.keras.utils.set_random_seed(0)
  config = registry.load_config(name, "tiny")
  config.data.dataset = dataset
  config.model.update(model)
  return registry.build(config)


def compiled(model):
  model.compile(optimizers.make_optimizer(model.config.training))
  model.optimizer.build(model.trainable_variables)
  return model


@pytest.mark.parametrize("name", variants.VARIANTS)
@pytest.mark.parametrize("dataset", ["8gaussians", "u2"])
def test_a_step_lowers_the_loss_and_moves_every_variable(name, dataset):
  model = compiled(build(name, dataset))
  assert model.trainable_variables
  batch = density_2d.sample(dataset, 64, (0, 1))
  before = [variable.numpy() for variable in model.trainable_variables]
  step = tf.function(model.train_step)
  losses = [float(step(batch)["loss"]) for _ in range(15)]
  assert losses[-1] < losses[0]
  moved = [np.any(v != b) for v, b in zip(model.trainable_variables, before)]
  assert all(moved)


def test_loss_is_the_likelihood_of_the_distribution():
  model = build()
  batch = density_2d.sample("8gaussians", 16, (0, 1))
  terms = model.terms(batch)
  expected = -np.mean(model.distribution.log_prob(tf.identity(batch)))
  np.testing.assert_allclose(terms["loss"], expected, 1e-6)
  np.testing.assert_allclose(terms["nats_per_dimension"], expected / 2, 1e-6)


def test_divergence_is_that_of_a_gaussian_by_quadrature():
  """A flow that is made the identity: KL(normal || exp(-U) / Z)."""
  model = build("realnvp", "u2")
  for variable in model.trainable_variables:
    variable.assign(tf.zeros_like(variable))
  axis = np.arange(-9, 9, 0.03)
  grid = tf.constant(np.stack(np.meshgrid(axis, axis), -1))
  log_q = -0.5 * np.sum(np.square(grid), -1) - np.log(2 * np.pi)
  log_p = -density_2d.energy("u2", grid) - density_2d.log_normalizer("u2")
  expected = np.sum(np.exp(log_q) * (log_q - log_p)) * 0.03**2
  terms = model.divergence(density_2d.sample("u2", 100_000, (1, 2)))
  error = np.std(terms) / np.sqrt(100_000)
  assert abs(np.mean(terms) - expected) < 4 * error


@pytest.mark.parametrize("dataset", ["8gaussians", "u1"])
def test_exported_model_needs_no_library_and_agrees(dataset, tmp_path):
  model = build(dataset=dataset)
  for _ in range(2):  # The second replaces the first.
    model.export_density(tmp_path / "saved")
  assert [p.name for p in tmp_path.iterdir()] == ["saved"]
  loaded = tf.saved_model.load(str(tmp_path / "saved"))
  x = tf.random.stateless_normal([7, 2], [1, 2])
  for function in (loaded.log_prob, loaded.signatures["log_prob"]):
    np.testing.assert_allclose(function(x=x)["log_prob"], model(x), 1e-4, 1e-4)
  one, same, other = (loaded.sample(count=5, seed=[1, seed])["x"] for seed in (2, 2, 3))
  assert one.shape == [5, 2]
  np.testing.assert_array_equal(one, same)
  assert np.all(np.abs(one - other) > 0)


def test_bad_config():
  with pytest.raises(ValueError, match=r"data\.dataset must be one of 8gaussians"):
    build(dataset="synthetic")
  with pytest.raises(ValueError, match="activation must be one of"):
    build(activation="relu")
