"""JPEG at a quality that each call is given, as a codec of variable rate.

Strings end with the quality, and the decoder refuses to decode at another: so that
nobody can lose it on the way.
"""

import hashlib
import json

import tensorflow as tf

MAX_QUALITY = 6
_FRAME = tf.TensorSpec([None, None, 3], tf.uint8)
_STRINGS = tf.TensorSpec([2], tf.string)
_SIZE = tf.TensorSpec([2], tf.int32)
_QUALITY = tf.TensorSpec([], tf.float32)


class VariableCodec(tf.Module):
  """See the module's docstring."""

  def __init__(self):
    super().__init__()
    self.metadata = json.dumps(
      {
        "model": "variable_jpeg",
        "format_version": 2,
        "fingerprint": hashlib.sha256(b"variable").hexdigest(),
        "intra_parts": ["image", "quality"],
        "inter_parts": ["image", "quality"],
        "state": {"reference": {"dtype": "uint8", "shape": [None, None, 3]}},
        "betas": [0.1**n for n in range(MAX_QUALITY + 1)],
        "quality": {"min": 0, "max": MAX_QUALITY, "step": 0.0625},
        "steps": 0,
        "min_size": 16,
        "exact_index": False,
      }
    )

  @tf.function(input_signature=[])
  def describe(self):
    return {"metadata": tf.constant(self.metadata)}

  @tf.function(input_signature=[_FRAME, _QUALITY])
  def encode_intra(self, frame, quality):
    percent = tf.cast(10 + 14 * quality, tf.int32)
    image = tf.raw_ops.EncodeJpegVariableQuality(images=frame, quality=percent)
    strings = tf.stack([image, tf.io.serialize_tensor(quality)])
    bits = 8.0 * tf.cast(tf.strings.length(strings), tf.float32)
    frame = tf.io.decode_jpeg(image, channels=3)
    return {"strings": strings, "bits": bits, "reference": frame}

  @tf.function(input_signature=[_STRINGS, _SIZE, _QUALITY])
  def decode_intra(self, strings, size, quality):
    written = tf.io.parse_tensor(strings[1], tf.float32)
    with tf.control_dependencies([tf.debugging.assert_equal(written, quality)]):
      return {"reference": tf.io.decode_jpeg(strings[0], channels=3)}

  @tf.function(input_signature=[_FRAME, _FRAME, _QUALITY])
  def encode_inter(self, frame, reference, quality):
    return self.encode_intra(frame, quality)

  @tf.function(input_signature=[_STRINGS, _FRAME, _QUALITY])
  def decode_inter(self, strings, reference, quality):
    return self.decode_intra(strings, tf.shape(reference)[:2], quality)


def export(path):
  """Writes the codec's SavedModel to `path`."""
  codec = VariableCodec()
  names = ("describe", "encode_intra", "decode_intra", "encode_inter", "decode_inter")
  signatures = {name: getattr(codec, name) for name in names}
  tf.saved_model.save(codec, str(path), signatures)
  return str(path)
