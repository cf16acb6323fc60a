"""Decodes a tfafs stream with TensorFlow, TFC and numpy alone (docs/bitstream.md).

python decode_without_tfafs.py STREAM SAVED_MODEL OUT
OUT.npy is uint8 [frames, height, width, 3]; any other OUT is raw rgb24. Checks all that
a reader must, and says whether frames are bit-exact if the stream has their checksums.
"""

import json
import os
import re
import struct
import sys
import tempfile
import zlib

import numpy as np
import tensorflow as tf
import tensorflow_compression  # noqa: F401  (registers the range coder's ops)


def must(holds, what):
  """Raises ValueError with `what` is wrong."""
  if not holds:
    raise ValueError(what)


def varint(data, at):
  """Unsigned LEB128 number below 2^32 in its shortest form, and where it ends."""
  value = 0
  for length in range(1, 6):
    must(at < len(data), "a number is cut short")
    value, at = value | (data[at] & 0x7F) << 7 * (length - 1), at + 1
    if data[at - 1] < 0x80:
      must(value < 2**32 and (data[at - 1] or length == 1), "a number is no varint")
      return value, at
  raise ValueError("a number is no varint")


def starts_of_records(file, size):
  """Where records start, lengths within their bounds; reads no payload."""
  at, bound, starts = 0, 1024, []
  while at < size:
    file.seek(at)
    (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
    must(length <= bound, f"a record claims {length} bytes, {bound} can be")
    if not at:
      file.seek(12 + 7)
      bound = (1 << 16) + 8 * int(np.prod(struct.unpack("<HH", file.read(4))))
    starts.append(at)
    at += length + 16
  must(at == size, f"the file is cut behind {max(len(starts) - 2, 0)} frames")
  return starts


def drift(stored, frame):
  """Largest |Z_j| of a checksum and a frame; 0 if they agree in all."""
  x = frame.reshape(-1).astype(np.int64)
  w = np.arange(x.size, dtype=np.uint32)
  w ^= w >> 16
  w *= np.uint32(0x21F0AAAD)
  w ^= w >> 15
  w *= np.uint32(0x735A2D97)
  w ^= w >> 15
  sums = [int(x.sum()) - 2 * int(x[w >> j & 1 == 1].sum()) for j in range(24)]
  z = np.array(struct.unpack("<24H", stored[4:])) - sums
  z = (z + 2**15) % 2**16 - 2**15
  equal = stored[:4] == struct.pack("<I", zlib.crc32(frame.tobytes()))
  return int(np.abs(z).max()) if equal else max(1, int(np.abs(z).max()))


def unpack_frame(body, has_checksum):
  """Index, checksum and strings of a frame record's body."""
  index, at = varint(body, 1)
  checksum, at = (body[at : at + 52], at + 52) if has_checksum else (None, at)
  must(at < len(body) and body[at], "a frame without strings")
  parts, at, cuts = body[at], at + 1, [0]
  for _ in range(parts - 1):
    length, at = varint(body, at)
    cuts.append(cuts[-1] + length)
  must(at + cuts[-1] <= len(body), "the strings are longer than their record")
  cuts = [at + cut for cut in cuts] + [len(body)]
  return index, checksum, [body[a:b] for a, b in zip(cuts, cuts[1:])]


stream, saved_model, out = sys.argv[1:]
with open(stream, "rb") as file:
  starts = starts_of_records(file, os.path.getsize(stream))
records = iter(tf.data.TFRecordDataset(stream).as_numpy_iterator())  # checks their CRCs
header = next(records, b"")
must(header[:6] == b"TFAFS\2" and len(header) > 65, "not a tfafs stream of version 2")
flags, width, height, rate, per, gop, quality, fingerprint, first, n = (
  struct.unpack_from("<BHHIIIB32sIB", header, 6)
)
name, (promised,) = header[61:-4], struct.unpack("<I", header[-4:])
must(flags < 4, "the header sets flags that this script does not know")
must(min(width, height) >= 16 and width * height <= 2**25, "no size for a frame")
must(rate and per and promised, "no frame rate, or no frames")
must(re.fullmatch(rb"[A-Za-z0-9_.+-]{1,64}", name) and n == len(name), "no name")
codec = tf.saved_model.load(saved_model)
metadata = json.loads(codec.signatures["describe"]()["metadata"].numpy())
named = (metadata["fingerprint"], metadata["model"], metadata.get("exact_index", False))
must(named == (fingerprint.hex(), name.decode(), bool(flags & 1)), "of another codec")
known = metadata.get("quality")  # of a codec of variable rate
must(quality <= 16 * known["max"] if known else quality == 255, "no such quality")
chosen = {"quality": tf.constant(quality / 16)} if known else {}
if flags & 1:
  exact = codec.signatures["self_test"](zero=tf.constant(0.0))["exact"]
  must(exact, "TensorFlow does not add exactly here: no frame would be right")
identity = chain = zlib.crc32(header[:-4])

count, since, state, ended = 0, 0, {}, False
intra, index_size, drifts = [], 0, []
with tempfile.TemporaryFile(dir=os.path.dirname(out) or ".") as file:
  for start, payload in zip(starts[1:], records):
    where = f"frame {count}: "
    must(not ended, where + "something follows the end")
    kind, before = payload[:1], chain
    sealed = kind in (b"I", b"E", b"x")
    body = payload[: -8 if sealed else -4]
    chain, seal = zlib.crc32(body, chain), zlib.crc32(body, identity)
    must(body, where + "a record too short")
    must(payload[-4:] == struct.pack("<I", chain), where + "chain")
    must(not sealed or payload[-8:-4] == struct.pack("<I", seal), where + "seal")
    must(not index_size or kind == b"E", where + "the index is not before the end")
    if kind in (b"I", b"P"):
      index, checksum, strings = unpack_frame(body, flags & 2)
      since = 0 if kind == b"I" else since + 1
      must(index == count and since <= count, where + "out of place")
      must(not gop or since < gop, where + "too far behind an I frame")
      must(count or zlib.crc32(body) == first, where + "not the frame announced")
      must(promised in range(count + 1, 2**32), where + "more than promised")
      parts = "intra" if kind == b"I" else "inter"
      must(len(strings) == len(metadata[f"{parts}_parts"]), where + "parts")
      if kind == b"I":
        intra.append(struct.pack("<IQI", count, start, before))
        state = {"size": tf.constant([height, width])}
      strings = tf.constant(strings, tf.string)
      state = codec.signatures[f"decode_{parts}"](strings=strings, **state, **chosen)
      frame = state["reference"].numpy()
      must(frame.shape == (height, width, 3), where + "decodes to another size")
      drifts += [drift(checksum, frame)] if checksum else []
      file.write(frame.tobytes())
      count += 1
    elif kind == b"x":
      step = 1
      while len(intra[::step]) > 4096:
        step *= 2
      must(body[1:] == b"".join(intra[::step]) != b"", where + "a wrong index")
      index_size = len(payload) + 16
    elif kind == b"E":
      end = b"E" + struct.pack("<II", count, index_size)
      must(count and body == end and promised in (count, 2**32 - 1), where + "the end")
      ended = True
    else:
      must(kind.islower(), where + "a record of unknown kind")
  must(ended, f"the stream is cut behind {count} frames")
  frames = np.memmap(file, np.uint8, "r", 0, (count, height, width, 3))
  np.save(out, frames) if out.endswith(".npy") else frames.tofile(out)
print(f"{count} frames of {width}x{height} at {rate}/{per} per second")
if drifts:
  off = sum(map(bool, drifts))
  print(
    f"{off} frames drifted, by at most {max(drifts)} levels" if off else "bit-exact"
  )
