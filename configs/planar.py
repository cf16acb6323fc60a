"""Config of the density model `planar`; see `tfafs.models.density.variants`."""

from tfafs.configs import density


def get_config(size="default"):
  """Config of size "default", "paper" or "tiny"."""
  num_flows = 2 if size == "tiny" else 32
  return density.get_config("planar", size, num_flows=num_flows)
