"""Config of the density of video `videoflow_af`; see `tfafs.models.video.variants`."""

from tfafs.configs import videoflow


def get_config(size="default"):
  """Config of size "default", "paper" or "tiny"."""
  return videoflow.get_config(size, "videoflow_af")
