import numpy as np
import pytest
from PIL import Image

from tfafs.evaluation import clips


def write_pngs(folder, frames):
  folder.mkdir()
  for index, frame in enumerate(frames):
    Image.fromarray(frame).save(folder / f"{index}.png")
  return folder


def test_a_folder_of_png_files_is_one_clip_that_can_be_read_again(frames, tmp_path):
  folder = write_pngs(tmp_path / "walk", frames)
  (clip,) = clips.find_clips([str(folder)], max_frames=3)
  assert (clip.name, clip.width, clip.height) == ("walk", 64, 48)
  for _ in range(2):
    np.testing.assert_array_equal(list(clip.frames()), frames[:3])


def test_a_folder_of_videos_is_a_clip_for_each_in_natural_order(frames, tmp_path):
  from tfafs.coding import video_writer

  for name in ("b10.mkv", "b9.y4m", "a.mkv"):
    with video_writer.open_writer(tmp_path / name, 64, 48, 30) as writer:
      writer.write(frames[0])
  (tmp_path / "notes.txt").write_text("no video")
  found = clips.find_clips([str(tmp_path)])
  assert [clip.name for clip in found] == ["a", "b9", "b10"]
  np.testing.assert_array_equal(list(found[0].frames()), frames[:1])


def test_raw_video_needs_a_size(tmp_path):
  (tmp_path / "a.yuv").write_bytes(bytes(3 * 16 * 24 // 2))
  (clip,) = clips.find_clips([str(tmp_path)], raw_size=(24, 16))
  assert np.shape(list(clip.frames())) == (1, 16, 24, 3)
  with pytest.raises(ValueError, match="size"):
    clips.find_clips([str(tmp_path / "a.yuv")])
  with pytest.raises(ValueError, match="no video in folder"):
    clips.find_clips([str(tmp_path)])


def test_clips_of_the_same_name_are_told_apart(frames, tmp_path):
  (tmp_path / "x").mkdir()
  first = write_pngs(tmp_path / "walk", frames[:1])
  second = write_pngs(tmp_path / "x" / "walk", frames[:1])
  names = [clip.name for clip in clips.find_clips([str(first), str(second)])]
  assert len(set(names)) == 2


def test_frames_in_memory(frames):
  clip = clips.as_clip(list(frames), max_frames=2, name="mine")
  assert (clip.name, clip.width, clip.height, clip.matrix) == ("mine", 64, 48, "bt601")
  np.testing.assert_array_equal(list(clip.frames()), frames[:2])
  assert len(list(clips.as_clip(clip, max_frames=4).frames())) == 4
  assert len(list(clips.as_clip(clip).frames())) == 2


@pytest.mark.parametrize(
  ("source", "message"),
  [
    ([], "source: no frames"),
    (np.zeros([2, 8, 8, 3]), "uint8"),
    (np.zeros([2, 8, 8], np.uint8), "uint8"),
    ([np.zeros([8, 8, 3], np.uint8), np.zeros([8, 9, 3], np.uint8)], "of one size"),
    ("/nonexistent.mp4", "no such file"),
  ],
)
def test_bad_sources(source, message):
  with pytest.raises(ValueError, match=message):
    clips.as_clip(source)


def test_bad_arguments(frames):
  with pytest.raises(ValueError, match="max_frames: must be at least 1"):
    clips.as_clip(frames, max_frames=0)
  with pytest.raises(ValueError, match="nothing to evaluate"):
    clips.find_clips([])
