"""The exported codec: what one function writes, another reads, with nothing of tfafs."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfafs import coding
from tfafs.models import registry

SIZES = [(16, 16), (17, 33), (45, 67)]


def frames(count, height, width, seed=0):
  rng = np.random.default_rng(seed)
  coarse = rng.integers(0, 256, [height // 8 + 2, width // 8 + 3, 3])
  image = np.kron(coarse, np.ones([8, 8, 1])).astype(np.uint8)
  return np.stack([image[t : t + height, t : t + width] for t in range(count)])


@pytest.fixture(scope="module")
def signatures(tiny_saved_model):
  return tf.saved_model.load(str(tiny_saved_model)).signatures


def code(signatures, clip):
  """Encodes and decodes a clip frame by frame; returns what each side has."""
  coded, decoded, there, here = [], [], {}, {"size": tf.constant(clip.shape[1:3])}
  for t, frame in enumerate(clip):
    kind = "inter" if t else "intra"
    out = signatures[f"encode_{kind}"](frame=tf.constant(frame), **there)
    coded.append(out)
    there = {name: out[name] for name in out if name not in ("strings", "bits")}
    here = signatures[f"decode_{kind}"](strings=out["strings"], **here)
    decoded.append(here["reference"])
  return coded, decoded


@pytest.mark.parametrize("size", SIZES)
def test_the_decoders_frames_are_the_encoders(signatures, size):
  coded, decoded = code(signatures, frames(4, *size))
  for there, here in zip(coded, decoded):
    assert here.shape == [*size, 3]
    np.testing.assert_array_equal(there["reference"], here)


def test_bits_that_are_estimated_are_bytes_that_are_written(signatures):
  coded, _ = code(signatures, frames(4, 112, 160))
  estimated = np.concatenate([c["bits"] for c in coded]) / 8
  written = np.concatenate([[len(s) for s in c["strings"].numpy()] for c in coded])
  # A coder rounds each string up to bytes and adds at most two to end it.
  assert np.all(written - estimated < 3 + 0.02 * estimated)
  assert np.all(written - estimated > -0.02 * estimated - 0.5)
  assert written.sum() > 500


def test_the_exported_encoder_codes_as_the_model_does(tiny_codec, signatures):
  clip = frames(2, 45, 67)
  x = tf.constant(clip[None] / 255.0, tf.float32)
  expected = tiny_codec(x)
  coded, _ = code(signatures, clip)
  image = np.round(np.clip(expected.reconstruction[0], 0, 1) * 255)
  for t in range(2):
    error = np.abs(coded[t]["reference"].numpy().astype(int) - image[t])
    assert error.max() <= 1
  bits = [
    float(expected.bits[part][0, 0])
    for part in ("motion", "motion_hyper", "residual", "residual_hyper")
  ]
  np.testing.assert_allclose(coded[1]["bits"], bits, rtol=1e-3)


@pytest.mark.parametrize("gop", [0, 2, 3])
def test_whole_clips_are_frames_one_by_one(signatures, gop):
  clip = frames(5, 20, 24)
  coded = signatures["compress"](frames=tf.constant(clip), gop=tf.constant(gop))
  decoded = signatures["decompress"](
    strings=coded["strings"], size=tf.constant([20, 24]), gop=tf.constant(gop)
  )["frames"].numpy()
  intra = [t for t in range(5) if t == 0 or (gop and t % gop == 0)]
  strings = coded["strings"].numpy()
  assert [t for t in range(5) if strings[t, 2] == strings[t, 3] == b""] == intra
  for start, end in zip(intra, [*intra[1:], 5]):
    there, _ = code(signatures, clip[start:end])
    for t, frame in enumerate(there, start):
      np.testing.assert_array_equal(decoded[t], frame["reference"])
      count = len(frame["strings"])
      np.testing.assert_array_equal(strings[t, :count], frame["strings"])


def test_too_small_a_frame_is_refused(signatures):
  with pytest.raises(tf.errors.InvalidArgumentError, match="at least 16x16"):
    signatures["encode_intra"](frame=tf.zeros([15, 40, 3], tf.uint8))


def test_forged_strings_end(tiny_saved_model):
  """Strings that no encoder wrote give some frame; they do not hang the range coder."""
  program = """
