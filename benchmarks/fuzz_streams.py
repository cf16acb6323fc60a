#!/usr/bin/env python3
"""Reads damaged streams: no crash, no hang, no wrong frame, no loss without a word.

    benchmarks/fuzz_streams.py [--streams=20000] [--forged=1000] [--saved_model=DIR]

Without --saved_model, `stat_ssf_sp` at its tiny size is built and exported, untrained.
Every damage leaves the checksums of the records right wherever it can, so that more
than the CRCs is put to the test. Each damaged stream is read three ways:

- strictly: the records before the damage, then a StreamError of one line;
- resilient: records of the sound stream, ascending, each gap ending in an I frame, and
  every frame either had or reported as lost;
- from a random frame on, by its index: records of the sound stream, from the I frame on.

A codec decodes equal records to equal frames, so most streams are compared record by
record; every --decode_every-th is decoded as well, and its frames are compared.

Then a stream is cut behind each of its bytes, and read in the same ways: what comes out
must be the whole frames before the cut, and their number must be reported.

`forged` streams are rewritten with all checksums right, chain included; only strings,
sizes, numbers, the index or the checksums of frames are wrong. Nothing can tell strings
apart, so they may decode to other frames of the right size; but then the checksum of
that frame must say so, unless it is the one that was forged. Exit code 1 if any stream
ends otherwise.
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
  ResilientStreamReader,
  StreamError,
  StreamReader,
  packing,
  record,
  seek_index,
)

SECONDS_ALLOWED = 10
FRAME_RATE = Fraction(25)
MODES = ("strict", "resilient", "seek")


def make_clip(random, frames=8, height=35, width=50):
  """A moving texture, uint8 [frames, height, width, 3]."""
  coarse = random.integers(0, 256, [height // 4 + 2, width // 4 + 2, 3])
  texture = np.kron(coarse, np.ones([4, 4, 1])).astype(np.uint8)
  return np.stack([np.roll(texture, t, 1)[:height, :width] for t in range(frames)])


def compress(codec, clip, gop, counted=True):
  """A stream with index and checksums; its header counts the frames, or is live."""
  file = io.BytesIO()
  height, width = clip.shape[1:3]
  options = {"frame_checksums": True, "index": True}
  with CompressedVideoWriter(
    codec, file, width, height, FRAME_RATE, gop, **options
  ) as writer:
    for frame in clip:
      writer.write(frame)
  header, *rest = split(file.getvalue())
  count = struct.pack("<I", len(clip)) if counted else header[-4:]
  return join([header[:-4] + count, *rest])


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


def bodies_of(payloads):
  """Bodies of the records behind the header, without seals and chains."""
  identity = packing.stream_id(payloads[0])
  return [packing.unpack_payload(payload, identity)[0] for payload in payloads[1:]]


def rechain(header, bodies):
  """A stream of these bodies with all checksums right."""
  header = header._replace(first_frame=zlib.crc32(bodies[0]))
  payloads = [packing.pack_header(header)]
  identity = packing.stream_id(payloads[0])
  chain = identity
  for body in bodies:
    payloads.append(packing.pack_payload(body, chain, identity))
    chain = zlib.crc32(body, chain)
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
  """A sound stream of a codec with another fingerprint, name or guarantee."""
  payloads = split(stream)
  header = packing.unpack_header(payloads[0])
  choice = random.integers(3)
  if choice == 0:
    header = header._replace(model="ssf")
  elif choice == 1:
    header = header._replace(fingerprint=flip_bits(random, header.fingerprint, 1))
  else:
    header = header._replace(exact_index=not header.exact_index)
  return rechain(header, bodies_of(payloads))


def wrong_size(random, stream, _):
  """A header that states another size, with the record's checksum right."""
  header, *rest = split(stream)
  width, height = (int(n) for n in random.choice([0, 1, 16, 64, 4096, 65535], 2))
  header = header[:7] + struct.pack("<HH", width, height) + header[11:]
  return join([header, *rest])


def groups(payloads):
  """Header, the groups of frames, index and end, as lists of payloads."""
  out = [[]]
  for payload in payloads:
    if payload[:1] in (b"I", b"x"):
      out.append([])
    out[-1].append(payload)
  return out


def shuffled_groups(random, stream, _):
  """Groups of pictures swapped, repeated or gone."""
  head, *rest, tail = groups(split(stream))
  order = random.integers(0, len(rest), random.integers(0, len(rest) + 2))
  return join([*head, *(p for i in order for p in rest[i]), *tail])


def foreign_group(random, stream, other):
  parts, others = groups(split(stream)), groups(split(other))
  i = int(random.integers(1, len(parts)))
  parts[i] = others[i]
  return join([payload for part in parts for payload in part])


