"""Config of VideoFlow, the density of video `videoflow`, and of `videoflow_af`."""

import ml_collections
from tfafs.configs import video

from tfafs.models.video import variants


def get_config(size="default", name="videoflow"):
  """Config of size "default", "paper" or "tiny".

  Args:
    size: "default": about a quarter of an hour on two cores; "paper": sizes of VideoFlow
      for BAIR robot pushing, steps of paper 000; "tiny": seconds, for tests.
    name: Name of the model.
  """
  config = video.new_config(name)
  model, data, training = config.model, config.data, config.training
  model.dequantization = "uniform"
  # Levels of Glow, steps of each, channels inside of the couplings.
  glow = model.glow = ml_collections.ConfigDict()
  glow.levels, glow.depth, glow.width = 3, 4, 32
  # Frames that the prior reads, residual blocks, channels inside of them.
  prior = model.prior = ml_collections.ConfigDict()
  prior.window, prior.blocks, prior.width = 3, 2, 16
  if variants.VIDEOFLOW[name].temporal_flow:
    prior.flow_width = 16  # The same of the temporal flows' networks.

  # Clips that all normalisations take their start from, before the first step.
  training.initial_clips = 16
  # A step is on a random part of each clip, of so many frames; 0 for the whole.
  training.patch_frames = 5
  # Price of the first frames, of which no past is known; the published model has none.
  training.burn_in_weight = 0.0
  # A quarter of an hour at twice the measured 1.4 and 0.55 steps per second of one core.
  training.steps = 1000 if variants.VIDEOFLOW[name].temporal_flow else 2500
  training.learning_rate = 1e-3
  # Adam takes out what scales all gradients alike. So this sets no size of a step: it
  # keeps a rare large gradient from filling Adam's means for many steps, and where most
  # are larger, makes all of them count alike.
  training.clip_norm = 100.0
  training.warmup_steps = 50
  training.beta_1, training.beta_2, training.epsilon = 0.9, 0.999, 1e-7

  if size == "paper":
    glow.depth, glow.width = 24, 512
    prior.blocks, prior.width = 5, 256
    if "flow_width" in prior:
      prior.flow_width = 256
    data.dataset, data.channels = "bair_robot_pushing_small", 3
    data.batch_size, data.eval_clips = 5, 256
    training.initial_clips, training.patch_frames = 128, 4
    # The steps are paper 000's (B.4), the rest is VideoFlow's; see docs/video_density.md.
    training.steps, training.learning_rate, training.decay_at = 100_000, 3e-4, 1.0
    training.clip_norm, training.warmup_steps = 0.0, 10_000
    training.beta_1, training.beta_2, training.epsilon = 0.85, 0.997, 1e-6
    training.log_every, training.checkpoint_every = 100, 1000
    training.image_every = 5000
  elif size == "tiny":
    glow.levels, glow.depth, glow.width = 2, 1, 4
    prior.blocks, prior.width = 1, 3
    if "flow_width" in prior:
      prior.flow_width = 3
    data.image_size, data.batch_size, data.scored_frames = 16, 2, 3
    data.num_frames, data.eval_clips = 6, 2
    training.initial_clips, training.patch_frames = 2, 5
    training.steps, training.warmup_steps = 6, 2
    training.log_every, training.checkpoint_every, training.image_every = 2, 2, 4
  return config
