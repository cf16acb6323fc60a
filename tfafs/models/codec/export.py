"""Export of a trained codec to a SavedModel that needs only TensorFlow and TFC.

Signatures (frames are uint8 [height, width, 3]; the state is the reference frame, which
is also the decoded frame):

    describe()                         -> metadata (JSON)
    self_test(zero = 0.0)              -> exact: whether this machine finds the indexes
                                          into the tables that every other does
    encode_intra(frame)                -> strings [2], bits [2], reference
    decode_intra(strings, size)        -> reference
    encode_inter(frame, reference)     -> strings [4], bits [4], reference
    decode_inter(strings, reference)   -> reference
    compress(frames, gop)              -> strings [time, 4], bits [time, 4]
    decompress(strings, size, gop)     -> frames
"""

import hashlib
import json
import os
import shutil

import numpy as np
import tensorflow as tf

from tfafs.layers import quantization
from tfafs.models.codec import range_coding

FORMAT_VERSION = 2
MIN_SIZE = 16
INTRA_PARTS = ("latent", "hyper_latent")
INTER_PARTS = ("motion", "motion_hyper", "residual", "residual_hyper")

_FRAME = tf.TensorSpec([None, None, 3], tf.uint8)
_FRAMES = tf.TensorSpec([None, None, None, 3], tf.uint8)
_STRINGS = tf.TensorSpec([None], tf.string)
_SIZE = tf.TensorSpec([2], tf.int32)
_GOP = tf.TensorSpec([], tf.int32)


def _to_float(frame):
  return tf.cast(frame, tf.float32)[None] / 255.0


def _to_uint8(image):
  return tf.cast(quantization.to_levels(image[0]), tf.uint8)


class _Codec:
  """The networks of a codec and the range coders of its latents."""

  def __init__(self, model):
    self.intra, self.inter = model.intra, model.inter
    tables = range_coding.scale_tables()
    self.intra_coder = range_coding.LatentRangeCoder(model.intra.prior, tables)
    self.motion_coder = range_coding.LatentRangeCoder(model.inter.motion_prior, tables)
    self.residual_coder = range_coding.LatentRangeCoder(
      model.inter.residual_prior, tables
    )
    self.coders = (self.intra_coder, self.motion_coder, self.residual_coder)

  def fingerprint(self, config, variables) -> str:
    """SHA-256 over all that decoding depends on: tables, sizes, precision, weights.

    Those of the encoder are in it too: two codecs are the same or they are not.
    """
    described = json.dumps([FORMAT_VERSION, json.loads(config.to_json())])
    digest = hashlib.sha256(described.encode())
    for coder in self.coders:
      for array in coder.constants():
        digest.update(array.tobytes())
    for variable in variables:
      digest.update(variable.numpy().tobytes())
    return digest.hexdigest()