def damaged_index(random, stream, _):
  """Bits of index or end flipped, their own checksums made right or not."""
  payloads = split(stream)
  i = -int(random.integers(1, 3))
  if random.integers(2):
    payloads[i] = flip_bits(random, payloads[i], int(random.integers(1, 5)))
    return join(payloads)
  size = len(payloads[i]) + record.OVERHEAD
  end = len(stream) - (len(payloads[-1]) + record.OVERHEAD) * (i == -2)
  part = flip_bits(random, stream[end - size : end], int(random.integers(1, 5)))
  return stream[: end - size] + part + stream[end:]


def several(random, stream, other):
  """Two to four of the other damages, one after the other."""
  for _ in range(int(random.integers(2, 5))):
    damage = SIMPLE[int(random.integers(len(SIMPLE)))]
    try:
      stream = damage(random, stream, other)
    except (ValueError, IndexError, struct.error):
      continue  # too much is damaged already to do this one
    if not stream:
      break
  return stream


def garbage(random, *_):
  return random.bytes(int(random.integers(0, 5000)))


def garbage_records(random, *_):
  count = int(random.integers(1, 5))
  return join([random.bytes(int(random.integers(0, 500))) for _ in range(count)])


def forged_strings(random, stream, _):
  """Random strings, or a wrong size, in a stream with all checksums right."""
  payloads = split(stream)
  header, bodies = packing.unpack_header(payloads[0]), bodies_of(payloads)
  if random.integers(4) == 0:
    header = header._replace(
      width=int(random.integers(16, 400)), height=int(random.integers(16, 400))
    )
    return rechain(header, bodies)
  i = int(random.integers(len(bodies) - 2))
  frame = packing.unpack_frame(bodies[i], True)
  strings = list(frame.strings)
  j = int(random.integers(len(strings)))
  strings[j] = (
    flip_bits(random, strings[j], 1)
    if strings[j] and random.integers(2)
    else random.bytes(int(random.integers(0, 300)))
  )
  bodies[i] = packing.pack_frame(frame._replace(strings=tuple(strings)))
  return rechain(header, bodies)


def forged_checksum(random, stream, _):
  """A frame's checksum changed."""
  payloads = split(stream)
  bodies = bodies_of(payloads)
  i = int(random.integers(len(bodies) - 2))
  frame = packing.unpack_frame(bodies[i], True)
  wrong = flip_bits(random, frame.checksum, int(random.integers(1, 9)))
  bodies[i] = packing.pack_frame(frame._replace(checksum=wrong))
  return rechain(packing.unpack_header(payloads[0]), bodies)


def forged_numbers(random, stream, _):
  """Frames that say they are others, an end that counts others."""
  payloads = split(stream)
  header, bodies = packing.unpack_header(payloads[0]), bodies_of(payloads)
  for _ in range(int(random.integers(1, 4))):
    i = int(random.integers(len(bodies)))
    number = int(random.choice([0, 2, 5, 9, 300, 65540, 2**31, 2**32 - 1]))
    if bodies[i][:1] == b"E":
      bodies[i] = b"E" + struct.pack("<II", number, int(random.integers(200)))
    elif bodies[i][:1] != b"x":
      frame = packing.unpack_frame(bodies[i], True)
      bodies[i] = packing.pack_frame(frame._replace(index=number))
  if random.integers(2):
    header = header._replace(frame_count=None)
  return rechain(header, bodies)


def forged_index(random, stream, _):
  """Entries of the index changed, swapped or gone."""
  payloads = split(stream)
  header, bodies = packing.unpack_header(payloads[0]), bodies_of(payloads)
  entries = seek_index.unpack(bodies[-2])
  i = int(random.integers(len(entries)))
  change = random.integers(5)
  if change == 0:
    entries[i] = entries[i]._replace(frame=int(random.integers(10)))
  elif change == 1:
    entries[i] = entries[i]._replace(offset=int(random.integers(len(stream) + 99)))
  elif change == 2:
    entries[i] = entries[i]._replace(chain=int(random.integers(2**32)))
  elif change == 3:
    del entries[i]
  else:
    j = int(random.integers(len(entries)))
    entries[i] = entries[i]._replace(offset=entries[j].offset, chain=entries[j].chain)
  bodies[-2] = seek_index.pack(entries)
  size = len(bodies[-2]) + 8 + record.OVERHEAD
  bodies[-1] = bodies[-1][:5] + struct.pack("<I", size)
  return rechain(header, bodies)


SIMPLE = (
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
  shuffled_groups,
  foreign_group,
  altered_record,
  damaged_index,
  random_record,
  wrong_length,
  wrong_size,
)
DAMAGES = (*SIMPLE, several, wrong_model, forged_index, garbage, garbage_records)
FORGED = (forged_strings, forged_checksum, forged_numbers)


