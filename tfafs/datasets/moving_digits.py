"""Moving MNIST, made on the fly: digits that move straight on and bounce off the walls.

As Srivastava et al. (2015): two digits of 28x28 on a canvas of 64x64, each with a random
place and direction and a speed of a tenth of the way between walls per frame; where they
overlap the brighter wins. The digits are MNIST's where its files are at hand, else printed
ones from the fonts of matplotlib. Test clips have other digits than training clips.
"""

import functools
import gzip
import pathlib

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

SPLITS = ("train", "test")
_SIDE, _CANVAS = 28, 64
_SPEED = 0.1
_IDX_IMAGES = 2051
_MNIST = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}
# With and without serifs, of one width; upright, bold, slanted: each style is in both.
_FONTS = {
  "train": (
    *("DejaVuSans", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSerif-Bold"),
    *("DejaVuSerif-BoldItalic", "DejaVuSerif-Italic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic"),
  ),
  "test": ("DejaVuSans-Bold", "DejaVuSansMono-Oblique", "DejaVuSerif"),
}
_ANGLES, _SIZES = (-24, -12, 0, 12, 24), (20, 24, 28)


class MovingDigits:
  """Clips as a pure function of their number.

  Args:
    digits: uint8 [count, 28, 28], white on black.
    num_frames: Frames of a clip.
    size: Height and width; digits are scaled with it.
    channels: 1, or 3 for grey in three channels.
    num_digits: Digits of a clip.
    seed: Which sequence of clips.
  """

  num_clips = None  # There are as many as one asks for.

  def __init__(
    self,
    digits,
    num_frames: int,
    size: int = _CANVAS,
    channels: int = 1,
    num_digits: int = 2,
    seed: int = 0,
  ):
    self._digits, self._num_digits, self._seed = digits, num_digits, seed
    self._num_frames, self._size, self._channels = num_frames, size, channels
    self._side = max(4, round(size * _SIDE / _CANVAS))

  def __call__(self, index: int) -> np.ndarray:
    """Returns clip `index`, uint8 [num_frames, size, size, channels]."""
    key = np.random.SeedSequence([self._seed, int(index)])
    random = np.random.Generator(np.random.Philox(key))
    room, side = self._size - self._side, self._side
    clip = np.zeros([self._num_frames, self._size, self._size], np.uint8)
    for _ in range(self._num_digits):
      digit = self._digits[random.integers(len(self._digits))]
      if side != _SIDE:
        image = Image.fromarray(digit).resize((side, side), Image.Resampling.BILINEAR)
        digit = np.asarray(image)
      angle = random.uniform(0, 2 * np.pi)
      velocity = _SPEED * np.array([np.sin(angle), np.cos(angle)])
      places = random.uniform(0, 1, 2) + np.arange(self._num_frames)[:, None] * velocity
      for frame, (top, left) in zip(clip, np.rint(room * bounce(places)).astype(int)):
        window = frame[top : top + side, left : left + side]
        np.maximum(window, digit, out=window)
    return np.repeat(clip[..., None], self._channels, -1)

  evaluation = __call__


def bounce(places):
  """Folds a straight path into [0, 1] by reflection at both ends."""
  return 1 - np.abs(places % 2 - 1)


def open_digits(path: str, split: str) -> np.ndarray:
  """Digits of a split, no digit in both, uint8 [count, 28, 28].

  Args:
    path: Folder with `train-images-idx3-ubyte` and `t10k-images-idx3-ubyte`, with or
      without ".gz". If only one is there, its last tenth is for testing. "" gives
      printed digits.
    split: "train" or "test".

  Raises:
    ValueError: a file is missing or damaged. The message names it.
  """
  if split not in SPLITS:
    raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
  if not path:
    return printed_digits(split)
  folder = pathlib.Path(path).expanduser()
  found = {}
  for part, stem in _MNIST.items():
    for name in (stem, stem + ".gz"):
      if (folder / name).exists():
        found[part] = folder / name
  if not found:
    where = "in it" if folder.is_dir() else "as it is no folder"
    raise ValueError(
      f"data.path={path}: no {_MNIST['train']}[.gz] and no {_MNIST['test']}[.gz] {where}: "
      "give the folder with the files of MNIST, or data.dataset=moving_digits for printed "
      "digits"
    )
  if len(found) == 2:
    return read_idx_images(found[split])
  digits = read_idx_images(next(iter(found.values())))
  first = len(digits) - max(1, len(digits) // 10)
  return digits[:first] if split == "train" else digits[first:]


def read_idx_images(path) -> np.ndarray:
  """Reads a file of images of MNIST, uint8 [count, 28, 28].

  Raises:
    ValueError: it is no such file, or cut off.
  """
  path = pathlib.Path(path)
  opener = gzip.open if path.suffix == ".gz" else open
  try:
    with opener(path, "rb") as file:
      content = file.read()
  except (EOFError, gzip.BadGzipFile) as error:
    raise ValueError(f"{path}: damaged ({error}): download it again") from error
  header = np.frombuffer(content[:16].ljust(16, b"\0"), ">u4")
  if header[0] != _IDX_IMAGES or tuple(header[2:]) != (_SIDE,) * 2:
    raise ValueError(
      f"{path}: no idx3 file of images of 28x28: give MNIST's own files of images"
    )
  if len(content) != 16 + int(header[1]) * _SIDE**2:
    raise ValueError(
      f"{path}: has {len(content)} bytes, {header[1]} images take "
      f"{16 + int(header[1]) * _SIDE**2}: download it again"
    )
  return np.frombuffer(content, np.uint8, offset=16).reshape(-1, _SIDE, _SIDE)


@functools.cache
def printed_digits(split: str) -> np.ndarray:
  """Digits in the fonts of a split, in sizes and angles, uint8 [count, 28, 28]."""
  folder = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"
  digits = []
  for name in _FONTS[split]:
    for size in _SIZES:
      font = ImageFont.truetype(str(folder / f"{name}.ttf"), size)
      for digit in "0123456789":
        image = Image.new("L", (_SIDE, _SIDE))
        middle = (_SIDE / 2, _SIDE / 2)
        ImageDraw.Draw(image).text(middle, digit, 255, font, anchor="mm")
        for angle in _ANGLES:
          digits.append(np.asarray(image.rotate(angle, Image.Resampling.BILINEAR)))
  return np.stack(digits)
