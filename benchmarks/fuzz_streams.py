#!/usr/bin/env python3
"""Decodes damaged streams: each must end in a StreamError within seconds.

    benchmarks/fuzz_streams.py [--streams=2000] [--forged=200] [--saved_model=DIR]

Without --saved_model, `stat_ssf_sp` at its tiny size is built and exported, untrained.
Every damage leaves the checksums of the records right wherever it can, so that more
than the CRCs is put to the test. Frames that come out before the error are compared
with those of the sound stream. Exit code 1 if any stream ends otherwise.

`forged` streams are rewritten with all checksums right, chain included; only the
strings are random. No checksum can tell, so they may decode to other frames of the
right size, but must not do anything else.
"""

import argparse
import collections
import faulthandler
import io
import os
import resource
import struct
import sys
import tempfile
import time
import zlib
from fractions import Fraction

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from tfafs.coding import (
  Codec,
  CompressedVideoReader,
  CompressedVideoWriter,
  StreamError,
  packing,
  record,
)

SECONDS_ALLOWED = 10
FRAME_RATE = Fraction(25)


def make_clip(random, frames=5, height=35, width=50):
  """A moving texture, uint8 [frames, height, width, 3]."""
  coarse = random.integers(0, 256, [height // 4 + 2, width // 4 + 2, 3])
  texture = np.kron(coarse, np.ones([4, 4, 1])).astype(np.uint8)
  return np.stack([np.roll(texture, t, 1)[:height, :width] for t in range(frames)])


def compress(codec, clip, gop):
  file = io.BytesIO()
  height, width = clip.shape[1:3]
  with CompressedVideoWriter(codec, file, width, height, FRAME_RATE, gop) as writer:
    for frame in clip:
      writer.write(frame)
  return file.getvalue()


def split(stream):
  """Payloads of the records of a stream."""
  file, payloads = io.BytesIO(stream), []
  while (payload := record.read_record(file, 1 << 30)) is not None:
    payloads.append(payload)
  return payloads


def join(payloads):
  file = io.BytesIO()
  for payload in payloads:
    record.write_record(file, payload)
  return file.getvalue()


def rechain(header, bodies):
  """A stream of these record bodies with all checksums right."""
  header = header._replace(first_frame=zlib.crc32(bodies[0]))
  payloads = [packing.pack_header(header)]
  chain = zlib.crc32(payloads[0][:-4])
  for body in bodies:
    chain = zlib.crc32(body, chain)
    payloads.append(body + struct.pack("<I", chain))
  return join(payloads)


def flip_bits(random, data, count):
  damaged = bytearray(data)
  for bit in random.integers(0, 8 * len(data), count):
    damaged[bit // 8] ^= 1 << bit % 8
  return bytes(damaged)


def one_bit(random, stream, _):
  return flip_bits(random, stream, 1)


def some_bits(random, stream, _):
  return flip_bits(random, stream, int(random.integers(2, 65)))


def burst(random, stream, _):
  start = int(random.integers(len(stream)))
  noise = random.bytes(int(random.integers(1, 200)))
  return (stream[:start] + noise + stream[start + len(noise) :])[: len(stream)]


def truncated(random, stream, _):
  return stream[: int(random.integers(len(stream)))]


def missing_bytes(random, stream, _):
  start = int(random.integers(len(stream)))
  return stream[:start] + stream[start + int(random.integers(1, 50)) :]


def more_bytes(random, stream, _):
  start = int(random.integers(len(stream) + 1))
  return stream[:start] + random.bytes(int(random.integers(1, 50))) + stream[start:]


def swapped_records(random, stream, _):
  payloads = split(stream)
  i, j = random.choice(len(payloads), 2, replace=False)
  payloads[i], payloads[j] = payloads[j], payloads[i]
  return join(payloads)


def repeated_record(random, stream, _):
  payloads = split(stream)
  copy = payloads[int(random.integers(len(payloads)))]
  payloads.insert(int(random.integers(len(payloads) + 1)), copy)
  return join(payloads)


def dropped_record(random, stream, _):
  payloads = split(stream)
  del payloads[int(random.integers(len(payloads)))]
  return join(payloads)


def foreign_record(random, stream, other):
  """A record, header included, replaced by its counterpart of another stream."""
  payloads, others = split(stream), split(other)
  i = int(random.integers(len(payloads)))
  payloads[i] = others[min(i, len(others) - 1)]
  return join(payloads)


def foreign_tail(random, stream, other):
  """Two streams of the same codec, joined at a record."""
  payloads, others = split(stream), split(other)
  i = int(random.integers(1, len(payloads)))
  return join([*payloads[:i], *others[i:]])


def altered_record(random, stream, _):
  """Bits of a record flipped, and the record's own checksum made right again."""
  payloads = split(stream)
  i = int(random.integers(len(payloads)))
  payloads[i] = flip_bits(random, payloads[i], int(random.integers(1, 5)))
  return join(payloads)


def random_record(random, stream, _):
  payloads = split(stream)
  noise = random.bytes(int(random.integers(0, 500)))
  payloads[int(random.integers(len(payloads)))] = noise
  return join(payloads)


def wrong_length(random, stream, _):
  """A length that is huge or a little wrong, with its checksum right."""
  file = io.BytesIO(stream)
  starts = []
  while file.tell() < len(stream):
    starts.append(file.tell())
    record.read_record(file, 1 << 30)
  start = starts[int(random.integers(len(starts)))]
  (length,) = struct.unpack_from("<Q", stream, start)
  wrong = int(
    random.choice([2**63, 2**40, 2**31, 2**20, 70000, length + 1, length // 2, 0])
  )
  field = struct.pack("<Q", wrong)
  field += struct.pack("<I", record.masked_crc32c(field))
  return stream[:start] + field + stream[start + len(field) :]


def wrong_model(random, stream, _):
  """A sound stream of a codec with another fingerprint or another name."""
  header, *rest = split(stream)
  header = packing.unpack_header(header)
  if random.integers(2):
    header = header._replace(model="ssf")
  else:
    header = header._replace(fingerprint=flip_bits(random, header.fingerprint, 1))
  return rechain(header, [payload[:-4] for payload in rest])


def wrong_size(random, stream, _):
  """A header that states another size, with the record's checksum right."""
  header, *rest = split(stream)
  width, height = (int(n) for n in random.choice([0, 1, 16, 64, 4096, 65535], 2))
  header = header[:7] + struct.pack("<HH", width, height) + header[11:]
  return join([header, *rest])


def garbage(random, *_):
  return random.bytes(int(random.integers(0, 5000)))


def garbage_records(random, *_):
  count = int(random.integers(1, 5))
  return join([random.bytes(int(random.integers(0, 500))) for _ in range(count)])


def forged(random, stream, _):
  """Random strings, or a wrong size, in a stream with all checksums right."""
  header, *rest = split(stream)
  header = packing.unpack_header(header)
  bodies = [payload[:-4] for payload in rest]
  if random.integers(4) == 0:
    header = header._replace(
      width=int(random.integers(16, 400)), height=int(random.integers(16, 400))
    )
  else:
    i = int(random.integers(len(bodies) - 1))
    frame = packing.unpack_frame(bodies[i])
    strings = list(frame.strings)
    j = int(random.integers(len(strings)))
    strings[j] = (
      flip_bits(random, strings[j], 1)
      if strings[j] and random.integers(2)
      else random.bytes(int(random.integers(0, 300)))
    )
    bodies[i] = packing.pack_frame(frame._replace(strings=tuple(strings)))
  return rechain(header, bodies)


DAMAGES = (
  one_bit,
  some_bits,
  burst,
  truncated,
  missing_bytes,
  more_bytes,
  swapped_records,
  repeated_record,
  dropped_record,
  foreign_record,
  foreign_tail,
  altered_record,
  random_record,
  wrong_length,
  wrong_model,
  wrong_size,
  garbage,
  garbage_records,
)


def outcome(codec, stream, frames, is_forged=False):
  """Decodes a stream and says in two words how that ended; "BAD: ..." if wrongly."""
  decoded = []
  try:
    reader = CompressedVideoReader(codec, io.BytesIO(stream))
    for frame in reader:
      decoded.append(frame)
      if is_forged:
        if frame.shape != (reader.height, reader.width, 3):
          return "BAD: frame of a wrong size"
      elif len(decoded) > len(frames) or (frame != frames[len(decoded) - 1]).any():
        return "BAD: wrong frame"
  except StreamError as error:
    if "\n" in str(error):
      return "BAD: error of many lines"
    return "error in header" if error.frame is None else "error at frame"
  except Exception as error:
    return f"BAD: {type(error).__name__}: {error}"
  return "decodes" if is_forged else "BAD: no error"


def run(codec, streams, seed, damages=DAMAGES):
  """Decodes damaged streams.

  Args:
    codec: Codec.
    streams: how many, spread evenly over the damages.
    seed: of the damages.
    damages: the functions to apply.

  Returns:
    Counter of (damage, outcome), and (longest time in seconds, its damage).
    A stream that takes more than a minute ends the process with a traceback.
  """
  random = np.random.default_rng(seed)
  clips = [make_clip(random) for _ in range(2)]
  sound, other = (compress(codec, clip, gop=3) for clip in clips)
  frames = list(CompressedVideoReader(codec, io.BytesIO(sound)))
  counts, slowest = collections.Counter(), (0.0, "")
  for i in range(streams):
    damage = damages[i % len(damages)]
    while (stream := damage(random, sound, other)) == sound:
      pass
    faulthandler.dump_traceback_later(60, exit=True)  # a hang within TensorFlow
    start = time.monotonic()
    result = outcome(codec, stream, frames, is_forged=damage is forged)
    seconds = time.monotonic() - start
    faulthandler.cancel_dump_traceback_later()
    if seconds > SECONDS_ALLOWED:
      result = f"BAD: took {seconds:.0f} s"
    counts[damage.__name__, result] += 1
    slowest = max(slowest, (seconds, damage.__name__))
  return counts, slowest


def report(counts):
  """Markdown table of damages by outcomes."""
  outcomes = sorted({result for _, result in counts})
  lines = [f"| damage | {' | '.join(outcomes)} |", "|---" * (len(outcomes) + 1) + "|"]
  for damage in dict.fromkeys(name for name, _ in counts):
    cells = (str(counts[damage, result] or "") for result in outcomes)
    lines.append(f"| {damage.replace('_', ' ')} | {' | '.join(cells)} |")
  return "\n".join(lines)


def tiny_codec(folder):
  """Exports an untrained codec of the smallest size."""
  from tfafs.models import registry

  model = registry.build(registry.load_config("stat_ssf_sp", "tiny"))
  model.export_codec(os.path.join(folder, "saved_model"))
  return Codec.load(os.path.join(folder, "saved_model"))


def summarize(counts, slowest, seconds):
  """Prints the table and a line below it; returns how many streams ended badly."""
  print(report(counts))
  bad = sum(n for (_, result), n in counts.items() if result.startswith("BAD"))
  memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  print(
    f"\n{sum(counts.values())} streams in {seconds:.0f} s, slowest {slowest[0]:.2f} s "
    f"({slowest[1]}), peak memory {memory / 1024:.0f} MiB, {bad} ended badly\n",
    flush=True,
  )
  return bad


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--streams", type=int, default=2000)
  parser.add_argument("--forged", type=int, default=200)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--saved_model", help="by default a tiny one is made")
  arguments = parser.parse_args()
  bad = 0
  with tempfile.TemporaryDirectory() as folder:
    if arguments.saved_model:
      codec = Codec.load(arguments.saved_model)
    else:
      codec = tiny_codec(folder)
    for count, damages in ((arguments.streams, DAMAGES), (arguments.forged, [forged])):
      if count:
        start = time.monotonic()
        counts, slowest = run(codec, count, arguments.seed, damages)
        bad += summarize(counts, slowest, time.monotonic() - start)
  sys.exit(1 if bad else 0)


if __name__ == "__main__":
  main()