import sys
import numpy as np, tensorflow as tf, tensorflow_compression
model = tf.saved_model.load(sys.argv[1]).signatures
rng = np.random.default_rng(0)
size = tf.constant([48, 64])
for length in [0, 1, 2, 3, 9, 40, 400] * 3:
  for fill in (b"\\0", b"\\xff", None):
    strings = [fill * length if fill else rng.bytes(length) for _ in range(4)]
    frame = model["decode_intra"](strings=tf.constant(strings[:2]), size=size)["reference"]
    frame = model["decode_inter"](strings=tf.constant(strings), reference=frame)
"""
  subprocess.run(
    [sys.executable, "-c", program, str(tiny_saved_model)], check=True, timeout=300
  )


def test_metadata(tiny_codec, signatures):
  metadata = json.loads(signatures["describe"]()["metadata"].numpy())
  assert metadata["model"] == "stat_ssf_sp"
  assert len(bytes.fromhex(metadata["fingerprint"])) == 32
  assert metadata["inter_parts"] == [
    "motion",
    "motion_hyper",
    "residual",
    "residual_hyper",
  ]
  assert metadata["beta"] == tiny_codec.config.model.beta
  assert metadata["exact_index"] is True


def test_float64_is_the_way_out_where_sums_are_rounded(
  signatures, tiny_saved_model, tmp_path
):
  tested = signatures["self_test"](zero=tf.constant(0.0))
  assert tested["exact"] and not tested["wide"]
  frame = np.kron(
    np.random.default_rng(0).integers(0, 256, [4, 6, 3]), np.ones([9, 9, 1])
  )
  frame = frame.astype(np.uint8)
  coded = signatures["encode_intra"](frame=tf.constant(frame))
  np.savez(tmp_path / "coded.npz", strings=coded["strings"], sent=coded["reference"])
  # Automatic mixed precision rounds sums to 16 bits.
  program = """
import sys
import numpy as np, tensorflow as tf, tensorflow_compression
from tfafs import coding
tf.config.optimizer.set_experimental_options(
  {"auto_mixed_precision_onednn_bfloat16": True})
codec = coding.Codec.load(sys.argv[1])
coded = np.load(sys.argv[2], allow_pickle=True)
strings, sent = tf.constant(coded["strings"].tolist()), coded["sent"].astype(int)
test, decode = codec.signatures["self_test"], codec.signatures["decode_intra"]
print(*(bool(test(zero=tf.constant(0.0))[name]) for name in ("exact", "wide")))
frame = decode(strings=strings, size=tf.constant(sent.shape[:2]))["reference"]
print(np.abs(frame.numpy() - sent).mean())
"""
  said = subprocess.run(
    [sys.executable, "-c", program, str(tiny_saved_model), tmp_path / "coded.npz"],
    check=True,
    capture_output=True,
    text=True,
  ).stdout.split()
  assert said[:2] == ["True", "True"]
  assert float(said[2]) < 2.0  # Levels: the synthesis is rounded as well.


def test_the_index_branch_of_the_export_is_integers_on_the_cpu(signatures):
  graph = signatures["decode_inter"].graph.as_graph_def()
  types = []
  for nodes in (graph.node, *(f.node_def for f in graph.library.function)):
    by_name = {node.name: node for node in nodes}
    for node in nodes:
      if node.op in ("Conv2D", "Conv2DBackpropInput") and "index/" in node.name:
        assert "CPU:0" in node.device
        kernel = by_name[node.input[1].split(":")[0]]
        if kernel.op == "Cast":
          kernel = by_name[kernel.input[0].split(":")[0]]
        assert kernel.op == "Const"
        value = tf.make_ndarray(kernel.attr["value"].tensor)
        np.testing.assert_array_equal(value, np.round(value))
        types.append(tf.dtypes.as_dtype(node.attr["T"].type))
  # Three layers for motion, four for the residual, in either arithmetic.
  assert sorted(t.name for t in types) == ["float32"] * 7 + ["float64"] * 7


def test_fingerprint_follows_what_decoding_reads(tiny_codec, monkeypatch):
  from tfafs.models.codec import export, index_network, priors

  def fingerprint():
    return json.loads(export.CodecModule(tiny_codec).metadata)["fingerprint"]

  before = fingerprint()
  assert fingerprint() == before
  seen = {before}
  for layer in (tiny_codec.inter.residual_prior, tiny_codec.inter.transform):
    variable = layer.trainable_variables[0]
    value = variable.numpy()
    variable.assign(value + 1e-3)
    seen.add(fingerprint())
    variable.assign(value)
  for module, name in ((priors, "STEP"), (index_network, "_CONTEXT_STEPS")):
    monkeypatch.setattr(module, name, getattr(module, name) / 2)
    seen.add(fingerprint())
    monkeypatch.undo()
  with tiny_codec.config.unlocked():
    monkeypatch.setitem(tiny_codec.config.model, "precision", "mixed_bfloat16")
    seen.add(fingerprint())
    monkeypatch.undo()
  assert len(seen) == 6
  assert fingerprint() == before


def test_export_in_another_precision_keeps_the_weights(tiny_codec, tmp_path):
  config = tiny_codec.config.copy_and_resolve_references()
  config.model.precision, config.model.export_precision = "mixed_bfloat16", "float32"
  model = registry.build(config)
  model.set_weights(tiny_codec.get_weights())
  model.export_codec(tmp_path / "codec")
  signatures = tf.saved_model.load(str(tmp_path / "codec")).signatures
  clip = frames(2, 45, 67)
  coded, decoded = code(signatures, clip)
  # What is exported computes as a model of that precision does.
  image = tiny_codec(tf.constant(clip[None] / 255.0, tf.float32)).reconstruction[0]
  image = np.round(np.clip(image, 0, 1) * 255)
  for t in range(2):
    np.testing.assert_array_equal(coded[t]["reference"], decoded[t])
    assert np.abs(decoded[t].numpy().astype(int) - image[t]).max() <= 1


def test_serves_where_there_is_no_tfafs(tiny_saved_model, signatures, tmp_path):
  """A fresh process with tensorflow and tensorflow_compression alone decodes the same."""
  clip = frames(3, 20, 24)
  coded = signatures["compress"](frames=tf.constant(clip), gop=tf.constant(0))
  np.save(tmp_path / "strings.npy", coded["strings"].numpy())
  program = """
