"""Every codec of the table: a training step, an export, a file, the frames of that file."""

import io

import numpy as np
import pytest
import tensorflow as tf
from codec_cases import build, clip

from tfafs import coding
from tfafs.models.codec import variants

GOP = 3


def train_a_step(model, frames):
  """A step as `train_step` makes it, without a graph; returns variables it leaves."""
  model.compile(tf.keras.optimizers.legacy.SGD(1e-3))
  with tf.GradientTape() as tape:
    loss = model.rate_distortion(frames, tf.constant([0, 1]))["loss"]
  variables = model.trainable_variables
  gradients = tape.gradient(loss, variables)
  assert all(np.all(np.isfinite(g)) for g in gradients if g is not None)
  model.optimizer.apply_gradients(zip(gradients, variables))
  return [v.name for v, g in zip(variables, gradients) if g is None or not np.any(g)]


def write(codec, frames):
  """Bytes of a stream, where its frames end, and what the encoder has of each."""
  file, (height, width), ends = io.BytesIO(), frames.shape[1:3], []
  with coding.CompressedVideoWriter(
    codec, file, width, height, 25, gop=GOP, frame_checksums=True
  ) as writer:
    coded = []
    for frame in frames:
      coded.append(writer.write(frame))
      ends.append(writer.num_bytes)
  return file.getvalue(), ends, coded


def read(codec, stream, **options):
  """Dict from number to frame."""
  decoded = {}
  with coding.CompressedVideoReader(
    codec, io.BytesIO(stream), strict=True, **options
  ) as reader:
    for frame in reader:
      decoded[reader.index] = frame
  return decoded


@pytest.mark.parametrize("name", variants.VARIANTS)
def test_a_codec_trains_and_its_files_decode(name, tmp_path):
  # Both kinds of scale-space volume, among the codecs that have one.
  volume = "blur" if name == "ssf_tp_plus" else "pyramid"
  model, frames = build(name, volume), clip()
  assert train_a_step(model, tf.constant(frames[None, :3] / 255.0, tf.float32)) == []
  model.export_codec(tmp_path / "codec")
  codec = coding.Codec.load(tmp_path / "codec")
  assert codec.exact_index and codec.model == name
  assert codec.signatures["self_test"](zero=tf.constant(0.0))["exact"]
  stream, ends, coded = write(codec, frames)
  # From the start, from behind an intra frame in the middle, and around a lost frame.
  damaged = bytearray(stream)
  damaged[ends[0] + 30] ^= 1
  for decoded, expected in (
    (read(codec, stream), range(7)),
    (read(codec, stream, start=GOP + 1), range(GOP + 1, 7)),
    (read(codec, bytes(damaged), resilient=True), [0, *range(GOP, 7)]),
  ):
    assert list(decoded) == list(expected)
    for t, frame in decoded.items():
      np.testing.assert_array_equal(frame, coded[t].reconstruction)
