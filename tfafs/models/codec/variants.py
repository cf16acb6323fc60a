"""The codecs of paper 001 as a table: transform x prior of the residual."""

from typing import NamedTuple

from tfafs.models.codec import frames, transforms


class Variant(NamedTuple):
  """A row of the table.

  Attributes:
    gain: Whether the scale of the transform is learned (STAT) or 1.
    structured_prior: Whether the prior of the residual reads the motion (SP).
    description: What `bin/train --help` says of it.
  """

  gain: bool
  structured_prior: bool
  description: str


VARIANTS = {
  "ssf": Variant(False, False, "scale-space flow (Agustsson et al. 2020)"),
  "ssf_sp": Variant(False, True, "SSF with structured prior p(v | w)"),
  "stat_ssf": Variant(True, False, "SSF with a learned scale (STAT)"),
  "stat_ssf_sp": Variant(True, True, "STAT-SSF with structured prior"),
}


def build_inter_codec(config, dtype) -> frames.InterFrameCodec:
  """Assembles the inter-frame codec that `config.name` names from its row."""
  variant = VARIANTS[config.name]
  transform = transforms.ScaleSpaceTransform(config, variant.gain, dtype)
  return frames.InterFrameCodec(config, transform, variant.structured_prior, dtype)
