"""Every model that `--model` names: its family, its configs, how to build it."""

import importlib
from typing import Callable, NamedTuple

import ml_collections

from tfafs.models.codec import codec, variants
from tfafs.models.density import density
from tfafs.models.density import variants as density_variants
from tfafs.models.video import variants as video_variants
from tfafs.models.video import video, videoflow

SIZES = ("default", "paper", "tiny")


class ModelSpec(NamedTuple):
  """A named model.

  Attributes:
    family: Package under `tfafs.models`, such as "codec".
    description: One line for `--help`.
    build: Function from the config to a built Keras model.
  """

  family: str
  description: str
  build: Callable


def _build_codec(config):
  model = codec.VideoCodec(config)
  size = 64
  model.build_on([1, codec.MIN_FRAMES, size, size, 3])
  return model


MODELS = {
  name: ModelSpec("codec", variant.description, _build_codec)
  for name, variant in variants.VARIANTS.items()
}
MODELS.update(
  {
    name: ModelSpec("density", description, density.build)
    for name, description in density_variants.VARIANTS.items()
  }
)
MODELS.update(
  {
    name: ModelSpec("video", variant.description, video.build)
    for name, variant in video_variants.VARIANTS.items()
  }
)
MODELS.update(
  {
    name: ModelSpec("video", variant.description, videoflow.build)
    for name, variant in video_variants.VIDEOFLOW.items()
  }
)


def spec(name: str) -> ModelSpec:
  """Looks a model up; ValueError lists the known names."""
  if name not in MODELS:
    raise ValueError(f"Unknown model {name!r}. Known models: {', '.join(MODELS)}.")
  return MODELS[name]


def load_config(name: str, size: str = "default") -> ml_collections.ConfigDict:
  """Config of a model.

  Args:
    name: Name of the model.
    size: "default" trains on two CPU cores, "paper" has the published sizes and
      schedule, "tiny" tests in seconds.

  Returns:
    A config that can be changed before it is built.
  """
  spec(name)
  if size not in SIZES:
    raise ValueError(f"Unknown config size {size!r}. Known sizes: {', '.join(SIZES)}.")
  return importlib.import_module(f"tfafs.configs.{name}").get_config(size)


def build(config):
  """Builds the model of a config, with all its variables."""
  return spec(config.model.name).build(config)
