"""The density models of video by name: how many transforms, over what base."""

from typing import NamedTuple


class Variant(NamedTuple):
  """A row of the table.

  Attributes:
    num_flows: Temporal affine autoregressive transforms, one upon another.
    latent: Whether a sequential latent variable model is the base, or white noise.
    lstm_layers: Of its prior and of its posterior; the paper gives the model without a
      flow one more, so that it has the most weights.
    description: One line for `--help`.
  """

  num_flows: int
  latent: bool
  lstm_layers: int
  description: str


VARIANTS = {
  "af1": Variant(1, False, 0, "One temporal flow over white noise; density of video."),
  "af2": Variant(2, False, 0, "Two temporal flows over white noise."),
  "slvm": Variant(0, True, 2, "Sequential latent variable model of video."),
  "slvm_af1": Variant(1, True, 1, "The same of what one temporal flow leaves."),
  "slvm_af2": Variant(2, True, 1, "The same of what two temporal flows leave."),
}


class VideoFlowVariant(NamedTuple):
  """A row of the table of VideoFlows.

  Attributes:
    temporal_flow: Whether the latents of each level go through a temporal flow.
    description: One line for `--help`.
  """

  temporal_flow: bool
  description: str


VIDEOFLOW = {
  "videoflow": VideoFlowVariant(False, "Glow of each frame, latents with a past."),
  "videoflow_af": VideoFlowVariant(True, "The same, a temporal flow on each level."),
}
