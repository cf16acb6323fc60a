"""What the config of a density of video may hold."""

from tfafs.layers import dequantization


def check(config) -> None:
  """Refuses values that would give no density, or end a run in a traceback."""
  kind = config.model.dequantization
  dequantization.check(kind)
  if kind not in dequantization.FLOORS:
    raise ValueError(
      f"model.dequantization={kind} leaves 8-bit values, which have no density: set it to "
      f"one of {', '.join(dequantization.FLOORS)}."
    )
  data, training = config.data, config.training
  if data.channels not in (1, 3):
    raise ValueError(f"data.channels must be 1 or 3, not {data.channels}.")
  if data.eval_clips < 1:
    raise ValueError(f"data.eval_clips must be at least 1, not {data.eval_clips}.")
  for name in ("kl_start", "kl_steps", "free_nats"):
    value = getattr(training, name)
    if not value >= 0:
      raise ValueError(f"training.{name} must be at least 0, not {value}.")


def check_videoflow(config) -> None:
  """Refuses sizes that VideoFlow cannot have."""
  model, data, training = config.model, config.data, config.training
  levels, prior = model.glow.levels, model.prior
  positive = {
    "model.glow.levels": levels,
    "model.glow.depth": model.glow.depth,
    "model.glow.width": model.glow.width,
    "model.prior.window": prior.window,
    "model.prior.blocks": prior.blocks,
    "model.prior.width": prior.width,
    "model.prior.flow_width": prior.get("flow_width", 1),
  }
  for name, value in positive.items():
    if value < 1:
      raise ValueError(f"{name} must be at least 1, not {value}.")
  if data.image_size % 2**levels:
    raise ValueError(
      f"data.image_size is {data.image_size}; with model.glow.levels={levels} it must be a "
      f"multiple of {2**levels}."
    )
  if training.patch_frames and not prior.window < training.patch_frames <= (
    data.num_frames
  ):
    raise ValueError(
      f"training.patch_frames is {training.patch_frames}; it must be 0, for whole clips, "
      f"or {prior.window + 1} to data.num_frames={data.num_frames}."
    )
  if training.initial_clips < 1:
    raise ValueError(
      f"training.initial_clips must be at least 1, not {training.initial_clips}."
    )
  if training.burn_in_weight < 0:
    raise ValueError(
      f"training.burn_in_weight must be at least 0, not {training.burn_in_weight}."
    )


def check_frames(config, burn_in: int) -> None:
  """Refuses clips too short for the frames that are to be scored."""
  data, needed = config.data, burn_in + config.data.scored_frames
  if data.scored_frames < 1 or data.num_frames < needed:
    raise ValueError(
      f"data.num_frames is {data.num_frames}; {config.model.name} reads {burn_in} frames "
      f"and scores data.scored_frames={data.scored_frames} (at least 1): set it to "
      f"{needed} or more."
    )
