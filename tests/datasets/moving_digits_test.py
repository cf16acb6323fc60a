import gzip
import os
import pathlib
import re

import numpy as np
import pytest

from tfafs.datasets import moving_digits

MNIST = pathlib.Path(__file__).parents[2] / "../shared/data/mnist"


def idx(count, seed=0):
  images = np.random.default_rng(seed).integers(0, 256, [count, 28, 28], np.uint8)
  header = np.array([2051, count, 28, 28], ">u4").tobytes()
  return images, header + images.tobytes()


def test_digits_move_straight_and_bounce():
  """One white pixel as a digit: its path, reflected by hand."""
  digit = np.zeros([1, 28, 28], np.uint8)
  digit[0, 0, 0] = 255
  clips = moving_digits.MovingDigits(digit, 60, num_digits=1, seed=3)
  clip = clips(5)
  assert clip.shape == (60, 64, 64, 1) and clip.dtype == np.uint8
  assert np.all(np.sum(clip > 0, (1, 2, 3)) == 1)
  path = np.array([np.argwhere(frame[..., 0])[0] for frame in clip])
  assert path.min() >= 0 and path.max() <= 36 and np.ptp(path[:, 0]) > 30
  steps = np.abs(np.diff(path, axis=0))
  speed = 36 * 0.1
  bounced = (path[:-1] < 4) | (path[:-1] > 32) | (path[1:] < 4) | (path[1:] > 32)
  for axis in range(2):
    free = steps[:, axis][~bounced[:, axis]]
    assert np.ptp(free) <= 1  # A constant speed along each axis, rounded.
  fair = ~bounced.any(1)
  assert abs(np.mean(np.hypot(*steps[fair].T)) - speed) < 0.4


def test_clips_are_functions_of_seed_and_number_and_the_brighter_wins():
  digits = moving_digits.printed_digits("train")
  clips = moving_digits.MovingDigits(digits, 4, seed=1)
  np.testing.assert_array_equal(clips(7), clips(7))
  assert np.any(clips(7) != clips(8))
  assert np.any(clips(7) != moving_digits.MovingDigits(digits, 4, seed=2)(7))
  small = moving_digits.MovingDigits(digits, 4, size=16, channels=3)(0)
  assert small.shape == (4, 16, 16, 3) and small.max() > 60
  np.testing.assert_array_equal(small[..., 0], small[..., 2])
  both = np.zeros([2, 28, 28], np.uint8)
  both[0], both[1] = 100, 200
  clip = moving_digits.MovingDigits(both, 50, num_digits=8, seed=0)(0)
  assert set(np.unique(clip)) == {0, 100, 200}


def test_printed_digits_of_training_and_test_differ():
  train, test = (moving_digits.printed_digits(split) for split in ("train", "test"))
  assert len(train) == 3 * len(test) == 9 * 3 * 10 * 5
  seen = {digit.tobytes() for digit in train}
  assert not any(digit.tobytes() in seen for digit in test)
  assert np.all(train.reshape(len(train), -1).max(1) > 128)


@pytest.mark.parametrize(
  "style",
  [
    "Sans(-|$)",
    "Mono",
    "Serif|STIX",
    "(Sans|Mono|Serif|General)$",
    "Bol",
    "Italic|Oblique",
  ],
)
def test_every_style_of_printed_digits_is_in_training_and_test(style):
  for fonts in moving_digits._FONTS.values():
    assert any(re.search(style, font) for font in fonts)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_split_of_mnist(tmp_path, suffix):
  images, content = idx(20)
  content = gzip.compress(content) if suffix else content
  (tmp_path / f"t10k-images-idx3-ubyte{suffix}").write_bytes(content)
  train, test = (moving_digits.open_digits(tmp_path, s) for s in ("train", "test"))
  np.testing.assert_array_equal(np.concatenate([train, test]), images)
  assert len(test) == 2
  others, content = idx(5, seed=1)
  (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
  np.testing.assert_array_equal(moving_digits.open_digits(tmp_path, "train"), others)
  np.testing.assert_array_equal(moving_digits.open_digits(tmp_path, "test"), images)


def test_bad_files_are_named(tmp_path):
  with pytest.raises(ValueError, match=r"no train-images-idx3-ubyte\[\.gz\]"):
    moving_digits.open_digits(tmp_path, "train")
  with pytest.raises(ValueError, match="split must be one of train, test"):
    moving_digits.open_digits(tmp_path, "val")
  file = tmp_path / "t10k-images-idx3-ubyte"
  _, content = idx(3)
  for bad, words in (
    (content[:-1], "has 2367 bytes, 3 images take 2368"),
    (b"\0\0\x08\x01" + content[4:], "no idx3 file of images of 28x28"),
    (content[:10], "no idx3 file of images of 28x28"),
  ):
    file.write_bytes(bad)
    with pytest.raises(ValueError, match=words) as error:
      moving_digits.open_digits(tmp_path, "test")
    assert str(file) in str(error.value)
  os.remove(file)
  cut = file.with_suffix(".gz")
  cut.write_bytes(gzip.compress(content)[:-200])
  with pytest.raises(ValueError, match="damaged"):
    moving_digits.open_digits(tmp_path, "test")


def test_real_digits():
  if not MNIST.exists():
    pytest.skip("the files of MNIST are not here")
  train, test = (moving_digits.open_digits(MNIST, s) for s in ("train", "test"))
  assert (len(train), len(test)) == (9000, 1000)
  assert 25 < train.mean() < 40
  clip = moving_digits.MovingDigits(test, 3)(0)
  assert np.all(clip.max((1, 2, 3)) > 200)
