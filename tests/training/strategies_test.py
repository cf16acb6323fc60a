import pytest
import tensorflow as tf

from tfafs.training import errors, strategies


def test_names():
  assert strategies.make_strategy() is tf.distribute.get_strategy()
  assert isinstance(
    strategies.make_strategy("mirrored"), tf.distribute.MirroredStrategy
  )
  one = tf.distribute.OneDeviceStrategy("CPU:0")
  assert strategies.make_strategy(one) is one


def test_unknown_name_lists_the_known():
  with pytest.raises(errors.RunError, match="Known: default, mirrored, tpu:NAME"):
    strategies.make_strategy("horovod")


def test_a_tpu_that_is_not_there():
  with pytest.raises(errors.RunError, match="no such TPU") as caught:
    strategies.make_strategy("tpu:local")
  assert "\n" not in str(caught.value)
