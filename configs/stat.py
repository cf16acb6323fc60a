"""Config of the codec `stat`; see `tfafs.models.codec.variants`."""

from tfafs.configs import codec


def get_config(size="default"):
  """Config of size "default", "paper" or "tiny"."""
  return codec.get_config("stat", size)
