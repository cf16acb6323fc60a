"""A few of the damaged streams of benchmarks/fuzz_streams.py."""

import importlib.util
import pathlib

import pytest

_PATH = pathlib.Path(__file__).parents[2] / "benchmarks" / "fuzz_streams.py"
_SPEC = importlib.util.spec_from_file_location("fuzz_streams", _PATH)
fuzz_streams = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fuzz_streams)


def _bad(counts):
  return {key: n for key, n in counts.items() if key[1].startswith("BAD")}


def test_damaged_streams_end_in_stream_errors(codec):
  counts, _ = fuzz_streams.run(codec, 15 * len(fuzz_streams.DAMAGES), seed=1)
  assert sum(counts.values()) == 15 * len(fuzz_streams.DAMAGES)
  assert not _bad(counts)


def test_damaged_streams_of_a_trained_architecture(ssf_codec):
  counts, _ = fuzz_streams.run(ssf_codec, 3 * len(fuzz_streams.DAMAGES), seed=2)
  assert not _bad(counts)


@pytest.mark.parametrize("change", ["frame", "length"])
def test_the_fuzzer_sees_wrong_frames(codec, change):
  """What the fuzzer would report if a damaged stream went unnoticed."""
  clip = fuzz_streams.make_clip(fuzz_streams.np.random.default_rng(0))
  stream = fuzz_streams.compress(codec, clip, gop=3)
  assert fuzz_streams.outcome(codec, stream, clip) == "BAD: no error"
  wrong = clip.copy() if change == "frame" else clip[:-1]
  wrong[2, 5, 5] ^= 1
  assert fuzz_streams.outcome(codec, stream, wrong) == "BAD: wrong frame"
