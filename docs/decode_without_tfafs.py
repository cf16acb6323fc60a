"""Decodes a tfafs stream with TensorFlow, TFC and numpy alone (docs/bitstream.md).

python decode_without_tfafs.py STREAM SAVED_MODEL OUT
OUT.npy is uint8 [frames, height, width, 3]; any other OUT is raw rgb24.
"""

import json
import os
import struct
import sys
import tempfile
import zlib

import numpy as np
import tensorflow as tf
import tensorflow_compression  # noqa: F401  (registers the range coder's ops)

stream, saved_model, out = sys.argv[1:]
records = iter(tf.data.TFRecordDataset(stream).as_numpy_iterator())  # checks their CRCs
header = next(records)
magic, version, flags, width, height, rate, per, _, _, fingerprint, _ = (
  struct.unpack_from("<5sBBHHIIIB32sI", header)
)
assert (magic, version, flags) == (b"TFAFS", 1, 0), "not a tfafs stream of version 1"
codec = tf.saved_model.load(saved_model)
metadata = json.loads(codec.signatures["describe"]()["metadata"].numpy())
assert metadata["fingerprint"] == fingerprint.hex(), "the stream is of another codec"


def varint(data, at):
  """Unsigned LEB128 number at `at`, and where it ends."""
  value, shift = 0, 0
  while data[at] & 0x80:
    value, shift, at = value | (data[at] & 0x7F) << shift, shift + 7, at + 1
  return value | data[at] << shift, at + 1


count, state, body, chain = 0, {}, b"", zlib.crc32(header[:-4])
with tempfile.TemporaryFile(dir=os.path.dirname(out) or ".") as file:
  for payload in records:
    body = payload[:-4]
    chain = zlib.crc32(body, chain)
    assert chain == struct.unpack("<I", payload[-4:])[0], f"damaged at frame {count}"
    kind = {b"I": "intra", b"P": "inter"}.get(body[:1])
    if kind:
      at = varint(body, 1)[1]
      parts, at, lengths = body[at], at + 1, [0]
      for _ in range(parts - 1):
        length, at = varint(body, at)
        lengths.append(length)
      cuts = [*np.cumsum(lengths) + at, len(body)]
      strings = tf.constant([body[a:b] for a, b in zip(cuts, cuts[1:])])
      state = state if kind == "inter" else {"size": tf.constant([height, width])}
      state = codec.signatures[f"decode_{kind}"](strings=strings, **state)
      file.write(state["reference"].numpy().tobytes())
      count += 1
  assert body == b"E" + struct.pack("<I", count), f"cut behind {count} frames"
  frames = np.memmap(file, np.uint8, "r", 0, (count, height, width, 3))
  np.save(out, frames) if out.endswith(".npy") else frames.tofile(out)
print(f"{count} frames of {width}x{height} at {rate}/{per} per second")
