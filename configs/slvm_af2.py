"""Config of the density of video `slvm_af2`; see `tfafs.models.video.variants`."""

from tfafs.configs import video


def get_config(size="default"):
  """Config of size "default", "paper" or "tiny"."""
  return video.get_config("slvm_af2", size)
