import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tfafs.coding.codec import Codec, Decoder, EncodedFrame, Encoder
from tfafs.coding.packing import FrameRecord, StreamError, StreamHeader


def test_metadata(codec):
  assert codec.model == "png"
  assert len(codec.fingerprint) == 32
  assert codec.fingerprint.hex() == codec.metadata["fingerprint"]
  assert codec.intra_parts == ("upper", "lower")
  assert codec.inter_parts == ("red", "green", "blue")
  assert codec.min_size == 16
  assert codec.exact_index is True


def test_decoder_follows_encoder(codec, frames):
  encoder, decoder = Encoder(codec, gop=3), Decoder(codec, width=21, height=17)
  kinds = ""
  for frame in frames:
    encoded = encoder.encode(frame)
    assert isinstance(encoded, EncodedFrame)
    np.testing.assert_array_equal(encoded.reconstruction, frame)
    np.testing.assert_array_equal(decoder.decode(encoded), frame)
    assert encoded.bits.dtype == np.float32
    np.testing.assert_array_equal(encoded.bits, [8 * len(s) for s in encoded.strings])
    kinds += encoded.kind
  assert kinds == "IPPIPPI"


def test_gop_zero_has_one_intra_frame(codec, frames):
  encoder = Encoder(codec, gop=0)
  assert "".join(encoder.encode(frame).kind for frame in frames) == "IPPPPPP"


def test_new_sizes_trace_nothing(codec, frames):
  function = codec.signatures["encode_intra"]
  Encoder(codec).encode(frames[0])
  graph = function.graph
  for size in (16, 33, 50):
    encoded = Encoder(codec).encode(np.zeros([size, size + 1, 3], np.uint8))
    assert encoded.reconstruction.shape == (size, size + 1, 3)
  assert codec.signatures["encode_intra"].graph is graph


@pytest.mark.parametrize(
  ("frame", "message"),
  [
    (np.zeros([17, 21, 3]), r"uint8 array .* not float64 \[17, 21, 3\]"),
    (np.zeros([17, 21], np.uint8), r"not uint8 \[17, 21\]"),
    (np.zeros([17, 21, 4], np.uint8), r"not uint8 \[17, 21, 4\]"),
    ("frame", "not str"),
    (np.zeros([15, 21, 3], np.uint8), "21x15 are too small: .* 16x16"),
    (np.zeros([17, 22, 3], np.uint8), "frame is 22x17, those before it were 21x17"),
  ],
)
def test_frames_that_cannot_be_encoded(codec, frames, frame, message):
  encoder = Encoder(codec)
  encoder.encode(frames[0])
  with pytest.raises(ValueError, match=message):
    encoder.encode(frame)
  assert encoder.encode(frames[1]).kind == "P"  # the encoder is as it was


def test_negative_gop(codec):
  with pytest.raises(ValueError, match="gop is -1"):
    Encoder(codec, gop=-1)


def test_decoder_size(codec):
  with pytest.raises(ValueError, match="15x16 are too small"):
    Decoder(codec, 15, 16)


def test_strings_that_do_not_decode(codec, frames):
  encoder, decoder = Encoder(codec), Decoder(codec, 21, 17)
  intra, inter = (encoder.encode(frame) for frame in frames[:2])

  def fails(frame, message, index):
    with pytest.raises(StreamError, match=message) as error:
      decoder.decode(frame)
    assert error.value.frame == index
    assert "\n" not in str(error.value)

  fails(inter, "frame 0: a P frame cannot be decoded before an I frame", 0)
  fails(intra._replace(strings=intra.strings[:1]), "1 strings.*has 2 .upper, lower", 0)
  fails(intra._replace(strings=(b"", b"")), "frame 0: its strings do not decode", 0)
  decoder.decode(intra)
  fails(inter._replace(strings=inter.strings * 2), "6 strings", 1)
  damaged = inter.strings[0][:40] + b"?" + inter.strings[0][41:]
  fails(inter._replace(strings=(damaged, *inter.strings[1:])), "frame 1: its str", 1)
  record = FrameRecord(1, inter.kind, inter.strings)
  np.testing.assert_array_equal(decoder.decode(record), frames[1])  # it can go on


def test_frame_of_another_size_in_the_strings(codec, frames):
  intra = Encoder(codec).encode(frames[0])
  with pytest.raises(StreamError, match="frame 0"):
    Decoder(codec, 22, 17).decode(intra)


def test_stream_of_another_model(codec, other_codec):
  header = StreamHeader(
    codec.model, codec.fingerprint, 16, 16, None, 1, 1, exact_index=True
  )
  codec.check_header(header)
  with pytest.raises(
    StreamError, match=r"exact_index=False, its codec in .* says True"
  ):
    codec.check_header(header._replace(exact_index=False))
  with pytest.raises(StreamError) as error:
    other_codec.check_header(header)
  for name in (codec.fingerprint.hex()[:16], other_codec.fingerprint.hex()[:16], "png"):
    assert name in str(error.value)
  assert "\n" not in str(error.value)
  with pytest.raises(StreamError, match=r"made by ssf .* is png"):
    codec.check_header(header._replace(model="ssf"))


def test_load_what_is_no_codec(tmp_path, saved_model, export_png_codec):
  def fails(path, message):
    with pytest.raises(ValueError, match=message) as error:
      Codec.load(path)
    assert "\n" not in str(error.value)

  fails(tmp_path / "nothing", "holds no SavedModel")
  fails(__file__, "holds no SavedModel")
  module = tf.Module()
  module.variable = tf.Variable(1.0)
  tf.saved_model.save(module, str(tmp_path / "other"))
  fails(tmp_path / "other", "no tfafs codec: it lacks the signature 'describe'")
  export_png_codec(tmp_path / "newer", format_version=3)
  fails(tmp_path / "newer", "format version 3; this tfafs runs version 2")
  export_png_codec(tmp_path / "unnamed", fingerprint="cafe")
  fails(tmp_path / "unnamed", "states fingerprint 'cafe'")
  export_png_codec(tmp_path / "partless", inter_parts=[])
  fails(tmp_path / "partless", r"states inter_parts \[\]")
  export_png_codec(tmp_path / "vague", exact_index="perhaps")
  fails(tmp_path / "vague", "states exact_index 'perhaps'")
  shutil.copytree(saved_model, tmp_path / "cut")
  graph = tmp_path / "cut" / "saved_model.pb"
  graph.write_bytes(graph.read_bytes()[:1000])
  fails(tmp_path / "cut", "cannot be loaded")
  shutil.copytree(saved_model, tmp_path / "bare")
  shutil.rmtree(tmp_path / "bare" / "variables")
  fails(tmp_path / "bare", "cannot be loaded")


def test_metadata_is_json(codec):
  text = codec.signatures["describe"]()["metadata"].numpy()
  assert json.loads(text) == codec.metadata
