"""The codecs of paper 001 as a table: transform x prior of the residual."""

import functools
from collections.abc import Sequence
from typing import Callable, NamedTuple

from tfafs.models.codec import conditions, frames, transforms


class Variant(NamedTuple):
  """A row of the table.

  Attributes:
    description: What `bin/train --help` says of it.
    transform: From config and dtype policy to the transform of the reference.
    prior: What the prior of the residual reads beside its hyper-latent, each from config
      and dtype policy to a layer.
    noise_reads_motion: Whether the noise is decoded from v and w, or from v alone.
  """

  description: str
  transform: Callable
  prior: Sequence[Callable] = ()
  noise_reads_motion: bool = True


TAT = functools.partial(transforms.ConvolutionalTransform, reads_motion=False)
STAT = functools.partial(transforms.ConvolutionalTransform, reads_motion=True)
SSF = functools.partial(transforms.ScaleSpaceTransform, gain=False)
STAT_SSF = functools.partial(transforms.ScaleSpaceTransform, gain=True)
DVC = transforms.BilinearTransform

SP = conditions.MotionCondition
TP = conditions.ResidualCondition
TP_PLUS = conditions.ReferenceCondition

VARIANTS = {
  "tat": Variant("shift and scale from the reference alone (Yang et al. 2020)", TAT),
  "dvc": Variant("bilinear warp, noise from v alone (Lu et al. 2019)", DVC, (), False),
  "ssf": Variant("scale-space flow (Agustsson et al. 2020)", SSF),
  "ssf_sp": Variant("SSF with structured prior p(v | w)", SSF, (SP,)),
  "ssf_tp": Variant("SSF with temporal prior p(v_t | v_{t-1})", SSF, (TP,)),
  "ssf_tp_plus": Variant("SSF with prior p(v_t | last frame)", SSF, (TP_PLUS,)),
  "stat": Variant("shift and scale from reference and motion latent", STAT),
  "stat_sp": Variant("STAT with structured prior", STAT, (SP,)),
  "stat_ssf": Variant("SSF with a learned scale (STAT)", STAT_SSF),
  "stat_ssf_sp": Variant("STAT-SSF with structured prior", STAT_SSF, (SP,)),
  "stat_ssf_sp_tp_plus": Variant(
    "STAT-SSF-SP whose prior reads the last frame too", STAT_SSF, (SP, TP_PLUS)
  ),
}


def build_inter_codec(config, dtype) -> frames.InterFrameCodec:
  """Assembles the inter-frame codec that `config.name` names from its row."""
  variant = VARIANTS[config.name]
  return frames.InterFrameCodec(
    config,
    variant.transform(config, dtype),
    [condition(config, dtype) for condition in variant.prior],
    variant.noise_reads_motion,
    dtype,
  )
