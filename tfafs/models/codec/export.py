"""Export of a trained codec to a SavedModel that needs only TensorFlow and TFC.

Signatures (frames are uint8 [height, width, 3]; `**state` are the tensors that the
metadata's "state" describes: "reference", which is also the decoded frame, and what a
temporal prior reads beside):

    describe()                         -> metadata (JSON)
    self_test(zero = 0.0)              -> exact: whether this machine finds the indexes
                                          into the tables that every other does; wide:
                                          whether that takes float64, in which all that
                                          is coded from then on is computed
    encode_intra(frame)                -> strings [parts], bits [parts], **state
    decode_intra(strings, size)        -> **state
    encode_inter(frame, **state)       -> strings [parts], bits [parts], **state
    decode_inter(strings, **state)     -> **state
    compress(frames, gop)              -> strings [time, parts], bits [time, parts]
    decompress(strings, size, gop)     -> frames

The last six of a codec of variable rate take one more input, `quality`: float32 in the
range that the metadata's "quality" states, and rounded to its step.

The parts of intra and inter frames are "intra_parts" and "inter_parts" of the metadata;
where a clip is coded whole, the shorter is filled up with empty strings.
"""

import hashlib
import json

import tensorflow as tf

from tfafs.models import saved_model
from tfafs.models.codec import frame_coder, state

FORMAT_VERSION = 2
MIN_SIZE = 16

_FRAME = tf.TensorSpec([None, None, 3], tf.uint8)
_FRAMES = tf.TensorSpec([None, None, None, 3], tf.uint8)
_STRINGS = tf.TensorSpec([None], tf.string)
_SIZE = tf.TensorSpec([2], tf.int32)
_CLIP = tf.TensorSpec([None, None], tf.string)
_GOP = tf.TensorSpec([], tf.int32)
_QUALITY = tf.TensorSpec([], tf.float32, "quality")


def _function(*signature):
  """Decorator; there is nothing for autograph to convert, which would take seconds."""
  return tf.function(input_signature=signature, autograph=False)


def _to_float(frame):
  return tf.cast(frame, tf.float32)[None] / 255.0


def _fingerprint(coder, config, variables) -> str:
  """SHA-256 over all that decoding depends on: tables, sizes, precision, weights.

  Those of the encoder are in it too: two codecs are the same or they are not.
  """
  described = json.dumps([FORMAT_VERSION, _described(config)])
  digest = hashlib.sha256(described.encode())
  for latent_coder in coder.coders.values():
    for array in latent_coder.constants():
      digest.update(array.tobytes())
  for variable in variables:
    digest.update(variable.numpy().tobytes())
  return digest.hexdigest()


def _described(config) -> dict:
  """A model's config without fields that came later and have no effect on it.

  So a codec that could be trained before keeps its fingerprint.
  """
  fields = json.loads(config.to_json())
  if not fields.get("variable_rate"):
    for name in ("variable_rate", "betas"):
      fields.pop(name, None)
  if fields["scale_space"].get("volume") == "pyramid":
    del fields["scale_space"]["volume"]
  return fields


