"""docs/decode_without_tfafs.py, run where tfafs cannot be imported."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tfafs.coding import CompressedVideoReader, CompressedVideoWriter

SCRIPT = pathlib.Path(__file__).parents[2] / "docs" / "decode_without_tfafs.py"
# Blocks what is not to be needed, then runs the script once per stream, in one process
# that loads the SavedModel once.
RUNNER = """
import functools, runpy, sys
sys.modules["tfafs"] = sys.modules["av"] = sys.modules["google_crc32c"] = None
import tensorflow as tf
tf.saved_model.load = functools.lru_cache(None)(tf.saved_model.load)
script, saved_model, *pairs = sys.argv[1:]
for stream, out in zip(pairs[::2], pairs[1::2]):
  sys.argv = [script, stream, saved_model, out]
  try:
    runpy.run_path(script, run_name="__main__")
  except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def streams(ssf_codec, tmp_path_factory):
  folder = tmp_path_factory.mktemp("streams")
  texture = np.random.default_rng(0).integers(0, 256, [23, 40, 3], np.uint8)
  with CompressedVideoWriter(ssf_codec, folder / "sound", 40, 23, 25, gop=3) as writer:
    for t in range(5):
      writer.write(np.roll(texture, t, axis=1))
  data = (folder / "sound").read_bytes()
  (folder / "cut").write_bytes(data[:-25])
  (folder / "flipped").write_bytes(data[:-40] + bytes([data[-40] ^ 1]) + data[-39:])
  return folder


def test_same_frames_as_the_library(streams, ssf_codec, tiny_saved_model):
  names = (("sound", "a.npy"), ("sound", "a.rgb"), ("cut", "b.npy"), ("flipped", "c"))
  run = subprocess.run(
    [
      *(sys.executable, "-c", RUNNER, SCRIPT, tiny_saved_model),
      *(streams / name for pair in names for name in pair),
    ],
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  )
  said = [line for line in run.stdout.splitlines() if line]
  assert said[:2] == ["5 frames of 40x23 at 25/1 per second"] * 2
  assert said[2] == "AssertionError cut behind 5 frames"
  assert said[3].startswith("DataLossError")
  with CompressedVideoReader(ssf_codec, streams / "sound") as reader:
    frames = np.stack(list(reader))
  np.testing.assert_array_equal(np.load(streams / "a.npy"), frames)
  assert (streams / "a.rgb").read_bytes() == frames.tobytes()
  assert not (streams / "b.npy").exists() and not (streams / "c").exists()


def test_length_and_imports():
  text = SCRIPT.read_text()
  assert text.count("\n") <= 60
  assert "import tfafs" not in text and "from tfafs" not in text