class CodecModule(tf.Module):
  """A codec's four coding functions, with their range coder tables."""

  def __init__(self, model, steps=None):
    """Builds the tables from a trained model.

    Args:
      model: A trained `VideoCodec`.
      steps: Training steps, for the metadata; None for unknown.
    """
    super().__init__("codec")
    # What is tracked goes into the SavedModel: variables and tables. The layers stay out
    # of sight in a plain object; Keras would save functions of its own for each.
    self._codec = _Codec(model)
    self._variables = model.variables
    self._tables = [m for c in self._codec.coders for m in c.entropy_models]
    self._stride = int(np.prod(model.config.model.strides))
    self.metadata = json.dumps(
      {
        "model": model.name,
        "format_version": FORMAT_VERSION,
        "fingerprint": self._codec.fingerprint(model.config.model, model.variables),
        "intra_parts": INTRA_PARTS,
        "inter_parts": INTER_PARTS,
        "state": {"reference": {"dtype": "uint8", "shape": [None, None, 3]}},
        # Whether every machine finds the same tables, and so decodes the same symbols.
        "exact_index": all(c.prior.exact_index for c in self._codec.coders),
        "beta": float(model.beta),
        "steps": steps,
        "min_size": MIN_SIZE,
      }
    )

  def _latent_size(self, size):
    return (size + self._stride - 1) // self._stride

  @tf.function(input_signature=[])
  def describe(self):
    """Metadata of the codec as JSON."""
    return {"metadata": tf.constant(self.metadata)}

  @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
  def self_test(self, zero):
    """Computes what has known answers, in the way that coding computes."""
    return {"exact": tf.reduce_all([c.is_exact_here(zero) for c in self._codec.coders])}

  @tf.function(input_signature=[_FRAME])
  def encode_intra(self, frame):
    """Codes a frame without reference."""
    _check_size(tf.shape(frame)[:2])
    latent, reconstruction = self._codec.intra(_to_float(frame))
    strings, bits = self._codec.intra_coder.encode(latent)
    return {"strings": strings, "bits": bits, "reference": _to_uint8(reconstruction)}

  @tf.function(input_signature=[_STRINGS, _SIZE])
  def decode_intra(self, strings, size):
    """Decodes a frame of `size` (height, width) without reference."""
    _check_size(size)
    latent = self._codec.intra_coder.decode(strings, self._latent_size(size))
    return {"reference": _to_uint8(self._codec.intra.reconstruct(latent.value, size))}

  @tf.function(input_signature=[_FRAME, _FRAME])
  def encode_inter(self, frame, reference):
    """Codes a frame given its reference."""
    coded = self._codec.inter(_to_float(frame), _to_float(reference))
    motion, motion_bits = self._codec.motion_coder.encode(coded.motion)
    residual, residual_bits = self._codec.residual_coder.encode(
      coded.residual, coded.motion
    )
    return {
      "strings": tf.concat([motion, residual], 0),
      "bits": tf.concat([motion_bits, residual_bits], 0),
      "reference": _to_uint8(coded.reconstruction),
    }

  @tf.function(input_signature=[_STRINGS, _FRAME])
  def decode_inter(self, strings, reference):
    """Decodes a frame given its reference."""
    size = self._latent_size(tf.shape(reference)[:2])
    motion = self._codec.motion_coder.decode(strings[:2], size)
    residual = self._codec.residual_coder.decode(strings[2:], size, motion)
    image = self._codec.inter.reconstruct(
      _to_float(reference), motion.value, residual.value
    )
    return {"reference": _to_uint8(image)}

  @tf.function(input_signature=[_FRAMES, _GOP])
  def compress(self, frames, gop):
    """Codes a clip: frame t is intra where `t % gop == 0`; gop 0: only the first is."""
    count = tf.shape(frames)[0]
    strings = tf.TensorArray(tf.string, count, element_shape=[len(INTER_PARTS)])
    bits = tf.TensorArray(tf.float32, count, element_shape=[len(INTER_PARTS)])
    reference = tf.zeros_like(frames[0])
    padding = len(INTER_PARTS) - len(INTRA_PARTS)
    for t in tf.range(count):
      if _is_intra(t, gop):
        coded = self.encode_intra(frames[t])
        frame_strings = tf.concat([coded["strings"], tf.fill([padding], "")], 0)
        frame_bits = tf.concat([coded["bits"], tf.zeros([padding])], 0)
        reference = coded["reference"]
      else:
        coded = self.encode_inter(frames[t], reference)
        frame_strings, frame_bits = coded["strings"], coded["bits"]
        reference = coded["reference"]
      strings = strings.write(t, tf.ensure_shape(frame_strings, [len(INTER_PARTS)]))
      bits = bits.write(t, tf.ensure_shape(frame_bits, [len(INTER_PARTS)]))
    return {"strings": strings.stack(), "bits": bits.stack()}

  @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string), _SIZE, _GOP])
  def decompress(self, strings, size, gop):
    """Inverse of `compress`; `size` is (height, width)."""
    count = tf.shape(strings)[0]
    frames = tf.TensorArray(tf.uint8, count, element_shape=[None, None, 3])
    reference = tf.zeros([size[0], size[1], 3], tf.uint8)
    for t in tf.range(count):
      if _is_intra(t, gop):
        reference = self.decode_intra(strings[t, : len(INTRA_PARTS)], size)["reference"]
      else:
        reference = self.decode_inter(strings[t], reference)["reference"]
      frames = frames.write(t, reference)
    return {"frames": frames.stack()}


def _is_intra(t, gop):
  return (t == 0) | ((gop > 0) & (tf.math.floormod(t, tf.maximum(gop, 1)) == 0))


def _check_size(size):
  tf.debugging.assert_greater_equal(
    size, MIN_SIZE, f"Frames must be at least {MIN_SIZE}x{MIN_SIZE} pixels."
  )


def export_codec(model, path, steps=None) -> None:
  """Writes a trained codec as a SavedModel, replacing one at `path` only when complete.

  Args:
    model: A trained `VideoCodec`.
    path: Folder to write.
    steps: Training steps, for the metadata.
  """
  path = os.fspath(path).rstrip("/")
  module = CodecModule(model, steps)
  names = (
    "describe",
    "self_test",
    "encode_intra",
    "decode_intra",
    "encode_inter",
    "decode_inter",
    "compress",
    "decompress",
  )
  signatures = {name: getattr(module, name) for name in names}
  beside, old = f"{path}.writing", f"{path}.old"
  if os.path.exists(old) and not os.path.exists(path):
    os.rename(old, path)  # Killed between the two renames below.
  for leftover in (beside, old):
    shutil.rmtree(leftover, ignore_errors=True)
  try:
    tf.saved_model.save(module, beside, signatures)
    if os.path.exists(path):
      os.rename(path, old)
    os.rename(beside, path)
  finally:
    shutil.rmtree(beside, ignore_errors=True)
  shutil.rmtree(old, ignore_errors=True)
