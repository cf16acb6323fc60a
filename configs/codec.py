"""Config that all codecs share. Sizes: default, paper, tiny (see `get_config`)."""

import ml_collections


def get_config(name: str, size: str) -> ml_collections.ConfigDict:
  """Config of a codec.

  Args:
    name: Name of the codec.
    size: "default": about five minutes of training on two cores; "paper": sizes and
      schedule of paper 001, sections 4.1 and 6.3; "tiny": seconds, for tests.
  """
  config = ml_collections.ConfigDict()

  model = config.model = ml_collections.ConfigDict()
  model.name = name
  # Output channels of the four layers of each analysis; each synthesis mirrors them.
  model.filters = (48, 64, 64, 96)
  model.kernels = (5, 5, 5, 5)
  model.strides = (2, 2, 2, 2)
  model.hyper = ml_collections.ConfigDict()
  model.hyper.channels = 64
  model.hyper.kernels = (3, 5, 5)
  model.hyper.strides = (1, 2, 2)
  # Scale table indexes from exact integer arithmetic: streams decode on any machine.
  model.hyper.exact_index = True
  model.scale_space = ml_collections.ConfigDict()
  model.scale_space.num_levels = 5
  model.scale_space.base_scale = 1.0
  model.scale_space.volume = "pyramid"  # or "blur"
  # Whether the encoder measures optical flow and hands it to the motion analysis.
  model.motion_search = True
  # Weight of bits per pixel against mean squared error on [0, 1].
  model.beta = 1.25e-3
  # Or one codec for many rates: its levels of quality, each with its beta.
  model.variable_rate = False
  model.betas = tuple(float(f"{10 ** (-2 - level / 3):.3g}") for level in range(7))
  model.precision = "float32"  # or "mixed_bfloat16"
  model.export_precision = ""  # Of the exported codec; by default as it is trained.

  data = config.data = ml_collections.ConfigDict()
  data.dataset = "synthetic"  # or "video"
  data.path = ""
  data.raw_size = ""
  data.frame_interval = 1
  data.temporal_reversal = True
  data.downscale = 1
  data.pan = 0
  data.cache_dir = ""
  data.color_matrix = ""
  data.num_frames = 3
  data.batch_size = 4
  data.crop_size = 96
  data.eval_clips = 4

  training = config.training = ml_collections.ConfigDict()
  training.steps = 800
  training.learning_rate = 3e-4
  training.decay_at = 0.75
  training.decay_factor = 0.1
  # The end of training has larger crops, so that it sees the inside of pictures too, in
  # batches of this size; 0: of `data.batch_size`.
  training.large_crop_size = 176
  training.large_crop_from = 0.6
  training.large_crop_batch_size = 1
  # Weight of the squared error of the shift alone, at the start, and the part of all
  # steps over which it fades to 0.
  training.shift_weight = 1.0
  training.shift_until = 0.6
  # What beta weighs bits against: "mse", on [0, 1], or "ms_ssim", 1 - MS-SSIM.
  training.distortion = "mse"
  # Power of 1 / beta that a clip's loss is weighted with, in a codec of variable rate.
  training.level_balance = 0.5
  # Part of the steps that the index network is trained without rounding to integers.
  training.exact_from = 0.6
  training.clip_norm = 1.0
  training.seed = 0
  # Directory of a run of the same parts whose weights this one starts with.
  training.warm_start = ""
  training.log_every = 50
  training.checkpoint_every = 250
  training.image_every = 500
  training.jit_compile = False

  if size == "paper":
    model.filters = (128, 128, 128, 192)
    model.hyper.channels = 192
    model.motion_search, training.shift_weight = False, 0.0
    model.betas = (1e-2, 5e-3, 2.5e-3, 1e-3, 5e-4, 2.5e-4, 1e-4)
    training.level_balance = 0.0
    data.batch_size, data.crop_size, data.frame_interval = 8, 256, 3
    training.steps, training.learning_rate = 1_050_000, 1e-4
    training.decay_at = 0.857
    training.large_crop_size, training.large_crop_from = 384, 0.952
    training.large_crop_batch_size = 0
    training.log_every, training.checkpoint_every, training.image_every = (
      100,
      1000,
      5000,
    )
  elif size == "tiny":
    model.filters = (8, 8, 8, 12)
    model.hyper.channels = 8
    data.batch_size, data.crop_size, data.num_frames = 2, 32, 3
    training.steps = 20
    training.large_crop_size, training.large_crop_from = 48, 0.952
    training.large_crop_batch_size = 0
    training.log_every, training.checkpoint_every, training.image_every = 5, 5, 10
  return config
