"""The quality at which a clip meets a rate or a PSNR, found by encoding it."""

from collections.abc import Sequence
from typing import Callable, NamedTuple, Optional

from tfafs.coding.packing import QUALITY_STEPS

TOLERANCE = {"bpp": 0.01, "psnr": 0.05}
"""How near to a target a search ends: part of the rate, dB. Where a sixteenth of a level
is a larger step than this, it ends at the last sixteenth before the target."""


class Trial(NamedTuple):
  """One encoding of a clip.

  Attributes:
    quality: what it was encoded at.
    bpp: bits per pixel of the stream, header and framing included.
    psnr: mean over frames, dB.
  """

  quality: float
  bpp: float
  psnr: float

  def __str__(self) -> str:
    return (
      f"quality {self.quality:g}: {self.bpp:.4f} bits per pixel, {self.psnr:.2f} dB"
    )


class Target(NamedTuple):
  """What to meet.

  Attributes:
    measure: "bpp", a rate that is not exceeded, or "psnr", a quality that is reached.
    value: bits per pixel, or dB.
  """

  measure: str
  value: float

  def is_met(self, trial: Trial) -> bool:
    """Whether a trial keeps within the target."""
    value = getattr(trial, self.measure)
    return value <= self.value if self.measure == "bpp" else value >= self.value

  def is_near(self, trial: Trial) -> bool:
    """Whether a trial is as near as `TOLERANCE` asks."""
    scale = self.value if self.measure == "bpp" else 1.0
    distance = abs(getattr(trial, self.measure) - self.value)
    return distance <= TOLERANCE[self.measure] * scale

  def __str__(self) -> str:
    unit = "bits per pixel" if self.measure == "bpp" else "dB"
    return f"{self.value:g} {unit}"


def find_quality(
  encode: Callable[[float], Trial],
  max_quality: int,
  target: Target,
  on_trial: Optional[Callable[[Trial], None]] = None,
) -> Trial:
  """Bisects for the highest quality within a rate, or the lowest that reaches a PSNR.

  Takes up to 7 encodings for the 97 qualities of 7 levels. Rate and PSNR are taken to
  grow with quality; where they do not, what is found still meets the target.

  Args:
    encode: encodes the clip at a quality.
    max_quality: highest quality; the lowest is 0.
    target: what to meet.
    on_trial: called after each encoding.

  Returns:
    The trial that meets the target best. It may lie far from it only at the end of the
    range: at quality 0 with a higher PSNR, or at `max_quality` with a lower rate.

  Raises:
    ValueError: no quality meets the target; names the nearest.
  """
  # What is surely below a rate is surely below a PSNR: both grow.
  low, high = -1, QUALITY_STEPS * max_quality + 1
  trials: dict[int, Trial] = {}
  while high - low > 1:
    step = (low + high) // 2
    trial = trials[step] = encode(step / QUALITY_STEPS)
    if on_trial:
      on_trial(trial)
    met = target.is_met(trial)
    if met and target.is_near(trial):
      return trial
    if met == (target.measure == "bpp"):
      low = step
    else:
      high = step
  found = low if target.measure == "bpp" else high
  if found in trials:
    return trials[found]
  nearest = _nearest(list(trials.values()), target)
  raise ValueError(
    f"target_{target.measure} is out of reach: the nearest to {target} is {nearest}"
  )


def _nearest(trials: Sequence[Trial], target: Target) -> Trial:
  return min(trials, key=lambda t: abs(getattr(t, target.measure) - target.value))


def choose(
  bpp: Optional[float], psnr: Optional[float], quality: Optional[float]
) -> Optional[Target]:
  """The target that flags state, None if there is none.

  Args:
    bpp: --target_bpp.
    psnr: --target_psnr.
    quality: --quality.

  Raises:
    ValueError: more than one is given, or a target is not positive.
  """
  given = [value for value in (bpp, psnr, quality) if value is not None]
  if len(given) > 1:
    raise ValueError("give one of --quality, --target_bpp and --target_psnr")
  for measure, value in (("bpp", bpp), ("psnr", psnr)):
    if value is not None:
      if not 0 < value < float("inf"):
        raise ValueError(f"--target_{measure}={value:g}: give a positive number")
      return Target(measure, value)
  return None
