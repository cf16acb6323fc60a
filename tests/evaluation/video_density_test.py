import numpy as np
import pytest
import tensorflow as tf

from tfafs.datasets import clips
from tfafs.evaluation import temporal_correlation, video_density
from tfafs.layers import dequantization
from tfafs.models import filtering, registry


def model(name):
  tf.keras.utils.set_random_seed(0)
  model = registry.build(registry.load_config(name, "tiny"))
  for variable in model.variables:
    if "head" in variable.name:
      variable.assign_add(0.1 * tf.random.stateless_normal(variable.shape, [1, 2]))
  return model


def data(model, count=20):
  config = model.config.data
  return clips.evaluation_dataset(config, config.num_frames, count, "test", 7)


def test_figures_of_a_flow_are_those_of_its_density():
  """Over two batches, of the last three of four frames, in natural units plus ln 256."""
  flow = model("af1")
  flow.config.data.num_frames = 7
  figures = video_density.measure(flow, data(flow), seed=3)
  losses, frames, noise = [], [], []
  for number, batch in enumerate(data(flow).batch(16)):
    seeds = tf.random.experimental.stateless_split([3, number], 2)
    x = dequantization.dequantize(batch, "gaussian", seeds[0])
    losses.append(-flow(x)[:, -3:].numpy().astype(np.float64).mean(1))
    frames.append(x[:, 3:])
    noise.append(flow.to_noise(x).values)
  losses = np.concatenate(losses) / 256 + np.log(256)
  np.testing.assert_allclose(figures.per_clip, losses, 1e-5)
  np.testing.assert_allclose(figures.nats_per_dimension, losses.mean(), 1e-5)
  np.testing.assert_allclose(
    figures.bits_per_dimension, losses.mean() / np.log(2), 1e-5
  )
  # The mean's variance: squares about it over n (n - 1).
  squares = np.sum((losses - losses.mean()) ** 2)
  np.testing.assert_allclose(figures.standard_error, np.sqrt(squares / 380), 1e-4)
  assert figures.num_clips == 20 and figures.scored_frames == 3
  assert not figures.is_bound and figures.kl == 0
  total = figures.reconstruction - figures.kl + figures.logdet
  np.testing.assert_allclose(-total, figures.nats_per_frame, 1e-9)
  np.testing.assert_allclose(
    figures.nats_per_sequence, 3 * figures.nats_per_frame, 1e-9
  )
  for name, parts in (("data", frames), ("noise", noise)):
    expected = temporal_correlation.TemporalCorrelation()
    expected.update(np.concatenate(parts))
    expected = expected.result()
    value = getattr(figures, f"{name}_correlation")
    magnitude = getattr(figures, f"{name}_correlation_magnitude")
    np.testing.assert_allclose(value, expected.value, 1e-5)
    np.testing.assert_allclose(magnitude, expected.magnitude, 1e-5)
  assert figures.data_correlation > 0.1


def test_bounds_of_several_samples():
  slvm = model("slvm")
  for variable in slvm.trainable_variables:  # A posterior that is far from the prior.
    if "posterior_loc" in variable.name:
      variable.assign(40 * variable)
  figures = [video_density.measure(slvm, data(slvm, 6), 1, n) for n in (1, 8)]
  assert figures[0].is_bound and figures[0].importance_weighted is None
  assert figures[0].num_samples == 1 and figures[1].num_samples == 8
  assert figures[1].kl > 0.1
  # The weighted one is of all modelled frames; so here is the mean of the samples.
  x = tf.stack(list(data(slvm, 6)))
  seeds = tf.random.experimental.stateless_split([1, 0], 2)
  x = dequantization.dequantize(x, "gaussian", seeds[0])
  terms = slvm.step_terms(x, seeds[1], 8, analytic_kl=False)
  dimensions = terms.kl.shape[2] * 256
  mean = -np.mean(filtering.elbo(terms)) / dimensions + np.log(256)
  expected = -np.mean(filtering.iwae(terms)) / dimensions + np.log(256)
  np.testing.assert_allclose(figures[1].importance_weighted, expected, 1e-5)
  assert expected < mean


def test_the_same_figures_every_time():
  slvm = model("slvm_af1")
  first, second = (video_density.measure(slvm, data(slvm, 3), 5) for _ in range(2))
  assert first == second
  assert first != video_density.measure(slvm, data(slvm, 3), 6)
  assert video_density.measure(slvm, data(slvm, 1), 5).standard_error is None
  with pytest.raises(ValueError, match="no clip to measure"):
    video_density.measure(slvm, data(slvm, 3).take(0))
