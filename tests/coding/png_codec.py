"""A lossless codec of PNG files with the signatures of an exported tfafs codec.

Small and quick, it really encodes and decodes: an I frame is the PNG of its upper and
of its lower half, a P frame the PNGs of the three channels of its difference to the
reference, modulo 256. The counter in its state shows that all of the state is carried.
"""

import hashlib
import json

import tensorflow as tf

INTRA_PARTS = ("upper", "lower")
INTER_PARTS = ("red", "green", "blue")
_STRINGS = tf.TensorSpec([None], tf.string)
_FRAME = tf.TensorSpec([None, None, 3], tf.uint8)
_COUNTER = tf.TensorSpec([], tf.int32)


def _bits(strings):
  return 8.0 * tf.cast(tf.strings.length(strings), tf.float32)


class PngCodec(tf.Module):
  """See the module's docstring."""

  def __init__(self, model="png", seed="png", **metadata):
    super().__init__()
    metadata = {
      "model": model,
      "format_version": 2,
      "fingerprint": hashlib.sha256(seed.encode()).hexdigest(),
      "intra_parts": INTRA_PARTS,
      "inter_parts": INTER_PARTS,
      "state": {
        "reference": {"dtype": "uint8", "shape": [None, None, 3]},
        "counter": {"dtype": "int32", "shape": []},
      },
      "beta": 1.0,
      "steps": 0,
      "min_size": 16,
      "exact_index": True,
      **metadata,
    }
    self.metadata = json.dumps(metadata)

  @tf.function(input_signature=[])
  def describe(self):
    return {"metadata": tf.constant(self.metadata)}

  @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
  def self_test(self, zero):
    return {"exact": tf.equal(zero, 0.0)}

  @tf.function(input_signature=[_FRAME])
  def encode_intra(self, frame):
    half = tf.shape(frame)[0] // 2
    strings = tf.stack([tf.io.encode_png(frame[:half]), tf.io.encode_png(frame[half:])])
    return {
      "strings": strings,
      "bits": _bits(strings),
      "reference": frame,
      "counter": tf.constant(0),
    }

  @tf.function(input_signature=[_STRINGS, tf.TensorSpec([2], tf.int32)])
  def decode_intra(self, strings, size):
    frame = tf.concat([tf.io.decode_png(strings[i], channels=3) for i in (0, 1)], 0)
    with tf.control_dependencies(
      [tf.debugging.assert_equal(tf.shape(frame)[:2], size)]
    ):
      return {"reference": tf.identity(frame), "counter": tf.constant(0)}

  @tf.function(input_signature=[_FRAME, _FRAME, _COUNTER])
  def encode_inter(self, frame, reference, counter):
    counter += 1
    residual = frame - reference - tf.cast(counter, tf.uint8)
    strings = tf.stack([tf.io.encode_png(residual[..., c : c + 1]) for c in range(3)])
    return {
      "strings": strings,
      "bits": _bits(strings),
      "reference": frame,
      "counter": counter,
    }

  @tf.function(input_signature=[_STRINGS, _FRAME, _COUNTER])
  def decode_inter(self, strings, reference, counter):
    counter += 1
    planes = [tf.io.decode_png(strings[i], channels=1) for i in range(3)]
    frame = tf.concat(planes, -1) + reference + tf.cast(counter, tf.uint8)
    return {"reference": frame, "counter": counter}


def export(path, **metadata):
  """Writes the codec's SavedModel to `path`."""
  codec = PngCodec(**metadata)
  names = (
    *("describe", "self_test"),
    *("encode_intra", "decode_intra", "encode_inter", "decode_inter"),
  )
  tf.saved_model.save(
    codec, str(path), signatures={name: getattr(codec, name) for name in names}
  )
  return str(path)
