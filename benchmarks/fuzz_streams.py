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
import pathlib
import resource
import struct
import sys
import tempfile
import time
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
  record,
)

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # for those who import this file
from stream_damages import DAMAGES, FORGED, forged_checksum, forged_numbers, join, split

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
  """Numbers of the frames lost, up to 100: an altered header may promise milliards."""
  return [i for frames in lost for i in range(frames.start, min(frames.stop, 100))]


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
    live = reader.header.frame_count != len(sound.records)
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