class CodecModule(tf.Module):
  """A codec's coding functions, with their range coder tables."""

  def __init__(self, model, steps=None):
    """Builds the tables from a trained model.

    Args:
      model: A trained `VideoCodec`.
      steps: Training steps, for the metadata; None for unknown.
    """
    super().__init__("codec")
    # What is tracked goes into the SavedModel: variables and tables. The layers stay out
    # of sight in a plain object; Keras would save functions of its own for each.
    self._coder = coder = frame_coder.FrameCoder(model)
    coders = coder.coders.values()
    self._variables = [*model.variables, coder.wide]
    self._tables = [m for c in coders for m in c.entropy_models]
    self._num_parts = max(len(coder.intra_parts), len(coder.inter_parts))
    specs = coder.state_format.specs
    self._rates = model.rates
    quality = [_QUALITY] if model.rates.levels else []
    self.encode_intra = _function(_FRAME, *quality)(self._encode_intra)
    self.decode_intra = _function(_STRINGS, _SIZE, *quality)(self._decode_intra)
    self.encode_inter = _function(_FRAME, specs, *quality)(self._encode_inter)
    self.decode_inter = _function(_STRINGS, specs, *quality)(self._decode_inter)
    self.compress = tf.function(self._compress, [_FRAMES, _GOP, *quality])
    self.decompress = tf.function(self._decompress, [_CLIP, _SIZE, _GOP, *quality])
    self.metadata = json.dumps(
      {
        "model": model.name,
        "format_version": FORMAT_VERSION,
        "fingerprint": _fingerprint(coder, model.config.model, model.variables),
        "intra_parts": coder.intra_parts,
        "inter_parts": coder.inter_parts,
        "state": {
          name: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}
          for name, spec in specs.items()
        },
        # Whether every machine finds the same tables, and so decodes the same symbols.
        "exact_index": all(c.prior.exact_index for c in coders),
        **model.rates.metadata(),
        "steps": steps,
        "min_size": MIN_SIZE,
      }
    )

  @_function()
  def describe(self):
    """Metadata of the codec as JSON."""
    return {"metadata": tf.constant(self.metadata)}

  @_function(tf.TensorSpec([], tf.float32))
  def self_test(self, zero):
    """Computes what has known answers; coding computes in the way that finds them."""
    exact, wide = self._coder.is_exact_here(zero)
    return {"exact": exact, "wide": wide}

  def _encode_intra(self, frame, quality=None):
    """Codes a frame without reference."""
    _check_size(tf.shape(frame)[:2])
    with self._rates.at(quality):
      return self._encoded(self._coder.encode_intra(_to_float(frame)))

  def _decode_intra(self, strings, size, quality=None):
    """Decodes a frame of `size` (height, width) without reference."""
    _check_size(size)
    with self._rates.at(quality):
      return self._packed(self._coder.decode_intra(strings, size))

  def _encode_inter(self, frame, packed, quality=None):
    """Codes a frame given the state before it."""
    before = self._coder.state_format.unpack(packed)
    with self._rates.at(quality):
      return self._encoded(self._coder.encode_inter(_to_float(frame), before))

  def _decode_inter(self, strings, packed, quality=None):
    """Decodes a frame given the state before it."""
    before = self._coder.state_format.unpack(packed)
    with self._rates.at(quality):
      return self._packed(self._coder.decode_inter(strings, before))

  def _encoded(self, coded):
    return {"strings": coded.strings, "bits": coded.bits, **self._packed(coded)}

  def _packed(self, coded):
    return self._coder.state_format.pack(coded.state)

  def _compress(self, frames, gop, *quality):
    """Codes a clip: frame t is intra where `t % gop == 0`; gop 0: only the first is."""
    count, parts = tf.shape(frames)[0], self._num_parts
    strings = tf.TensorArray(tf.string, count, element_shape=[parts])
    bits = tf.TensorArray(tf.float32, count, element_shape=[parts])
    packed = self._blank(tf.shape(frames)[1:3])
    for t in tf.range(count):
      if _is_intra(t, gop):
        coded = self.encode_intra(frames[t], *quality)
      else:
        coded = self.encode_inter(frames[t], packed, *quality)
      packed = {name: coded[name] for name in packed}
      padding = [[0, parts - tf.shape(coded["bits"])[0]]]
      frame_bits = tf.pad(coded["bits"], padding)
      frame_strings = tf.concat([coded["strings"], tf.fill(padding[0][1:], "")], 0)
      strings = strings.write(t, tf.ensure_shape(frame_strings, [parts]))
      bits = bits.write(t, tf.ensure_shape(frame_bits, [parts]))
    return {"strings": strings.stack(), "bits": bits.stack()}

  def _decompress(self, strings, size, gop, *quality):
    """Inverse of `compress`; `size` is (height, width)."""
    count = tf.shape(strings)[0]
    frames = tf.TensorArray(tf.uint8, count, element_shape=[None, None, 3])
    packed = self._blank(size)
    intra, inter = len(self._coder.intra_parts), len(self._coder.inter_parts)
    for t in tf.range(count):
      if _is_intra(t, gop):
        packed = self.decode_intra(strings[t, :intra], size, *quality)
      else:
        packed = self.decode_inter(strings[t, :inter], packed, *quality)
      frames = frames.write(t, packed["reference"])
    return {"frames": frames.stack()}

  def _blank(self, size):
    """The state that loops start with; no frame reads it."""
    black = tf.zeros([1, size[0], size[1], 3])
    return self._coder.state_format.pack(state.behind_intra(black))


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
  saved_model.save(CodecModule(model, steps), path, names)
