"""Synthetic clips: a pure function of their numbers, and moving as they say."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.datasets import synthetic


@pytest.fixture(scope="module")
def clips():
  """Twelve clips of three frames, float32 [12, 3, 64, 64, 3]."""
  example = tf.function(lambda i: synthetic.synthetic_example(1, i, 3, 64, 64))
  return np.stack([example(tf.constant(i)).numpy() for i in range(12)])


def test_values_are_8_bit_levels(clips):
  assert clips.dtype == np.float32
  assert clips.shape == (12, 3, 64, 64, 3)
  assert clips.min() >= 0
  assert clips.max() <= 1
  np.testing.assert_allclose(clips * 255, np.rint(clips * 255), atol=1e-4)


def test_examples_depend_on_seed_and_index_only(clips):
  for index in (0, 5):
    again = synthetic.synthetic_example(1, index, 3, 64, 64).numpy()
    # One level, rarely, where eager and compiled arithmetic round differently.
    difference = np.abs(np.rint(255 * again) - np.rint(255 * clips[index]))
    assert difference.max() <= 1
    assert difference.mean() < 1e-3
  flat = clips.reshape(12, -1)
  for i in range(12):
    for j in range(i):
      assert np.mean(np.abs(flat[i] - flat[j])) > 0.03
  other = synthetic.synthetic_example(2, 0, 3, 64, 64).numpy()
  assert np.mean(np.abs(other - clips[0])) > 0.03


def test_large_numbers_are_told_apart():
  one, two = (
    synthetic.synthetic_example(0, tf.constant(2**40 + i, tf.int64), 1, 16, 16).numpy()
    for i in (0, 1)
  )
  assert np.mean(np.abs(one - two)) > 0.02


def test_pictures_have_contrast_and_detail(clips):
  first = clips[:, 0]
  assert np.median(first.std(axis=(1, 2))) > 0.06
  # Neighbours are alike, but not equal: between noise and flat areas.
  step = np.abs(np.diff(first, axis=2)).mean(axis=(1, 2, 3))
  assert np.all(step > 0.002)
  assert np.median(step) < 0.5 * np.median(first.std(axis=(1, 2)))


def test_frames_move_smoothly(clips):
  change = np.abs(np.diff(clips, axis=1)).mean(axis=(1, 2, 3, 4))
  shuffled = np.abs(clips - np.roll(clips, 1, axis=0)).mean(axis=(1, 2, 3, 4))
  assert np.median(change) > 0.003
  assert np.median(change) < 0.3 * np.median(shuffled)


def test_any_frame_alone_is_the_frame_of_the_clip():
  scene = synthetic.make_scene(3, 4, 40, 56)
  clip = synthetic.render(scene, tf.range(5), 40, 56).numpy()
  frame = synthetic.render(scene, tf.constant([3]), 40, 56).numpy()[0]
  np.testing.assert_array_equal(frame, clip[3])


def test_long_clip_frame_by_frame():
  clip = synthetic.synthetic_clip(7, 6, 33, 50)
  assert (clip.dtype, clip.shape) == (np.uint8, (6, 33, 50, 3))
  example = synthetic.synthetic_example(7, 0, 6, 33, 50).numpy() * 255
  difference = np.abs(clip - np.rint(example))
  assert difference.max() <= 1
  assert np.mean(difference) < 1e-3
  late = synthetic.synthetic_clip(7, 60, 16, 16)
  assert late[-1].std() > 5


@pytest.mark.parametrize("size", [(1, 1), (16, 16), (16, 200), (97, 31)])
def test_any_size(size):
  clip = synthetic.synthetic_example(0, 0, 2, *size)
  assert clip.shape == (2, *size, 3)
  assert np.isfinite(clip.numpy()).all()


def test_speeds_are_bounded_and_mostly_low():
  speeds = []
  for index in range(60):
    draw = synthetic._Draws(tf.constant([index], tf.uint64))
    path = synthetic._sprite_path(draw, 96, 128)
    times = tf.range(0, 40, dtype=tf.float32)
    position, _ = synthetic._pose(path, times)
    speeds.append(np.linalg.norm(np.diff(position.numpy(), axis=0), axis=-1))
  speeds = np.stack(speeds)
  assert speeds.max() <= synthetic.MAX_SPRITE_SPEED + 1e-3
  assert speeds.max() > 0.6 * synthetic.MAX_SPRITE_SPEED
  assert np.median(speeds) < synthetic.MAX_SPRITE_SPEED / 3
  # Not on whole pixels.
  assert np.mean(np.abs(speeds - np.rint(speeds)) > 0.05) > 0.7


def test_warp_against_a_naive_loop():
  random = np.random.default_rng(0)
  textures = random.random((2, 6, 6, 3)).astype(np.float32)
  linear = random.uniform(-1, 1, (3, 2, 2, 2)).astype(np.float32)
  source = np.float32([2.5, 2.5])
  target = random.uniform(0, 6, (3, 2, 2)).astype(np.float32)
  warped = synthetic._warp(
    textures, tf.constant(linear), source, target, 5, 7, "CONSTANT"
  )
  assert warped.shape == (3, 2, 5, 7, 3)
  for t, k, row, column in np.ndindex(3, 2, 5, 7):
    x, y = linear[t, k] @ (np.float32([column, row]) - target[t, k]) + source
    left, top = int(np.floor(x)), int(np.floor(y))
    value = np.zeros(3)
    for i, j in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
      if 0 <= i < 6 and 0 <= j < 6:
        value += (1 - abs(y - i)) * (1 - abs(x - j)) * textures[k, i, j]
    if -1 < x < 6 and -1 < y < 6:
      np.testing.assert_allclose(warped[t, k, row, column], value, atol=1e-4)
    else:
      np.testing.assert_array_equal(warped[t, k, row, column], 0)


def test_sprites_have_soft_edges_and_clear_corners():
  sprites = synthetic._sprites(
    synthetic._Draws(tf.constant([1], tf.uint64)), 64
  ).numpy()
  opacity = sprites[..., 3]
  assert sprites.min() >= 0
  assert np.all(sprites[..., :3] <= opacity[..., None] + 1e-6)
  seen = opacity[opacity.max(axis=(1, 2)) > 0]
  assert len(seen) >= 2
  for one in seen:
    assert one.max() == 1
    assert np.any((one > 0.2) & (one < 0.8))
    border = [one[0], one[-1], one[:, 0], one[:, -1]]
    assert np.concatenate(border).max() == 0


def test_bad_sizes():
  for arguments in ((0, 0, 8, 8), (0, 1, 0, 8), (0, 1, 8, 0)):
    with pytest.raises(ValueError, match="must be at least 1, not 0"):
      synthetic.synthetic_clip(*arguments)