class Sound:
  """The sound stream, and another of the same codec: what damages are made of.

  Attributes:
    codec: the Codec.
    stream, other: bytes.
    records: the FrameRecords of `stream`.
    frames: what they decode to.
  """

  def __init__(self, codec, random, counted=True):
    clips = [make_clip(random) for _ in range(2)]
    self.codec = codec
    self.stream, self.other = (
      compress(codec, c, gop=3, counted=counted) for c in clips
    )
    self.records = list(StreamReader(io.BytesIO(self.stream)))
    self.frames = list(CompressedVideoReader(codec, io.BytesIO(self.stream)))


def missing(lost):
  return [index for frames in lost for index in frames]


def unlike_sound(sound, mode, indexes, lost, live):
  """What is wrong with the numbers of the frames that came out, or None."""
  if mode == "strict" and indexes != list(range(len(indexes))):
    return "frames out of order"
  if mode == "seek" and indexes and indexes != list(range(indexes[0], indexes[-1] + 1)):
    return "frames out of order"
  if indexes and sound.records[indexes[0]].kind != "I":
    return "begins with a P frame"
  if mode == "resilient":
    if sorted(indexes) != indexes or len(set(indexes)) < len(indexes):
      return "frames out of order"
    every = max([-1, *indexes, *lost]) + 1 if live else len(sound.records)
    if sorted([*indexes, *lost]) != list(range(every)):
      return "frames lost without a word"
    for before, after in zip([-1, *indexes], indexes):
      if after > before + 1 and sound.records[after].kind != "I":
        return "a gap ends in a P frame"
  return None


def read_records(sound, stream, mode, start):
  """Reads a stream without decoding it; says in a few words how that ended."""
  kind = ResilientStreamReader if mode == "resilient" else StreamReader
  indexes, faults, lost, live = [], [], [], True
  try:
    reader = kind(io.BytesIO(stream))
    sound.codec.check_header(reader.header)
    live = reader.header.frame_count is None
    if mode == "seek":
      reader.seek(start)
    for frame in reader:
      if frame.index >= len(sound.records) or frame != sound.records[frame.index]:
        return "BAD: wrong record"
      indexes.append(frame.index)
    if mode == "resilient":
      faults, lost = reader.faults, missing(reader.lost)
  except StreamError as error:
    if "\n" in str(error):
      return "BAD: error of many lines"
    if mode == "resilient" and indexes:
      return "BAD: a resilient reader gave up"
    faults = [str(error)]
    if not indexes and error.frame is None:
      return "refused"
  except Exception as error:
    return f"BAD: {type(error).__name__}: {error}"
  problem = unlike_sound(sound, mode, indexes, lost, live)
  if problem:
    return f"BAD: {problem}"
  if faults:
    return "error or loss reported"
  return "right frames" if mode == "seek" else "BAD: no error"


def decode(sound, stream, mode, start, damage=None):
  """Decodes a stream, compares its frames and says how that ended."""
  options = {"start": start} if mode == "seek" else {"resilient": mode == "resilient"}
  forged = damage in FORGED
  indexes = []
  try:
    reader = CompressedVideoReader(sound.codec, io.BytesIO(stream), **options)
    for frame in reader:
      if frame.shape != (reader.height, reader.width, 3):
        return "BAD: frame of a wrong size"
      index, check = reader.index, reader.last_check
      indexes.append(index)
      right = index < len(sound.frames) and np.array_equal(frame, sound.frames[index])
      # Which frame it is, and its checksum, are the forger's word in a forged stream.
      if not right and not (forged and (damage is forged_numbers or not check.exact)):
        return "BAD: wrong frame"
      if right and not check.exact and not forged:
        return "BAD: a right frame is said to drift"
    if damage is forged_checksum and reader.drift.exact and not start:
      return "BAD: a wrong checksum is not reported"
  except StreamError as error:
    if mode == "resilient" and indexes:
      return "BAD: a resilient reader gave up"
    return "BAD: error of many lines" if "\n" in str(error) else "error reported"
  except ValueError as error:
    # Frames that a damaged stream does not have cannot be asked of it.
    if mode == "seek" and "there is no frame" in str(error):
      return "error reported"
    return f"BAD: {type(error).__name__}: {error}"
  except Exception as error:
    return f"BAD: {type(error).__name__}: {error}"
  if forged or mode == "seek":
    return "decodes"
  return "loss reported" if reader.faults else "BAD: no error"


