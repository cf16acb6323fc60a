"""The density models by name: which flow, in a line."""

VARIANTS = {
  "bnaf": "Block neural autoregressive flow of paper 003, with samples.",
  "maf": "Masked autoregressive flow: density in one pass.",
  "realnvp": "Real NVP: affine couplings, both ways in one pass.",
  "planar": "Planar flow, the paper's comparator for density matching.",
  "iaf": "Inverse autoregressive flow: samples in one pass.",
  "sylvester": "Orthogonal or Householder Sylvester flow.",
}
"""From the name of a model, also that of its flow in `bijectors.presets`."""
