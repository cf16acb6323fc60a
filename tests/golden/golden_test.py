"""A stream that an earlier tfafs wrote decodes to the frames it had."""

import pathlib
import tarfile

import numpy as np
import pytest

from tfafs import coding

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="module")
def codec(tmp_path_factory):
  folder = tmp_path_factory.mktemp("golden")
  with tarfile.open(HERE / "codec.tar.xz") as archive:
    archive.extractall(folder)
  return coding.Codec.load(folder / "codec")


def test_the_golden_stream_decodes(codec):
  expected = np.load(HERE / "frames.npz")["frames"].astype(int)
  with coding.CompressedVideoReader(codec, HERE / "stream.tfafs") as stream:
    decoded = np.stack(list(stream)).astype(int)
  assert decoded.shape == expected.shape
  # Symbols are exact on every machine; frames are as near as floating point is.
  assert np.abs(decoded - expected).max() <= 1


def test_the_golden_stream_holds_more_than_its_frame_count():
  report = coding.inspect_stream(HERE / "stream.tfafs")
  assert report.fault is None
  assert report.header.exact_index
  assert [frame.kind for frame in report.frames] == list("IPPPPIP")
  parts = [sum(frame.part_bytes) for frame in report.frames]
  assert min(parts) > 50