import sys
sys.modules["tfafs"] = None  # an import of it would fail
import numpy as np, tensorflow as tf, tensorflow_compression
model = tf.saved_model.load(sys.argv[1])
strings = np.load(sys.argv[2] + "/strings.npy", allow_pickle=True)
out = model.signatures["decompress"](
  strings=tf.constant(strings), size=tf.constant([20, 24]), gop=tf.constant(0))
np.save(sys.argv[2] + "/frames.npy", out["frames"].numpy())
"""
  subprocess.run(
    [sys.executable, "-c", program, str(tiny_saved_model), str(tmp_path)], check=True
  )
  here = signatures["decompress"](
    strings=coded["strings"], size=tf.constant([20, 24]), gop=tf.constant(0)
  )["frames"]
  np.testing.assert_array_equal(np.load(tmp_path / "frames.npy"), here)


def test_a_failed_export_leaves_the_old_one(tiny_codec, tmp_path, monkeypatch):
  path = tmp_path / "saved_model"
  path.mkdir()
  (path / "old").touch()

  def fail(*_):
    raise OSError("No space left on device")

  monkeypatch.setattr(tf.saved_model, "save", fail)
  with pytest.raises(OSError):
    tiny_codec.export_codec(path)
  assert [p.name for p in tmp_path.iterdir()] == ["saved_model"]
  assert (path / "old").exists()


def test_weights_that_are_not_finite_are_refused_at_the_frame(tiny_codec, tmp_path):
  bias = tiny_codec.inter._residual_analysis.layers[-1].bias
  value = bias.numpy()
  bias.assign(value * np.nan)
  try:
    tiny_codec.export_codec(tmp_path / "codec")
  finally:
    bias.assign(value)
  codec, file = coding.Codec.load(tmp_path / "codec"), tmp_path / "clip.tfafs"
  with (
    pytest.raises(ValueError) as error,
    coding.CompressedVideoWriter(codec, file, 24, 20, 25) as writer,
  ):
    for frame in frames(3, 20, 24):
      writer.write(frame)
  expected = "frame 1 cannot be encoded: the symbols of residual_prior are not finite: "
  assert str(error.value).startswith(expected)
  assert "\n" not in str(error.value)
  assert not file.exists()
