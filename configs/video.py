"""Config that the densities of video share. Sizes: default, paper, tiny."""

import ml_collections

from tfafs.models.video import variants


def new_config(name: str) -> ml_collections.ConfigDict:
  """What the configs of all densities of video have in common."""
  config = ml_collections.ConfigDict()
  model = config.model = ml_collections.ConfigDict()
  model.name = name
  # Noise that makes 8-bit data continuous: "gaussian" (of paper 000's own models) or
  # "uniform".
  model.dequantization = "gaussian"

  data = config.data = ml_collections.ConfigDict()
  # Any of `datasets.clips.NAMES`; all but the first want a path.
  data.dataset = "moving_digits"
  data.path = ""
  data.test_path = (
    ""  # Of "video" and "arrays"; by default a part of `path` is held out.
  )
  data.manual_dir = ""  # Of "kth", if TFDS has not prepared it yet.
  data.time_major = False  # Of "arrays": frames before sequences.
  data.raw_size = ""
  data.fit = "crop"  # Or "stretch": what becomes of frames that are not square.
  # Of the training sequences, or digits: how many are used.
  data.fraction = 1.0
  data.image_size = 64
  data.channels = 1
  data.batch_size = 8
  # Frames of a clip, and of those the last that figures are a mean over.
  data.num_frames, data.scored_frames = 13, 10
  data.frame_interval = 1
  data.cache_dir = ""
  # How many test clips the figures after training are a mean over.
  data.eval_clips = 64

  training = config.training = ml_collections.ConfigDict()
  training.learning_rate = 5e-4
  training.decay_at = 0.8
  training.decay_factor = 0.1
  training.clip_norm = 1.0
  # Weight of the divergence at the start, steps until it is 1, and what of a step's
  # divergence has no price.
  training.kl_start, training.kl_steps, training.free_nats = 1.0, 0, 0.0
  training.seed = 0
  training.log_every = 50
  training.checkpoint_every = 250
  training.image_every = 250
  training.jit_compile = False
  return config


def get_config(name: str, size: str) -> ml_collections.ConfigDict:
  """Config of a density of video.

  Args:
    name: Name of the model.
    size: "default": ten minutes or so on two cores; "paper": sizes and schedule
      of paper 000, Appendix B, for Moving MNIST; "tiny": seconds, for tests.
  """
  variant = variants.VARIANTS[name]
  config = new_config(name)
  model, data, training = config.model, config.data, config.training
  if variant.num_flows:
    flow = model.flow = ml_collections.ConfigDict()
    flow.window = 3
    flow.filters, flow.encoder_layers, flow.fusion_layers = 16, 2, 2
    # Whether shifts are predicted as differences to the newest frame.
    flow.predict_change = False
    flow.head_initializer = "zeros"
    flow.max_scale = 10.0
  if variant.latent:
    latent = model.latent = ml_collections.ConfigDict()
    latent.size, latent.lstm_units, latent.prior_units = 64, 128, (128, 128)
    latent.code_size, latent.filters = 64, (16, 32, 64, 128)
    latent.activation = "leaky_relu"

  data.num_frames = 10 + max(3, 3 * variant.num_flows)
  # A step of two transforms takes twice as long.
  data.batch_size = 4 if variant.num_flows > 1 else 8
  # A step at full resolution takes two to three times as long as the latent model.
  training.steps = 1500 if variant.num_flows else 4000

  if size == "paper":
    if variant.num_flows:
      flow.filters, flow.encoder_layers, flow.fusion_layers = 64, 4, 4
    if variant.latent:
      latent.size, latent.lstm_units, latent.prior_units = 256, 256, (256, 256)
      latent.code_size, latent.filters = 128, (64, 128, 256, 512)
    data.batch_size, data.eval_clips = 16, 1000
    training.steps = 100_000 if variant.num_flows else 200_000
    training.learning_rate, training.decay_at = 1e-4, 1.0
    training.log_every, training.checkpoint_every = 100, 1000
    training.image_every = 5000
  elif size == "tiny":
    if variant.num_flows:
      flow.filters, flow.encoder_layers, flow.fusion_layers = 4, 1, 1
    if variant.latent:
      latent.size, latent.lstm_units, latent.prior_units = 4, 8, (8,)
      latent.code_size, latent.filters = 8, (4, 8)
    data.image_size, data.batch_size, data.scored_frames = 16, 2, 3
    data.num_frames = 3 + max(1, 3 * variant.num_flows)
    data.eval_clips = 2
    training.steps = 6
    training.log_every, training.checkpoint_every, training.image_every = 2, 2, 4
  return config
