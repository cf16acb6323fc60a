"""Config of the density model `bnaf`; see `tfafs.models.density.variants`."""

from tfafs.configs import density


def get_config(size="default"):
  """Config of size "default", "paper" or "tiny"."""
  hidden_units = (8,) if size == "tiny" else (50, 50, 50)
  return density.get_config(
    "bnaf",
    size,
    num_flows=1,
    hidden_units=hidden_units,
    activation="leaky_tanh",
    residual="gated",
    permutation="flip",
  )
