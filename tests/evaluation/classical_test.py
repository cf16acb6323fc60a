import av
import numpy as np
import pytest

from tfafs.evaluation import classical, clips, metrics


def code(name, crf, frames, path, gop=0):
  """Encodes and decodes; returns the encoder's account and the decoded frames."""
  clip = clips.as_clip(frames)
  codec = classical.ClassicalCodec(name, crf)
  encoded = codec.encode_file(clip, str(path), gop)
  decoded = []
  assert codec.decode_file(str(path), decoded.append, clip) > 0
  return encoded, decoded


def mean_psnr(frames, decoded):
  return np.mean([metrics.psnr(*pair) for pair in zip(frames, decoded)])


@pytest.mark.parametrize("name", classical.ENCODERS)
def test_less_rate_is_less_quality(name, frames, tmp_path):
  sizes, psnrs = [], []
  for crf in (15, 25, 40):
    encoded, decoded = code(name, crf, frames, tmp_path / "a.mkv")
    assert len(decoded) == len(encoded.frames) == len(frames)
    sizes.append((tmp_path / "a.mkv").stat().st_size)
    assert 0 < sum(f.num_bytes for f in encoded.frames) < sizes[-1]
    psnrs.append(mean_psnr(frames, decoded))
  assert sizes == sorted(sizes, reverse=True)
  assert psnrs == sorted(psnrs, reverse=True)
  assert psnrs[0] > 36


def test_rgb_is_not_converted(frames, tmp_path):
  _, decoded = code("x264_rgb", 0, frames, tmp_path / "a.mkv")  # 0 is lossless
  np.testing.assert_array_equal(decoded, frames)


def test_yuv_loses_what_the_conversion_loses_and_nothing_else(frames, tmp_path):
  _, decoded = code("x264", 0, frames, tmp_path / "a.mkv")
  converted = [classical.conversion(frame, "x264", "bt601") for frame in frames]
  np.testing.assert_array_equal(decoded, converted)
  assert 30 < mean_psnr(frames, decoded) < 60


@pytest.mark.parametrize("name", classical.ENCODERS)
@pytest.mark.parametrize("size", [(16, 16), (17, 33), (32, 19)])
def test_odd_and_small_sizes(name, size, frames, tmp_path):
  crop = np.ascontiguousarray(frames[:3, : size[0], : size[1]])
  _, decoded = code(name, 10, crop, tmp_path / "a.mkv")
  assert np.shape(decoded) == crop.shape
  assert mean_psnr(crop, decoded) > 30


@pytest.mark.parametrize("name", classical.ENCODERS)
def test_i_frames_come_at_the_gop_and_b_frames_never(name, frames, tmp_path):
  encoded, _ = code(name, 30, frames, tmp_path / "a.mkv", gop=2)
  assert [frame.kind for frame in encoded.frames] == ["I", "P", "I", "P", "I"]
  with av.open(str(tmp_path / "a.mkv")) as container:
    kinds = [int(frame.pict_type) for frame in container.decode(video=0)]
  assert kinds == [1, 2, 1, 2, 1]  # AV_PICTURE_TYPE_I, _P; _B is 3
  encoded, _ = code(name, 30, frames, tmp_path / "a.mkv", gop=0)
  assert [frame.kind for frame in encoded.frames] == ["I", "P", "P", "P", "P"]


@pytest.mark.parametrize("name", classical.ENCODERS)
def test_files_hold_no_message_of_the_encoder_and_it_prints_none(
  name, frames, tmp_path, capfd
):
  code(name, 30, frames, tmp_path / "a.mkv")
  data = (tmp_path / "a.mkv").read_bytes()
  assert b"videolan" not in data
  assert b"x265 (build" not in data
  assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", classical.ENCODERS)
def test_the_same_clip_gives_the_same_bytes(name, frames, tmp_path):
  files = []
  for path in (tmp_path / "a.mkv", tmp_path / "b.mkv"):
    code(name, 30, frames, path)
    with av.open(str(path)) as container:
      files.append([bytes(packet) for packet in container.demux(video=0)])
  assert files[0] == files[1]


def test_bad_arguments():
  with pytest.raises(ValueError, match="choose from x264, x265"):
    classical.ClassicalCodec("vp9", 30)
  with pytest.raises(ValueError, match="crf: must lie between 0 and 51, got 52"):
    classical.ClassicalCodec("x265", 52)


def test_a_failure_leaves_no_file(frames, tmp_path):
  with pytest.raises(ValueError, match=r"x265 cannot encode dot \(1x1\)"):
    classical.ClassicalCodec("x265", 30).encode_file(
      clips.as_clip(frames[:, :1, :1], name="dot"), str(tmp_path / "a.mkv")
    )

  def broken():
    yield frames[0]
    raise OSError("the source is gone")

  clip = clips.as_clip(frames)._replace(read=broken)
  with pytest.raises(OSError, match="gone"):
    classical.ClassicalCodec("x264", 30).encode_file(clip, str(tmp_path / "b.mkv"))
  assert not list(tmp_path.iterdir())
