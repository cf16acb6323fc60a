"""Coding of single frames: a codec's networks, range coders and state together.

What the export, the benchmarks and the tests code with. All is batch 1.
"""

from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from tfafs.models.codec import range_coding, state


class CodedFrame(NamedTuple):
  """A frame as it was coded or decoded.

  Attributes:
    state: The `State` behind it; its reference is the decoded frame.
    latents: Dict from part ("intra"; "motion", "residual") to `CodedLatent`.
    strings: string [parts], or None if it was decoded.
    bits: float32 [parts], the bits that each string should take, or None.
  """

  state: state.State
  latents: dict
  strings: Optional[tf.Tensor] = None
  bits: Optional[tf.Tensor] = None


class FrameCoder:
  """Codes frames with a trained codec, and decodes them.

  Attributes:
    coders: Dict from the name of a prior to its `LatentRangeCoder`.
    state_format: `StateFormat` of the codec.
    intra_parts: Names of the strings of intra frames.
    inter_parts: Names of the strings of inter frames.
  """

  intra_parts = ("latent", "hyper_latent")

  def __init__(self, model):
    """Builds the tables from a trained `VideoCodec`."""
    self._intra, self._inter = model.intra, model.inter
    tables = range_coding.scale_tables()
    priors = {"intra": model.intra.prior, **model.inter.prior_of}
    self.coders = {
      name: range_coding.LatentRangeCoder(prior, tables)
      for name, prior in priors.items()
    }
    config = model.config.model
    self._stride = int(np.prod(config.strides))
    self.state_format = state.StateFormat(
      model.inter.is_temporal, config.filters[-1], self._stride
    )
    self.inter_parts = tuple(
      part + suffix
      for part in (["motion"] if model.inter.has_motion else []) + ["residual"]
      for suffix in ("", "_hyper")
    )

  def is_exact_here(self, zero):
    """Whether this machine finds the indexes that every other does: a bool tensor."""
    return tf.reduce_all([c.is_exact_here(zero) for c in self.coders.values()])

  def encode_intra(self, frame) -> CodedFrame:
    """Codes a frame, float32 [1, height, width, 3], without a reference."""
    latent, reconstruction = self._intra(frame)
    strings, bits = self.coders["intra"].encode(latent)
    after = state.behind_intra(_finite(reconstruction))
    return CodedFrame(after, {"intra": latent}, strings, bits)

  def decode_intra(self, strings, size) -> CodedFrame:
    """Decodes a frame of `size` (int32 [2], height and width) without a reference."""
    latent = self.coders["intra"].decode(strings, self._latent_size(size))
    after = state.behind_intra(self._intra.reconstruct(latent.value, size))
    return CodedFrame(after, {"intra": latent})

  def encode_inter(self, frame, before: state.State) -> CodedFrame:
    """Codes a frame, float32 [1, height, width, 3], given the state before it."""
    coded = self._inter(frame, before)
    latents, strings, bits = {"residual": coded.residual}, [], []
    if coded.motion is not None:
      latents = {"motion": coded.motion, **latents}
      motion, motion_bits = self.coders["motion"].encode(coded.motion)
      strings, bits = [motion], [motion_bits]
    residual, residual_bits = self._inter.with_residual_prior(
      lambda name, context: self.coders[name].encode(coded.residual, context),
      before,
      coded.motion,
    )
    after = state.behind_inter(_finite(coded.reconstruction), coded.residual.symbols)
    strings = tf.concat([*strings, residual], 0)
    return CodedFrame(after, latents, strings, tf.concat([*bits, residual_bits], 0))

  def decode_inter(self, strings, before: state.State) -> CodedFrame:
    """Decodes a frame given the state before it."""
    size = self._latent_size(tf.shape(before.reference)[1:3])
    latents, motion = {}, None
    if self._inter.has_motion:
      motion = latents["motion"] = self.coders["motion"].decode(strings[:2], size)
    residual = self._inter.with_residual_prior(
      lambda name, context: self.coders[name].decode(strings[-2:], size, context),
      before,
      motion,
    )
    image = self._inter.reconstruct(before.reference, motion, residual)
    after = state.behind_inter(image, residual.symbols)
    return CodedFrame(after, {**latents, "residual": residual})

  def _latent_size(self, size):
    return (size + self._stride - 1) // self._stride


def _finite(image):
  return range_coding.checked(image, "the reconstruction is not finite")