def run(codec, streams, seed, damages=DAMAGES, decode_every=20):
  """Reads damaged streams.

  Args:
    codec: Codec.
    streams: how many, spread evenly over the damages.
    seed: of the damages.
    damages: the functions to apply.
    decode_every: decode each such stream; forged ones are all decoded.

  Returns:
    Counter of (damage, outcome), and (longest time in seconds, its damage).
    A stream that takes more than a minute ends the process with a traceback.
  """
  random = np.random.default_rng(seed)
  sounds = [Sound(codec, random, counted) for counted in (True, False)]
  counts, slowest = collections.Counter(), (0.0, "")
  for i in range(streams):
    damage = damages[i % len(damages)]
    sound = sounds[i // len(damages) % 2]
    while (stream := damage(random, sound.stream, sound.other)) == sound.stream:
      pass
    start = int(random.integers(1, len(sound.frames)))
    decoded = damage in FORGED or i // len(damages) % decode_every == 0
    for mode in MODES:
      faulthandler.dump_traceback_later(60, exit=True)  # a hang within TensorFlow
      begin = time.monotonic()
      results = []
      if damage not in FORGED:
        results.append(read_records(sound, stream, mode, start))
      if decoded:
        results.append(decode(sound, stream, mode, start, damage))
      seconds = time.monotonic() - begin
      faulthandler.cancel_dump_traceback_later()
      if seconds > SECONDS_ALLOWED:
        results.append(f"BAD: took {seconds:.0f} s")
      for result in results[:1] + [r for r in results[1:] if r.startswith("BAD")]:
        counts[damage.__name__, f"{mode}: {result}"] += 1
      slowest = max(slowest, (seconds, damage.__name__))
  return counts, slowest


def cut_everywhere(codec, seed):
  """Reads a stream cut behind each of its bytes.

  Returns:
    Counter of ("cut behind each byte", outcome).
  """
  counts, decoded = collections.Counter(), set()
  for counted in (True, False):
    sound = Sound(codec, np.random.default_rng(seed), counted)
    ends = np.cumsum([len(p) + record.OVERHEAD for p in split(sound.stream)])
    frames_end = ends[: len(sound.frames) + 1]
    for cut in range(len(sound.stream)):
      stream = sound.stream[:cut]
      whole = int(np.sum(frames_end <= cut)) - 1
      for mode in MODES:
        start = int(cut % len(sound.frames))
        result = read_records(sound, stream, mode, start)
        if mode == "strict" and not result.startswith("BAD"):
          result = said_of_cut(stream, whole)
        counts["cut behind each byte", f"{mode}: {result}"] += 1
        if (counted, whole, mode) not in decoded:
          decoded.add((counted, whole, mode))
          result = decode(sound, stream, mode, start)
          if result.startswith("BAD"):
            counts["cut behind each byte", f"{mode}: {result}"] += 1
  return counts


def said_of_cut(stream, whole):
  """Whether the error counts the whole frames before the cut."""
  frames = []
  try:
    for frame in StreamReader(io.BytesIO(stream)):
      frames.append(frame)
  except StreamError as error:
    if whole < 0:
      return "refused" if error.frame is None else "BAD: a header cut short is taken"
    good = (
      f"truncated behind {whole} whole frames" in str(error) and error.frame == whole
    )
    if good and len(frames) == whole:
      return "whole frames, and their number"
  return "BAD: the whole frames are not counted"


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
  bad = sum(n for (_, result), n in counts.items() if "BAD" in result)
  memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  number = sum(counts.values()) // len(MODES)
  print(
    f"\n{number} streams, each read {len(MODES)} ways, in {seconds:.0f} s, slowest "
    f"{slowest[0]:.2f} s ({slowest[1]}), peak memory {memory / 1024:.0f} MiB, "
    f"{bad} ended badly\n",
    flush=True,
  )
  return bad


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--streams", type=int, default=20000)
  parser.add_argument("--forged", type=int, default=1000)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--decode_every", type=int, default=20)
  parser.add_argument("--saved_model", help="by default a tiny one is made")
  arguments = parser.parse_args()
  bad = 0
  with tempfile.TemporaryDirectory() as folder:
    if arguments.saved_model:
      codec = Codec.load(arguments.saved_model)
    else:
      codec = tiny_codec(folder)
    seed, every = arguments.seed, arguments.decode_every
    for count, damages in ((arguments.streams, DAMAGES), (arguments.forged, FORGED)):
      if count:
        start = time.monotonic()
        counts, slowest = run(codec, count, seed, damages, every)
        bad += summarize(counts, slowest, time.monotonic() - start)
    start = time.monotonic()
    counts = cut_everywhere(codec, seed)
    bad += summarize(counts, (0.0, "-"), time.monotonic() - start)
  sys.exit(1 if bad else 0)


if __name__ == "__main__":
  main()
