import ml_collections
import numpy as np
import pytest
import tensorflow as tf

from tfafs import datasets
from tfafs.datasets import density_2d


@pytest.mark.parametrize("name", density_2d.NAMES)
def test_batches_depend_on_seed_and_number_alone(name):
  config = ml_collections.ConfigDict({"dataset": name})
  whole = list(datasets.make_dataset(config, 8, seed=3).take(4))
  resumed = list(datasets.make_dataset(config, 8, start_index=16, seed=3).take(2))
  np.testing.assert_array_equal(whole[2:], resumed)
  assert whole[0].shape == [8, 2] and whole[0].dtype == tf.float32
  assert len(np.unique(np.reshape(whole, [-1, 2]), axis=0)) == 32
  other = next(iter(datasets.make_dataset(config, 8, seed=4)))
  assert np.all(np.abs(other - whole[0]) > 0)


@pytest.mark.parametrize("name", ["8gaussians", "4gaussians", "checkerboard"])
def test_samples_have_the_density_that_is_given(name):
  edges = np.linspace(-4.5, 4.5, 19)
  points = density_2d.sample(name, 200_000, (1, 2)).numpy()
  counts = np.histogram2d(points[:, 0], points[:, 1], (edges, edges))[0] / len(points)
  fine = np.linspace(-4.5, 4.5, 18 * 20, endpoint=False) + 0.0125
  grid = tf.constant(np.stack(np.meshgrid(fine, fine, indexing="ij"), -1))
  density = np.exp(density_2d.log_density(name, grid)) * 0.025**2
  cells = density.reshape(18, 20, 18, 20).sum((1, 3))
  np.testing.assert_allclose(cells.sum(), 1.0, atol=5e-3)
  assert np.max(np.abs(counts - cells)) < 5 * np.sqrt(cells.max() / len(points))


def test_entropies():
  np.testing.assert_allclose(density_2d.entropy("checkerboard"), np.log(32), 1e-5)
  # Wide apart: the entropy of one component and of the choice.
  apart = np.log(2 * np.pi * np.e * 0.4**2) + np.log(4)
  np.testing.assert_allclose(density_2d.entropy("4gaussians"), apart, atol=0.01)
  assert density_2d.entropy("moons", 10) is None


def test_shapes_of_the_others():
  rings = np.linalg.norm(density_2d.sample("rings", 3000, (1, 2)), axis=1)
  assert np.mean(np.min(np.abs(rings[:, None] - [1, 2, 3]), 1) < 0.25) > 0.99
  spirals = density_2d.sample("2spirals", 5000, (1, 2)).numpy()
  # A half turn maps one arm to the other: odd moments vanish.
  assert np.all(np.abs(spirals.mean(0)) < 0.1)
  assert 3.0 < np.max(np.linalg.norm(spirals, axis=1)) < 4.2
  assert np.all(np.abs(density_2d.sample("moons", 500, (1, 2))) < 4)


@pytest.mark.parametrize(
  "name, value",
  # Quadrature with another grid and program, wall included.
  [("u1", 1.8775), ("u2", 2.6254), ("u3", 3.1850), ("u4", 3.2540)],
)
def test_normalizers(name, value):
  np.testing.assert_allclose(density_2d.log_normalizer(name), value, atol=2e-4)
  axis = tf.range(-9.0, 9.0, 0.05)
  grid = tf.stack(tf.meshgrid(axis, axis), -1)
  total = tf.reduce_sum(tf.exp(density_2d.log_density(name, grid))) * 0.05**2
  np.testing.assert_allclose(total, 1.0, atol=1e-3)


def test_energies_by_the_papers_formulas():
  x = np.random.default_rng(0).uniform(-4, 4, [50, 2])
  z1, z2 = x.T
  w1, w2 = np.sin(np.pi * z1 / 2), 3 * np.exp(-0.5 * ((z1 - 1) / 0.6) ** 2)
  w3 = 3 / (1 + np.exp(-(z1 - 1) / 0.3))

  def two(a, b, s, t):
    return -np.log(np.exp(-0.5 * (a / s) ** 2) + np.exp(-0.5 * (b / t) ** 2) + 1e-9)

  expected = {
    "u1": 0.5 * ((np.hypot(z1, z2) - 2) / 0.4) ** 2 + two(z1 - 2, z1 + 2, 0.6, 0.6),
    "u2": 0.5 * ((z2 - w1) / 0.4) ** 2,
    "u3": two(z2 - w1, z2 - w1 + w2, 0.35, 0.35),
    "u4": two(z2 - w1, z2 - w1 + w3, 0.4, 0.35),
  }
  for name, energy in expected.items():
    np.testing.assert_allclose(
      density_2d.energy(name, tf.constant(x)), energy, 1e-9, 1e-9
    )
  far = tf.constant([[8.0, 0.0]], tf.float64)
  near = density_2d.energy("u2", tf.constant([[4.0, 0.0]], tf.float64))
  np.testing.assert_allclose(density_2d.energy("u2", far), near + 4.0, 1e-9)


def test_errors():
  with pytest.raises(ValueError, match="Unknown density 'u9'"):
    density_2d.sample("u9", 1, (0, 0))
  with pytest.raises(ValueError, match="must be one of 8gaussians"):
    datasets.make_dataset(ml_collections.ConfigDict({"dataset": "video"}), 8)
  with pytest.raises(ValueError, match="must be one of synthetic, video"):
    config = ml_collections.ConfigDict({"dataset": "8gaussians"})
    datasets.make_dataset(config, 8, 3, 16)
