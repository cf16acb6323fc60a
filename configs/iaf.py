"""Config of the density model `iaf`; see `tfafs.models.density.variants`."""

from tfafs.configs import density


def get_config(size="default"):
  """Config of size "default", "paper" or "tiny"."""
  num_flows, hidden_units = (2, (8,)) if size == "tiny" else (5, (64, 64))
  return density.get_config(
    "iaf", size, num_flows=num_flows, hidden_units=hidden_units, scalar="tfp"
  )
