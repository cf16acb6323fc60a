"""The exact index branch: integers in and out, the same under any order of summation."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.models import registry
from tfafs.models.codec import index_network

SIZE = (7, 5)
CHANNELS = 6


def network_of(structured, exact=True, seed=0):
  """An index network with weights as training may leave them, and its inputs."""
  hyper = registry.load_config("stat_ssf_sp", "tiny").model.hyper
  hyper.exact_index = exact
  network = index_network.IndexNetwork(
    CHANNELS, hyper, structured, np.linspace(5, 40, CHANNELS), "index"
  )
  rng = np.random.default_rng(seed)
  inputs = [
    np.round(rng.normal(size=(1, 2, 2, hyper.channels)) * 6).astype(np.float32)
    for _ in range(2 if structured else 1)
  ]
  context = np.round(rng.normal(size=(1, *SIZE, CHANNELS)) * 30).astype(np.float32)
  arguments = (inputs, tf.constant(SIZE), (context,) if structured else ())
  network(*arguments)
  for variable in network.trainable_variables:
    if "kernel" in variable.name:
      variable.assign_add(rng.normal(size=variable.shape) * 0.1)
  return network, arguments


@pytest.mark.parametrize("structured", [False, True])
def test_indexes_are_integers_of_the_table_that_differ(structured):
  network, arguments = network_of(structured)
  index = network(*arguments).numpy()
  assert index.shape == (1, *SIZE, CHANNELS)
  np.testing.assert_array_equal(index, np.round(index))
  assert index.min() >= 0 and index.max() <= 63
  assert len(np.unique(index)) > 10


@pytest.mark.parametrize("structured", [False, True])
def test_frozen_integers_give_the_same_in_every_mode(structured):
  network, arguments = network_of(structured)
  expected, integers = network(*arguments), network.freeze()
  for jit in (None, True):
    call = tf.function(
      lambda *x: network(*x, integers=integers),
      jit_compile=jit,
    )
    np.testing.assert_array_equal(call(*arguments), expected)


def test_starts_at_the_index_it_is_given():
  hyper = registry.load_config("stat_ssf_sp", "tiny").model.hyper
  start = np.linspace(0, 63, CHANNELS)
  network = index_network.IndexNetwork(CHANNELS, hyper, False, start, "index")
  index = network([tf.ones([1, 2, 2, hyper.channels])], tf.constant(SIZE))
  np.testing.assert_array_equal(index, np.broadcast_to(np.round(start), index.shape))


def test_the_context_reaches_the_index():
  network, (inputs, size, (context,)) = network_of(True)
  moved = context.copy()
  moved[0, 3, 2] += 12
  assert np.any(network(inputs, size, (context,)) != network(inputs, size, (moved,)))


@pytest.mark.parametrize("structured", [False, True])
def test_integers_stay_near_the_real_network_they_stand_for(structured):
  """The same weights without rounding: indexes that are a few of 63 apart at most."""
  exact, arguments = network_of(structured)
  real, _ = network_of(structured, exact=False)
  real.set_weights(exact.get_weights())
  assert real.freeze() is None
  here, there = exact(*arguments).numpy(), real(*arguments).numpy()
  assert np.mean(np.abs(here - there)) < 1 < np.std(there) / 5
