"""Where a run computes: `--strategy`."""

import tensorflow as tf

from tfafs.training import errors


def make_strategy(name="default") -> tf.distribute.Strategy:
  """Makes the distribution strategy of a run.

  Args:
    name: "default" is one device, the first GPU where there is one. "mirrored" is
      every GPU of this machine, with the batch split among them. "tpu:NAME" is the
      TPU of that name ("tpu:local" on a TPU VM), which wants `--jit_compile`-able
      models with static shapes. A `tf.distribute.Strategy` is taken as it is.

  Returns:
    The strategy, under whose scope the model is built.

  Raises:
    RunError: for an unknown name or a TPU that cannot be reached.
  """
  if isinstance(name, tf.distribute.Strategy):
    return name
  if name == "default":
    return tf.distribute.get_strategy()
  if name == "mirrored":
    return tf.distribute.MirroredStrategy()
  if name.startswith("tpu:"):
    try:
      resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=name[4:])
      tf.config.experimental_connect_to_cluster(resolver)
      tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, OSError, tf.errors.OpError) as error:
      reason = str(error).splitlines()[0]
      raise errors.RunError(f"strategy {name!r}: no such TPU: {reason}") from error
    return tf.distribute.TPUStrategy(resolver)
  raise errors.RunError(
    f"Unknown strategy {name!r}. Known: default, mirrored, tpu:NAME."
  )
