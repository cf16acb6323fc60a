"""A few of the damaged streams of benchmarks/fuzz_streams.py."""

import importlib.util
import pathlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

_PATH = pathlib.Path(__file__).parents[2] / "benchmarks" / "fuzz_streams.py"
_SPEC = importlib.util.spec_from_file_location("fuzz_streams", _PATH)
fuzz_streams = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fuzz_streams)


def _bad(counts):
  return {key: n for key, n in counts.items() if "BAD" in key[1]}


@pytest.fixture(scope="module")
def sound(codec):
  return fuzz_streams.Sound(codec, np.random.default_rng(3))


def test_damaged_streams(codec):
  number = 20 * len(fuzz_streams.DAMAGES)
  counts, _ = fuzz_streams.run(codec, number, seed=1, decode_every=10)
  assert sum(counts.values()) == 3 * number
  assert not _bad(counts)


def test_forged_streams(codec):
  counts, _ = fuzz_streams.run(codec, 60, seed=2, damages=fuzz_streams.FORGED)
  assert not _bad(counts)
  assert any(outcome == "strict: decodes" for _, outcome in counts)


def test_damaged_streams_of_a_trained_architecture(ssf_codec):
  counts, _ = fuzz_streams.run(ssf_codec, len(fuzz_streams.DAMAGES), seed=4)
  assert not _bad(counts)
  counts, _ = fuzz_streams.run(ssf_codec, 12, seed=5, damages=fuzz_streams.FORGED)
  assert not _bad(counts)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(fuzz_streams.DAMAGES))
def test_any_damage(sound, seed, damage):
  stream = damage(np.random.default_rng(seed), sound.stream, sound.other)
  if stream != sound.stream:
    for mode in fuzz_streams.MODES:
      result = fuzz_streams.read_records(sound, stream, mode, seed % 7 + 1)
      assert not result.startswith("BAD"), (mode, result)


def test_the_fuzzer_sees_what_goes_unnoticed(sound):
  """What it would report if a damaged stream gave wrong frames, or no error."""
  fuzz, stream = fuzz_streams, sound.stream
  assert fuzz.read_records(sound, stream, "strict", 0) == "BAD: no error"
  assert fuzz.read_records(sound, stream, "resilient", 0) == "BAD: no error"
  assert fuzz.read_records(sound, sound.other, "strict", 0) == "BAD: wrong record"
  assert fuzz.decode(sound, sound.other, "strict", 0) == "BAD: wrong frame"
  assert fuzz.decode(sound, stream, "strict", 0, fuzz.forged_checksum).startswith("BAD")
  for indexes, lost in (([0, 1, 2], []), ([0, 1, 4], [2, 3, 5, 6, 7]), ([1, 0], [])):
    assert fuzz.unlike_sound(sound, "resilient", indexes, lost, False)
  assert fuzz.unlike_sound(sound, "strict", [0, 2], [], False)
  assert fuzz.unlike_sound(sound, "seek", [4, 5], [], False)
