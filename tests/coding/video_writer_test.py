"""Writing videos: lossless where promised, and whole or not there at all."""

import fractions
import io
import os

import av
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfafs.coding import color
from tfafs.coding.video_reader import open_video
from tfafs.coding.video_writer import open_writer


def random_frames(seed, count, height, width):
  random = np.random.default_rng(seed)
  return list(random.integers(0, 256, (count, height, width, 3)).astype(np.uint8))


def write(path, frames, frame_rate=25):
  height, width = frames[0].shape[:2]
  with open_writer(path, width, height, frame_rate) as writer:
    for frame in frames:
      writer.write(frame)
  assert writer.frame_count == len(frames)


@settings(max_examples=30, deadline=None)
@given(
  seed=st.integers(0, 2**32 - 1),
  height=st.integers(1, 40),
  width=st.integers(1, 40),
  count=st.integers(1, 3),
  name=st.sampled_from(["a.mkv", "frames", "x_%02d.png"]),
)
def test_lossless_round_trip(tmp_path_factory, seed, height, width, count, name):
  folder = tmp_path_factory.mktemp("written")
  frames = random_frames(seed, count, height, width)
  write(folder / name, frames)
  reader = open_video(folder if "%" in name else folder / name)
  assert (reader.width, reader.height) == (width, height)
  np.testing.assert_array_equal(list(reader), frames)


def test_ffv1_file(tmp_path):
  rate = fractions.Fraction(30000, 1001)
  frames = random_frames(1, 12, 33, 47)
  write(tmp_path / "a.mkv", frames, rate)
  assert os.listdir(tmp_path) == ["a.mkv"]
  reader = open_video(tmp_path / "a.mkv")
  assert abs(reader.frame_rate - rate) < 0.01
  with av.open(str(tmp_path / "a.mkv")) as container:
    stream = container.streams.video[0]
    assert stream.codec_context.name == "ffv1"
    assert stream.codec_context.pix_fmt == "bgr0"
    decoded = list(container.decode(stream))
    times = [float(frame.pts * frame.time_base) for frame in decoded]
  np.testing.assert_allclose(times, np.arange(12) / float(rate), atol=1e-3)
  for frame, original in zip(decoded, frames):
    np.testing.assert_array_equal(frame.to_ndarray(format="rgb24"), original)


def test_png_files_are_what_pillow_reads(tmp_path):
  frames = random_frames(2, 11, 5, 9)
  write(tmp_path / "out", frames)
  assert sorted(os.listdir(tmp_path / "out")) == [f"{i:06d}.png" for i in range(11)]
  for number, frame in enumerate(frames):
    image = PIL.Image.open(tmp_path / "out" / f"{number:06d}.png")
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), frame)


@pytest.mark.parametrize(("size", "matrix"), [((20, 31), "bt601"), ((720, 3), "bt709")])
def test_y4m_bytes(tmp_path, size, matrix):
  frames = random_frames(3, 2, *size)
  write(tmp_path / "a.y4m", frames, fractions.Fraction(24000, 1001))
  header, *pictures = (tmp_path / "a.y4m").read_bytes().split(b"FRAME\n")
  assert header.startswith(f"YUV4MPEG2 W{size[1]} H{size[0]} F24000:1001 ".encode())
  assert b" C444" in header
  for picture, frame in zip(pictures, frames):
    planes = np.frombuffer(picture, np.uint8).reshape(3, *size)
    np.testing.assert_array_equal(planes, color.rgb_to_yuv(frame, matrix))


def test_y4m_round_trip_is_within_two_levels(tmp_path):
  frames = random_frames(4, 3, 37, 53)
  write(tmp_path / "a.y4m", frames, 30)
  reader = open_video(tmp_path / "a.y4m")
  assert reader.frame_rate == 30
  difference = np.array(list(reader)).astype(int) - frames
  assert np.abs(difference).max() <= 2


def test_file_objects_take_y4m(tmp_path):
  frames = random_frames(5, 2, 8, 8)
  write(tmp_path / "a.y4m", frames)
  file = io.BytesIO()
  write(file, frames)
  assert file.getvalue() == (tmp_path / "a.y4m").read_bytes()


NAMES = ["a.mkv", "a.y4m", "out", "new_%03d.png"]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_appears_before_the_end_nor_after_a_failure(tmp_path, name):
  frames = random_frames(6, 3, 16, 16)

  def visible():
    return [entry for entry in os.listdir(tmp_path) if not entry.startswith(".")]

  with pytest.raises(RuntimeError, match="stop"):  # noqa: SIM117
    with open_writer(tmp_path / name, 16, 16) as writer:
      for frame in frames:
        writer.write(frame)
      assert visible() == []
      raise RuntimeError("stop")
  assert os.listdir(tmp_path) == []
  writer.close()
  writer.discard()
  assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["a.mkv", "a.y4m"])
def test_an_existing_file_stays_until_the_new_one_is_whole(tmp_path, name):
  path = tmp_path / name
  path.write_bytes(b"old")
  with pytest.raises(ValueError, match="frame must be uint8"):  # noqa: SIM117
    with open_writer(path, 16, 16) as writer:
      writer.write(np.zeros((16, 16, 3), np.uint8))
      assert path.read_bytes() == b"old"
      writer.write(np.zeros((16, 17, 3), np.uint8))
  assert os.listdir(tmp_path) == [name]
  assert path.read_bytes() == b"old"
  write(path, random_frames(7, 1, 16, 16))
  assert os.listdir(tmp_path) == [name]
  assert open_video(path).width == 16


@pytest.mark.parametrize("name", NAMES)
def test_a_video_without_a_frame_is_an_error(tmp_path, name):
  with pytest.raises(ValueError, match="no frame was written"):  # noqa: SIM117
    with open_writer(tmp_path / name, 16, 16):
      pass
  assert os.listdir(tmp_path) == []


def test_png_folders_are_not_mixed(tmp_path):
  frames = random_frames(8, 2, 4, 4)
  write(tmp_path / "a_%d.png", frames)
  write(tmp_path / "b_%d.png", frames)
  assert len(os.listdir(tmp_path)) == 4
  with pytest.raises(ValueError, match=r"holds files named like a_%d\.png"):
    open_writer(tmp_path / "a_%d.png", 4, 4)
  (tmp_path / "empty").mkdir()
  write(tmp_path / "empty", frames)
  with pytest.raises(ValueError, match="holds files named like"):
    open_writer(tmp_path / "empty", 4, 4)


def test_errors_say_what_exists(tmp_path):
  with pytest.raises(ValueError, match=r"cannot write \.mp4; there are \.mkv"):
    open_writer(tmp_path / "a.mp4", 4, 4)
  with pytest.raises(ValueError, match="does not exist: make it first"):
    open_writer(tmp_path / "missing" / "a.mkv", 4, 4)
  with pytest.raises(ValueError, match="does not exist: make it first"):
    open_writer(tmp_path / "missing" / "out", 4, 4)
  with pytest.raises(
    ValueError, match=r"one number in its name, for example a_%05d\.png"
  ):
    open_writer(tmp_path / "a.png", 4, 4)
  with pytest.raises(ValueError, match="width and height must be positive, not 0x4"):
    open_writer(tmp_path / "a.mkv", 0, 4)
  with pytest.raises(ValueError, match="frame_rate must be positive"):
    open_writer(tmp_path / "a.mkv", 4, 4, 0)
  assert os.listdir(tmp_path) == []
