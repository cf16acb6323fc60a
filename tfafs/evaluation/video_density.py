"""What a density of video is worth: likelihood, its parts, and correlation in time.

The protocol of paper 000: a clip of each test sequence, the last ten of its frames scored,
mean over frames and sequences, nats per dimension with Gaussian dequantisation. Clips,
dequantisation and latents are drawn from fixed seeds, so that a figure comes out again.
"""

import math
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from tfafs.evaluation import temporal_correlation
from tfafs.layers import dequantization
from tfafs.models import filtering

BATCH_SIZE = 16


class VideoFigures(NamedTuple):
  """Figures of a model on clips, means over all of them unless said otherwise.

  Attributes:
    num_clips: Clips.
    scored_frames: Frames of each that the likelihood is a mean over, its last.
    nats_per_dimension: Negative log-likelihood or bound, plus ln 256.
    standard_error: Of it, over clips, as if each were independent of the others, which
      those of one recording are not; None of a single one.
    bits_per_dimension: The same in bits.
    nats_per_frame: Without ln 256.
    nats_per_sequence: The same of all scored frames of a clip.
    dequantization: Name of the noise; figures of different noise are not comparable.
    is_bound: Whether it is a bound of the likelihood.
    num_samples: Paths of latents that the bound is a mean over.
    importance_weighted: Nats per dimension of the tighter bound, of all frames that are
      modelled; None for a single sample or without a latent variable.
    reconstruction: Its parts, nats per frame: log-density of the noise,
    kl: divergence of the posterior from the prior,
    logdet: log-determinant of the transforms.
    data_correlation: Temporal correlation of the frames that are modelled.
    data_correlation_magnitude: Mean magnitude over all places; no signs cancel in it.
    noise_correlation: Of the noise that the transforms leave of them,
    noise_correlation_magnitude: and its magnitude.
    per_clip: Nats per dimension of each clip.
  """

  num_clips: int
  scored_frames: int
  nats_per_dimension: float
  standard_error: Optional[float]
  bits_per_dimension: float
  nats_per_frame: float
  nats_per_sequence: float
  dequantization: str
  is_bound: bool
  num_samples: int
  importance_weighted: Optional[float]
  reconstruction: float
  kl: float
  logdet: float
  data_correlation: float
  data_correlation_magnitude: float
  noise_correlation: float
  noise_correlation_magnitude: float
  per_clip: list


def measure(model, clips, seed: int = 0, num_samples: int = 1) -> VideoFigures:
  """Measures a model.

  Args:
    model: A `ClipDensity`.
    clips: Dataset of float32 [time, size, size, channels] in [0, 1], multiples of 1 / 255.
    seed: Of dequantisation and latents.
    num_samples: Paths of latents for each clip.

  Returns:
    `VideoFigures`.

  Raises:
    ValueError: no clip.
  """
  weighted = model.cell is not None and num_samples > 1
  kind = model.config.model.dequantization

  @tf.function(autograph=False)
  def run(batch, seed):
    seeds = tf.random.experimental.stateless_split(seed, 2)
    x = dequantization.dequantize(batch, kind, seeds[0])
    noise = model.to_noise(x)
    # Of several samples both bounds come from the same terms.
    terms = model.noise_terms(noise, seeds[1], num_samples, analytic_kl=not weighted)
    weights = model.scored(terms.kl.shape[2])
    parts = [tf.reduce_mean(term, 0) @ weights[:, None] for term in terms]
    bound = filtering.iwae(terms) if weighted else tf.zeros(tf.shape(batch)[:1])
    frames = x[:, model.burn_in :]
    return tf.concat(parts, 1) / tf.reduce_sum(weights), bound, frames, noise.values

  correlations = [temporal_correlation.TemporalCorrelation() for _ in range(2)]
  parts, bounds = [], []
  for number, batch in enumerate(clips.batch(BATCH_SIZE)):
    rows, bound, *frames = run(batch, tf.constant([seed, number]))
    parts.append(rows.numpy())
    bounds.append(bound.numpy())
    for correlation, values in zip(correlations, frames):
      correlation.update(values.numpy())
  if not parts:
    raise ValueError("there is no clip to measure")
  parts = np.concatenate(parts).astype(np.float64)
  reconstruction, kl, logdet = parts.mean(0)
  losses = -(parts[:, 0] - parts[:, 1] + parts[:, 2])
  units = model.units(float(losses.mean()))
  dimensions = math.prod(model.frame_shape)
  per_clip = losses / dimensions + math.log(dequantization.LEVELS)
  modelled = frames[1].shape[1]
  of_data, of_noise = (correlation.result() for correlation in correlations)
  return VideoFigures(
    num_clips=len(losses),
    scored_frames=model.config.data.scored_frames,
    nats_per_dimension=units.nats_per_dimension,
    standard_error=_standard_error(per_clip),
    bits_per_dimension=units.bits_per_dimension,
    nats_per_frame=units.nats_per_frame,
    nats_per_sequence=units.nats_per_sequence,
    dequantization=kind,
    is_bound=model.cell is not None,
    num_samples=num_samples if model.cell is not None else 1,
    importance_weighted=model.units(
      -float(np.mean(np.concatenate(bounds))) / modelled
    ).nats_per_dimension
    if weighted
    else None,
    reconstruction=float(reconstruction),
    kl=float(kl),
    logdet=float(logdet),
    data_correlation=of_data.value,
    data_correlation_magnitude=of_data.magnitude,
    noise_correlation=of_noise.value,
    noise_correlation_magnitude=of_noise.magnitude,
    per_clip=per_clip.tolist(),
  )


def _standard_error(values):
  """Standard error of a mean: the unbiased deviation over the root of the count."""
  if len(values) < 2:
    return None
  return float(np.std(values, ddof=1) / math.sqrt(len(values)))
