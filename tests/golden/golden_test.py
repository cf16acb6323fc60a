"""Streams that an earlier tfafs wrote decode to the frames they had."""

import pathlib
import tarfile

import numpy as np
import pytest

from tfafs import coding

HERE = pathlib.Path(__file__).parent
FOLDERS = ["stat_ssf_sp", "ssf_tp_variable_rate"]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_golden_stream_decodes(name, tmp_path):
  with tarfile.open(HERE / name / "codec.tar.xz") as archive:
    archive.extractall(tmp_path)
  codec = coding.Codec.load(tmp_path / "codec")
  expected = np.load(HERE / name / "frames.npz")["frames"].astype(int)
  with coding.CompressedVideoReader(codec, HERE / name / "stream.tfafs") as stream:
    decoded = np.stack(list(stream)).astype(int)
  assert decoded.shape == expected.shape
  # Symbols are exact on every machine; frames are as near as floating point is.
  assert np.abs(decoded - expected).max() <= 1


@pytest.mark.parametrize("name", FOLDERS)
def test_a_golden_stream_holds_more_than_its_frame_count(name):
  report = coding.inspect_stream(HERE / name / "stream.tfafs")
  assert report.fault is None
  assert report.header.exact_index
  assert [frame.kind for frame in report.frames] == list("IPPPPIP")
  parts = [sum(frame.part_bytes) for frame in report.frames]
  assert min(parts) > 50
