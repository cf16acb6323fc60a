import importlib.util
import pathlib

import numpy as np
import pytest

from tfafs.coding.codec import Codec

_PATH = pathlib.Path(__file__).with_name("png_codec.py")
_SPEC = importlib.util.spec_from_file_location("png_codec", _PATH)
png_codec = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(png_codec)


@pytest.fixture(scope="session")
def export_png_codec():
  """Function that writes a PNG codec's SavedModel; see png_codec.py."""
  return png_codec.export


@pytest.fixture(scope="session")
def saved_model(tmp_path_factory):
  return png_codec.export(tmp_path_factory.mktemp("png") / "saved_model")


@pytest.fixture(scope="session")
def codec(saved_model):
  return Codec.load(saved_model)


@pytest.fixture(scope="session")
def other_codec(tmp_path_factory):
  path = tmp_path_factory.mktemp("other") / "saved_model"
  return Codec.load(png_codec.export(path, seed="other"))


@pytest.fixture(scope="session")
def ssf_codec(tiny_saved_model):
  """The untrained stat_ssf_sp, as exported."""
  return Codec.load(tiny_saved_model)


@pytest.fixture(scope="session")
def frames():
  """Seven frames of 21x17, every one another."""
  random = np.random.default_rng(0)
  background = random.integers(0, 256, [17, 21, 3], np.uint8)
  clip = np.stack([np.roll(background, t, axis=1) for t in range(7)])
  clip[:, :5, :5] = random.integers(0, 256, [7, 5, 5, 3], np.uint8)
  return clip
