"""A small real codec and a small clip for the tests of this folder."""

import hashlib
import importlib.util
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tfafs.coding.codec import Codec

FRAME = tf.TensorSpec([None, None, 3], tf.uint8)


class JpegCodec(tf.Module):
  """JPEG of the frame, then JPEG of half the difference to the frame before."""

  def __init__(self, quality, beta):
    super().__init__()
    self.quality = quality
    self.metadata = json.dumps(
      {
        "model": "toy_jpeg",
        "format_version": 2,
        "fingerprint": hashlib.sha256(b"jpeg%d" % quality).hexdigest(),
        "intra_parts": ["latent", "hyper_latent"],
        "inter_parts": ["motion", "residual"],
        "state": {"reference": {"dtype": "uint8", "shape": [None, None, 3]}},
        "beta": beta,
        "steps": 0,
        "min_size": 16,
        "exact_index": False,
      }
    )

  def _encode(self, image):
    return tf.io.encode_jpeg(image, quality=self.quality, chroma_downsampling=False)

  def _coded(self, strings, reference):
    bits = 8.0 * tf.cast(tf.strings.length(strings), tf.float32)
    return {"strings": strings, "bits": bits, "reference": reference}

  def _decode(self, data):
    return tf.io.decode_jpeg(data, channels=3)

  def _add(self, reference, data):
    difference = 2 * (tf.cast(self._decode(data), tf.int32) - 128)
    frame = tf.cast(reference, tf.int32) + difference
    return tf.cast(tf.clip_by_value(frame, 0, 255), tf.uint8)

  @tf.function(input_signature=[])
  def describe(self):
    return {"metadata": tf.constant(self.metadata)}

  @tf.function(input_signature=[FRAME])
  def encode_intra(self, frame):
    data = self._encode(frame)
    return self._coded(tf.stack([data, tf.constant(b"h")]), self._decode(data))

  @tf.function(
    input_signature=[tf.TensorSpec([2], tf.string), tf.TensorSpec([2], tf.int32)]
  )
  def decode_intra(self, strings, size):
    return {"reference": self._decode(strings[0])}

  @tf.function(input_signature=[FRAME, FRAME])
  def encode_inter(self, frame, reference):
    difference = tf.cast(frame, tf.int32) - tf.cast(reference, tf.int32)
    half = tf.clip_by_value(tf.math.floordiv(difference, 2) + 128, 0, 255)
    data = self._encode(tf.cast(half, tf.uint8))
    strings = tf.stack([tf.constant(b"mv"), data])
    return self._coded(strings, self._add(reference, data))

  @tf.function(input_signature=[tf.TensorSpec([2], tf.string), FRAME])
  def decode_inter(self, strings, reference):
    return {"reference": self._add(reference, strings[1])}


QUALITIES = {0.001: 90, 0.003: 70, 0.01: 40, 0.03: 15}


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
  """Folders of four exported codecs by beta; a larger beta is a lower rate."""
  folder = tmp_path_factory.mktemp("exports")
  paths = {}
  for beta, quality in QUALITIES.items():
    module = JpegCodec(quality, beta)
    paths[beta] = str(folder / f"beta_{beta}")
    names = ["describe", "encode_intra", "decode_intra", "encode_inter", "decode_inter"]
    signatures = {name: getattr(module, name) for name in names}
    tf.saved_model.save(module, paths[beta], signatures=signatures)
  return paths


@pytest.fixture(scope="session")
def variable_export(tmp_path_factory):
  """Folder of an exported codec of seven levels of quality."""
  path = pathlib.Path(__file__).parents[1] / "coding" / "variable_codec.py"
  spec = importlib.util.spec_from_file_location("variable_codec", path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.export(tmp_path_factory.mktemp("variable") / "saved_model")


@pytest.fixture(scope="session")
def codec(exports):
  return Codec.load(exports[0.01])


def make_frames(num_frames, height, width, seed=0):
  """A smooth texture that moves, under a little noise: uint8 [time, H, W, 3]."""
  rng = np.random.default_rng(seed)
  phase = rng.uniform(0, 6.28, [4, 3])
  frequency = rng.uniform(0.05, 0.4, [4, 2])
  y, x = np.mgrid[:height, :width]
  frames = []
  for time in range(num_frames):
    waves = [
      np.sin(fy * (y + time) + fx * (x - 2 * time)) for fy, fx in frequency.tolist()
    ]
    image = 128 + 30 * sum(wave[..., None] * np.cos(p) for wave, p in zip(waves, phase))
    image += rng.normal(0, 2, image.shape)
    frames.append(np.clip(np.round(image), 0, 255).astype(np.uint8))
  return np.stack(frames)


@pytest.fixture(scope="session")
def frames():
  return make_frames(5, 48, 64)
