"""Config that all density models share. Sizes: default, paper, tiny."""

import ml_collections


def get_config(name: str, size: str, **flow) -> ml_collections.ConfigDict:
  """Config of a density model.

  Args:
    name: Name of the model.
    size: "default": a minute on two cores; "paper": the steps and batches of paper 003,
      section 5.1, and its authors' code; "tiny": seconds, for tests.
    **flow: Fields of `model` beside its name.
  """
  config = ml_collections.ConfigDict()
  config.model = ml_collections.ConfigDict({"name": name, **flow})

  data = config.data = ml_collections.ConfigDict()
  # Any of `datasets.density_2d.NAMES`.
  data.dataset = "8gaussians"
  data.batch_size = 200
  # Points for the figures and pictures after training.
  data.eval_points = 50_000

  training = config.training = ml_collections.ConfigDict()
  training.steps = 1500
  training.learning_rate = 0.03
  training.decay_at = 0.6
  training.decay_factor = 0.1
  training.clip_norm = 0.1
  # Part of the steps over which the weight of an energy rises to 1.
  training.anneal_until = 0.3
  training.seed = 0
  training.log_every = 250
  training.checkpoint_every = 500
  training.image_every = 500
  training.jit_compile = False

  if size == "paper":
    training.steps = 20_000
    training.log_every, training.checkpoint_every = 1000, 1000
  elif size == "tiny":
    data.batch_size, data.eval_points = 64, 1000
    training.steps = 20
    training.log_every, training.checkpoint_every, training.image_every = 5, 5, 10
  return config
