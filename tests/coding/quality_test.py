"""Quality on its way through encoder, header and decoder."""

import importlib.util
import io
import pathlib
import runpy
import sys

import numpy as np
import pytest

from tfafs.coding import CompressedVideoReader, CompressedVideoWriter, inspection
from tfafs.coding.codec import Codec, Encoder
from tfafs.coding.packing import StreamError

_PATH = pathlib.Path(__file__).with_name("variable_codec.py")
_SPEC = importlib.util.spec_from_file_location("variable_codec", _PATH)
variable_codec = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(variable_codec)


@pytest.fixture(scope="module")
def variable(tmp_path_factory):
  return Codec.load(variable_codec.export(tmp_path_factory.mktemp("v") / "codec"))


def write(codec, frames, **options):
  file = io.BytesIO()
  with CompressedVideoWriter(codec, file, 21, 17, 25, 3, **options) as writer:
    sent = [writer.write(frame).reconstruction for frame in frames]
  return file.getvalue(), sent


def test_the_decoder_finds_the_quality_in_the_header(variable, frames):
  sizes = []
  for quality, steps in ((0, 0), (2.47, 40), (None, 48), (6, 96)):
    data, sent = write(variable, frames, quality=quality, index=True)
    sizes.append(len(data))
    report = inspection.inspect_stream(io.BytesIO(data))
    assert report.header.quality == steps
    assert report.to_json()["header"]["quality"] == steps / 16
    text = inspection.format_report(report, "s").splitlines()[0]
    assert text.endswith(f"GOP 3, quality {steps / 16:g}")
    for resilient in (False, True):
      with CompressedVideoReader(
        variable, io.BytesIO(data), start=4, resilient=resilient
      ) as reader:
        np.testing.assert_array_equal(list(reader), sent[4:])
  assert sizes == sorted(set(sizes))


def test_what_a_codec_has_no_quality_for(variable, codec, frames):
  for quality in (-0.1, 6.01, float("nan")):
    with pytest.raises(
      ValueError, match=r"quality is .*; the codec in .* takes 0 to 6"
    ):
      Encoder(variable, quality=quality)
  with pytest.raises(ValueError, match="has one rate and no choice of quality"):
    write(codec, frames, quality=3.0)
  data, _ = write(codec, frames)
  report = inspection.inspect_stream(io.BytesIO(data))
  assert report.header.quality is None
  assert report.to_json()["header"]["quality"] is None
  assert "quality" not in inspection.format_report(report, "s")


def test_headers_that_cannot_be(variable, codec, frames):
  header = inspection.inspect_stream(io.BytesIO(write(variable, frames)[0])).header
  variable.check_header(header)
  for quality in (None, 97):
    with pytest.raises(StreamError, match="the header is not what was written"):
      variable.check_header(header._replace(quality=quality))
  header = inspection.inspect_stream(io.BytesIO(write(codec, frames)[0])).header
  with pytest.raises(StreamError, match="has one rate: the header is not"):
    codec.check_header(header._replace(quality=0))


@pytest.mark.parametrize(
  "quality", [{}, {"min": 0, "max": 16, "step": 0.0625}, {"min": 0, "max": 6}, 6]
)
def test_a_range_that_cannot_be_is_refused(export_png_codec, tmp_path, quality):
  path = export_png_codec(tmp_path / "codec", quality=quality)
  with pytest.raises(ValueError, match=r"states quality .* which cannot be"):
    Codec.load(path)


def test_the_decoder_without_tfafs_takes_it_too(
  variable, frames, tmp_path, monkeypatch
):
  script = pathlib.Path(__file__).parents[2] / "docs" / "decode_without_tfafs.py"
  data, sent = write(variable, frames, quality=1.25)
  stream, out = tmp_path / "stream", tmp_path / "out.npy"
  stream.write_bytes(data)
  arguments = [str(script), str(stream), variable.path, str(out)]
  monkeypatch.setattr(sys, "argv", arguments)
  runpy.run_path(str(script), run_name="__main__")
  np.testing.assert_array_equal(np.load(out), sent)
