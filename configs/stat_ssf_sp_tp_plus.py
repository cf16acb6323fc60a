"""Config of the codec `stat_ssf_sp_tp_plus`; see `tfafs.models.codec.variants`."""

from tfafs.configs import codec


def get_config(size="default"):
  """Config of size "default", "paper" or "tiny"."""
  return codec.get_config("stat_ssf_sp_tp_plus", size)
