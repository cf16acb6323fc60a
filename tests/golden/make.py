"""Makes the golden streams that are not there, from the project's root.

    python tests/golden/make.py

A stream that is here decodes for ever: a version of tfafs that reads format 2 has to give
these frames. Delete one only for a new format version. The codecs are untrained, of size
tiny, with weights that make all of their parts speak, as the tests' fixture `tiny_codec`
has them.
"""

import pathlib
import shutil
import sys
import tarfile
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import conftest

from tfafs import coding

HERE = pathlib.Path(__file__).parent
# Folder: model, and the quality of a codec of variable rate.
STREAMS = {
  "stat_ssf_sp": ("stat_ssf_sp", None),
  "ssf_tp_variable_rate": ("ssf_tp", 4.5),
}
SIZE = (45, 67)
NUM_FRAMES, GOP = 7, 5


def clip():
  """Moving coarse noise, uint8 [NUM_FRAMES, height, width, 3]."""
  rng = np.random.default_rng(0)
  image = np.kron(rng.integers(0, 256, [8, 11, 3]), np.ones([8, 8, 1]))
  height, width = SIZE
  frames = [image[t : t + height, 2 * t : 2 * t + width] for t in range(NUM_FRAMES)]
  return np.stack(frames).astype(np.uint8)


def make(name, quality, out_dir):
  """Writes codec.tar.xz, stream.tfafs and frames.npz."""
  model = conftest.make_tiny_codec(name, variable_rate=quality is not None)
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / "codec"
    model.export_codec(path, steps=0)
    codec = coding.Codec.load(path)
    stream = pathlib.Path(folder) / "stream.tfafs"
    height, width = SIZE
    with coding.CompressedVideoWriter(
      codec,
      stream,
      width,
      height,
      frame_rate=25,
      gop=GOP,
      frame_checksums=True,
      quality=quality,
    ) as out:
      frames = [out.write(frame).reconstruction for frame in clip()]
    out_dir.mkdir()
    np.savez_compressed(out_dir / "frames.npz", frames=np.stack(frames))
    shutil.copy(stream, out_dir / "stream.tfafs")
    (path / "fingerprint.pb").unlink(missing_ok=True)
    with tarfile.open(out_dir / "codec.tar.xz", "w:xz") as archive:
      archive.add(path, "codec")


def main():
  """Makes those that are not there."""
  for folder, (name, quality) in STREAMS.items():
    if not (HERE / folder).exists():
      make(name, quality, HERE / folder)


if __name__ == "__main__":
  main()
