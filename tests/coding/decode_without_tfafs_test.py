"""docs/decode_without_tfafs.py, run where tfafs cannot be imported."""

import io
import pathlib
import subprocess
import sys
import zlib

import numpy as np
import pytest

from tfafs.coding import CompressedVideoReader, CompressedVideoWriter, packing, record

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


CHECKED = {"frame_checksums": True, "index": True}


def _frame(body, **changes):
  frame = packing.unpack_frame(body, True)
  return packing.pack_frame(frame._replace(**changes))


# What is done to bodies (frames 0 to 4, index, end), and what is then said of it.
UNSEALED = (lambda b: b, "frame 0: seal")
FORGED = (
  UNSEALED,
  (lambda b: b, "5 frames"),
  (lambda b: [*b[:3], _frame(b[3], kind="P"), *b[4:]], "too far behind"),
  (lambda b: [*b[:1], _frame(b[1], index=2), *b[2:]], "frame 1: out of place"),
  (lambda b: [*b[:2], _frame(b[2], strings=(b"",)), *b[3:]], "frame 2: parts"),
  (lambda b: [*b[:2], b[2][:56], *b[3:]], "a number is cut short"),
  (lambda b: [*b[:5], b[5][:17] + b[5][33:], b[6]], "frame 5: a wrong index"),
  (lambda b: [*b[:4], b[5], b[4], b[6]], "the index is not before the end"),
  (lambda b: [*b[:5], b[6]], "frame 5: the end"),
  (lambda b: [*b[:6], b"E\4" + b[6][2:]], "frame 5: the end"),
  (lambda b: [*b, b"x"], "something follows"),
  (lambda b: [*b[:5], b"y", *b[5:]], "5 frames"),
  (lambda b: [*b[:5], b"Y", *b[5:]], "a record of unknown kind"),
  (lambda b: [_frame(b[0], checksum=bytes(52)), *b[1:]], "not the frame announced"),
)


def forge(data, damage):
  """The stream with other records, header kept, chains and CRCs made right."""
  file, payloads = io.BytesIO(data), []
  while (payload := record.read_record(file, 1 << 20)) is not None:
    payloads.append(payload)
  out, header = io.BytesIO(), payloads[0]
  record.write_record(out, header)
  identity = chain = packing.stream_id(header)
  bodies = [packing.unpack_payload(p, identity)[0] for p in payloads[1:]]
  for body in damage[0](bodies):
    payload = packing.pack_payload(body, chain, identity)
    if damage is UNSEALED and body[:1] == b"I":
      payload = payload[:-8] + bytes(4) + payload[-4:]
    record.write_record(out, payload)
    chain = zlib.crc32(body, chain)
  return out.getvalue()


@pytest.fixture(scope="module")
def streams(ssf_codec, tmp_path_factory):
  folder = tmp_path_factory.mktemp("streams")
  texture = np.random.default_rng(0).integers(0, 256, [23, 40, 3], np.uint8)
  for name, options in (("plain", {}), ("sound", CHECKED)):
    with CompressedVideoWriter(
      ssf_codec, folder / name, 40, 23, 25, gop=3, **options
    ) as writer:
      for t in range(5):
        writer.write(np.roll(texture, t, axis=1))
  data = (folder / "sound").read_bytes()
  (folder / "cut").write_bytes(data[:-33])
  (folder / "short").write_bytes(data[:-34])
  (folder / "flipped").write_bytes(data[:-150] + bytes([data[-150] ^ 1]) + data[-149:])
  for number, damage in enumerate(FORGED):
    (folder / f"forged{number}").write_bytes(forge(data, damage))
  return folder


def test_same_frames_as_the_library(streams, ssf_codec, tiny_saved_model):
  names = [("sound", "a.npy"), ("plain", "a.rgb"), ("cut", "b.npy"), ("flipped", "c")]
  names += [("short", "d"), *((f"forged{n}", "e") for n in range(len(FORGED)))]
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
  frames_said = "5 frames of 40x23 at 25/1 per second"
  assert said[:4] == [frames_said, "bit-exact", frames_said, said[3]]
  assert said[3] == "ValueError the stream is cut behind 5 frames"
  assert said[4].startswith("DataLossError")
  assert said[5] == "ValueError the file is cut behind 5 frames"
  said = [line for line in said[6:] if line != "bit-exact"]
  assert len(said) == len(FORGED)
  for line, (_, words) in zip(said, FORGED):
    assert words in line
  with CompressedVideoReader(ssf_codec, streams / "sound") as reader:
    frames = np.stack(list(reader))
  np.testing.assert_array_equal(np.load(streams / "a.npy"), frames)
  assert (streams / "a.rgb").read_bytes() == frames.tobytes()
  assert not any((streams / name).exists() for name in ("b.npy", "c", "d"))


def test_length_and_imports():
  text = SCRIPT.read_text()
  assert text.count("\n") <= 170
  assert "import tfafs" not in text and "from tfafs" not in text
