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
  """Bytes of a stream, and the encoder's frames and bits."""
  file, height, width = io.BytesIO(), *frames.shape[1:3]
  with coding.CompressedVideoWriter(
    codec, file, width, height, 25, gop=GOP, frame_checksums=True
  ) as writer:
    coded = [writer.write(frame) for frame in frames]
  return file.getvalue(), coded


def read(codec, stream, start=0):
  with coding.CompressedVideoReader(
    codec, io.BytesIO(stream), start=start, strict=True
  ) as reader:
    return list(reader)


@pytest.mark.parametrize("name", variants.VARIANTS)
def test_a_codec_trains_and_its_files_decode(name, tmp_path):
  model, frames = build(name), clip()
  assert train_a_step(model, tf.constant(frames[None, :3] / 255.0, tf.float32)) == []
  model.export_codec(tmp_path / "codec")
  codec = coding.Codec.load(tmp_path / "codec")
  assert codec.exact_index and codec.model == name
  assert codec.signatures["self_test"](zero=tf.constant(0.0))["exact"]
  stream, coded = write(codec, frames)
  decoded = read(codec, stream)
  assert len(decoded) == len(frames)
  for there, here in zip(coded, decoded):
    np.testing.assert_array_equal(there.reconstruction, here)
  # From the intra frame in the middle the same frames follow.
  for there, here in zip(decoded[GOP + 1 :], read(codec, stream, GOP + 1)):
    np.testing.assert_array_equal(there, here)
