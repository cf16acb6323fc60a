"""Procedural video clips: nothing to download, each a pure function of two numbers.

A clip is a textured background under a moving camera, with textured sprites in front
that move, rotate, breathe and occlude one another, under slowly changing light, with a
little sensor noise. Motion is smooth in time and falls between pixels, up to six pixels
a frame for a sprite and four for the camera; still and slow clips are as common as fast
ones.

Textures are patches with sharp or soft borders (a soft Voronoi diagram of few cells in
warped coordinates) with noise of several octaves on top, so that they have edges, flat
areas and detail at all scales.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

MAX_SPRITES = 4
MAX_SPRITE_SPEED = 6.0
"""Pixels per frame, relative to the scene."""
MAX_CAMERA_SPEED = 4.0
"""Pixels per frame."""

_PHILOX = 1  # Of `tf.random.Algorithm`.
_FRAME_NOISE = np.uint64(1 << 40)  # Counters that no other draw reaches.
_BACKGROUND_CELLS = 16
_SPRITE_CELLS = 4
_HUES = np.float32([[0.07, 0.01, -0.07], [-0.02, 0.03, -0.02]])  # Mostly orange, blue.
_NOISES = (  # Wavelengths in pixels down and across, weighted: patches, grain, streaks.
  (((60, 60), 0.8), ((22, 22), 0.5)),
  (((9, 9), 0.7), ((3.5, 3.5), 0.6)),
  (((5, 40), 1.0),),
)


class Path(NamedTuple):
  """Where K things are at any time: sinusoids, so that long clips keep them in view.

  Attributes:
    centre: float32 [K, 2], x and y in pixels.
    amplitude: float32 [K, 2], pixels.
    frequency: float32 [K, 2], radians per frame.
    phase: float32 [K, 2], radians.
    turn: float32 [K, 3]: angle, radians per frame, amplitude of the logarithm of the
      size.
  """

  centre: tf.Tensor
  amplitude: tf.Tensor
  frequency: tf.Tensor
  phase: tf.Tensor
  turn: tf.Tensor


class Scene(NamedTuple):
  """All there is to know about a clip but the time.

  Attributes:
    background: float32 [size, size, 3], the texture the camera moves over.
    sprites: float32 [MAX_SPRITES, size, size, 4], colour times opacity, and opacity.
    sprite_path: `Path` of the sprites, in the coordinates of the first frame's middle.
    camera_path: `Path` of the camera, K = 1.
    light: float32 [4]: amplitude, radians per frame, phase, standard deviation of
      noise.
    key: uint64 [1], of the noise.
  """

  background: tf.Tensor
  sprites: tf.Tensor
  sprite_path: Path
  camera_path: Path
  light: tf.Tensor
  key: tf.Tensor


@tf.autograph.experimental.do_not_convert
def synthetic_example(seed, index, num_frames: int, height: int, width: int):
  """Example `index` of the endless sequence `seed`.

  Args:
    seed: Integer, which sequence.
    index: Integer or scalar tensor, which example.
    num_frames: Frames of the clip.
    height: Rows.
    width: Columns.

  Returns:
    float32 [num_frames, height, width, 3] in [0, 1], multiples of 1 / 255.
  """
  scene = make_scene(seed, index, height, width)
  return render(scene, tf.range(num_frames), height, width)


def synthetic_clip(seed: int, num_frames: int, height: int, width: int) -> np.ndarray:
  """A clip of any length and size, rendered frame by frame.

  Args:
    seed: Which clip.
    num_frames: Frames of the clip.
    height: Rows.
    width: Columns.

  Returns:
    uint8 [num_frames, height, width, 3]: the frames of `synthetic_example(seed, 0,
    ...)`.

  Raises:
    ValueError: no frame, or a size below 1x1.
  """
  for name, value in (("num_frames", num_frames), ("height", height), ("width", width)):
    if value < 1:
      raise ValueError(f"{name} must be at least 1, not {value}")
  scene = make_scene(seed, 0, height, width)
  frame_at = tf.function(
    lambda time: render(scene, time[None], height, width)[0], autograph=False
  )
  clip = np.empty((num_frames, height, width, 3), np.uint8)
  for time in range(num_frames):
    clip[time] = np.rint(frame_at(tf.constant(time)).numpy() * 255)
  return clip


def make_scene(seed, index, height: int, width: int) -> Scene:
  """Draws the scene of example `index` for frames of `height` x `width`."""
  seeds = tf.stack([tf.cast(seed, tf.int64), tf.cast(index, tf.int64)])
  key, _ = tf.raw_ops.StatelessRandomGetKeyCounter(seed=seeds)
  draw = _Draws(key)
  shorter = min(height, width)
  background_size = max(height, width) + 2 * max(8, shorter // 8)
  sprite_size = max(8, int(0.6 * shorter))
  return Scene(
    background=_textures(draw, 1, background_size, _BACKGROUND_CELLS)[0],
    sprites=_sprites(draw, sprite_size),
    sprite_path=_sprite_path(draw, height, width),
    camera_path=_camera_path(draw, shorter),
    light=_light(draw),
    key=key,
  )


def render(scene: Scene, times, height: int, width: int):
  """Renders a scene.

  Args:
    scene: From `make_scene` for the same size.
    times: Integer tensor [T], static T, of frame numbers from 0 in any order.
    height: Rows.
    width: Columns.

  Returns:
    float32 [T, height, width, 3] in [0, 1], multiples of 1 / 255.
  """
  seconds = tf.cast(times, tf.float32)
  middle = tf.constant([0.5 * (width - 1), 0.5 * (height - 1)])
  pan, linear = _pose(scene.camera_path, seconds)
  texture_middle = 0.5 * (scene.background.shape[0] - 1)
  frames = _warp(
    scene.background[None],
    linear,
    pan + texture_middle,
    middle,
    height,
    width,
    "REFLECT",
  )[:, 0]
  position, linear = _pose(scene.sprite_path, seconds)
  texture_middle = 0.5 * (scene.sprites.shape[1] - 1)
  # A camera that moves to the right moves what it sees to the left.
  position += middle - pan
  sprites = _warp(
    scene.sprites, linear, texture_middle, position, height, width, "CONSTANT"
  )
  for sprite in tf.unstack(sprites, axis=1):
    frames = frames * (1 - sprite[..., 3:]) + sprite[..., :3]
  amplitude, frequency, phase, deviation = tf.unstack(scene.light)
  light = 1 + amplitude * tf.sin(frequency * seconds + phase)
  size = [height, width, 3]
  noise = [_frame_noise(scene.key, t, size) for t in tf.unstack(times)]
  frames = frames * light[:, None, None, None] + deviation * tf.stack(noise)
  return tf.round(tf.clip_by_value(frames, 0.0, 1.0) * 255.0) / 255.0


def _pose(path: Path, times):
  """Positions [T, K, 2] and inverse linear maps [T, K, 2, 2] at `times` [T]."""
  times = times[:, None, None]
  position = path.centre + path.amplitude * tf.sin(path.frequency * times + path.phase)
  angle, spin, zoom = tf.unstack(path.turn, axis=-1)
  angle += spin * times[..., 0]
  scale = tf.exp(zoom * tf.sin(0.1 * times[..., 0] + path.phase[:, 0]))
  cos, sin = tf.cos(angle) / scale, tf.sin(angle) / scale
  linear = tf.stack([tf.stack([cos, sin], -1), tf.stack([-sin, cos], -1)], -2)
  return position, linear


def _warp(textures, linear, source, target, height, width, fill_mode):
  """Draws K textures in T poses, bilinearly.

  Pixel p of the result shows texel `linear (p - target) + source`.

  Args:
    textures: [K, size, size, channels].
    linear: [T, K, 2, 2].
    source: Broadcasts to [T, K, 2], the texel (x, y) that is drawn at `target`.
    target: Broadcasts to [T, K, 2], a place (x, y) in the frame.
    height: Rows of the result.
    width: Columns of the result.
    fill_mode: "REFLECT" or "CONSTANT" (zeros).

  Returns:
    [T, K, height, width, channels].
  """
  num_times, num_textures = linear.shape[:2]
  offset = source - tf.linalg.matvec(linear, tf.broadcast_to(target, linear.shape[:3]))
  rows = tf.concat([linear, offset[..., None]], -1)
  transforms = tf.reshape(rows, [num_times * num_textures, 6])
  drawn = tf.raw_ops.ImageProjectiveTransformV3(
    images=tf.tile(textures, [num_times, 1, 1, 1]),
    transforms=tf.pad(transforms, [[0, 0], [0, 2]]),
    output_shape=[height, width],
    fill_value=0.0,
    interpolation="BILINEAR",
    fill_mode=fill_mode,
  )
  return tf.reshape(drawn, [num_times, num_textures, height, width, textures.shape[-1]])


def _textures(draw, count: int, size: int, num_cells: int):
  """Draws `count` textures, float32 [count, size, size, 3] in [0, 1]."""
  # The cells: which of the points is nearest, softly, after a smooth distortion.
  grid = (np.arange(size, dtype=np.float32) + 0.5) / size
  grid = np.stack(np.meshgrid(grid, grid), -1)[None]
  bend = [_smooth_noise(draw, count, size, (size / 3, size / 3)) for _ in range(2)]
  bend = draw.uniform([count, 1, 1, 1], 0.0, 0.1) * tf.stack(bend, -1)
  place = tf.reshape(grid + bend, [count, size * size, 2])
  points = draw.uniform([count, num_cells, 2], -0.1, 1.1)
  logits = tf.matmul(place, points, transpose_b=True)
  logits -= 0.5 * tf.reduce_sum(points**2, -1)[:, None]
  # The border between two cells is about `1 / sharpness` texels wide.
  sharpness = tf.exp(draw.uniform([count, 1, 1], math.log(0.1), math.log(2)))
  weights = tf.nn.softmax(4 * size * math.sqrt(num_cells) * sharpness * logits)
  # What a cell looks like: a colour near that of the whole, and strengths of noise.
  lightness = draw.uniform([count, 1, 1], 0.3, 0.7)
  lightness += 0.17 * draw.normal([count, num_cells, 1])
  tint = draw.normal([count, 1, 2]) + draw.normal([count, num_cells, 2])
  colors = lightness + tint @ _HUES
  strengths = draw.uniform([count, num_cells, len(_NOISES)], 0.0, 1.0)
  looks = tf.matmul(weights, tf.concat([colors, 0.12 * strengths**2], -1))
  looks = tf.reshape(looks, [count, size, size, -1])
  image = looks[..., :3]
  for i, octaves in enumerate(_NOISES):
    noise = tf.add_n(
      [
        weight * _smooth_noise(draw, count, size, wavelengths)
        for wavelengths, weight in octaves
      ]
    )
    image += looks[..., 3 + i, None] * noise[..., None]
  return tf.clip_by_value(image, 0.0, 1.0)


def _sprites(draw, size: int):
  """Draws sprites, float32 [MAX_SPRITES, size, size, 4], colour times opacity first."""
  shape = [MAX_SPRITES, 1, 1]
  textures = _textures(draw, MAX_SPRITES, size, _SPRITE_CELLS)
  grid = (np.arange(size, dtype=np.float32) - 0.5 * (size - 1)) / (0.5 * size)
  x, y = np.meshgrid(grid, grid)
  angle = np.arctan2(y, x)
  # A superellipse of random roundness, length and size, with two to five lobes or none.
  power = draw.uniform(shape, 1.6, 5.0)
  length = draw.uniform(shape, 0.4, 1.0)
  radius = tf.pow(np.abs(x) ** power + (np.abs(y) / length) ** power, 1 / power)
  lobes = tf.round(draw.uniform(shape, 1.5, 5.5))
  depth = draw.uniform(shape, -0.2, 0.3)
  reach = 1 + tf.maximum(depth, 0.0) * (tf.cos(lobes * angle) - 1)
  extent = draw.uniform(shape, 0.35, 0.95)
  # Opacity falls from 1 to 0 over about one texel. Two to all sprites are seen.
  opacity = tf.clip_by_value((reach * extent - radius) * length * 0.5 * size, 0.0, 1.0)
  rank = tf.reshape(tf.range(MAX_SPRITES, dtype=tf.float32), shape)
  opacity *= tf.cast(rank < draw.uniform([], 1.01, MAX_SPRITES), tf.float32)
  # Light from one side makes some of them look round.
  relief = draw.uniform(shape, 0.0, 0.3)
  shade = 1 + relief * (-0.6 * x - 0.8 * y) / extent
  opacity, shade = opacity[..., None], shade[..., None]
  return tf.concat(
    [tf.clip_by_value(textures * shade, 0.0, 1.0) * opacity, opacity], -1
  )


def _sprite_path(draw, height: int, width: int) -> Path:
  """Draws how sprites move: half of them slower than a third of the greatest speed."""
  count, shorter = MAX_SPRITES, min(height, width)
  middle = draw.uniform([count, 2], -0.35, 0.35) * [width, height]
  turn = tf.stack(
    [
      draw.uniform([count], -math.pi, math.pi),
      0.12 * draw.uniform([count], -1.0, 1.0) ** 3,
      0.15 * draw.uniform([count], 0.0, 1.0) ** 2,
    ],
    -1,
  )
  return _path(draw, middle, MAX_SPRITE_SPEED, (0.1, 0.35), shorter, turn)


def _camera_path(draw, shorter: int) -> Path:
  """Draws how the camera moves, as `_sprite_path`; it hardly turns."""
  turn = tf.stack(
    [
      draw.uniform([1], -math.pi, math.pi),
      0.008 * draw.uniform([1], -1.0, 1.0) ** 3,
      0.1 * draw.uniform([1], 0.0, 1.0) ** 2,
    ],
    -1,
  )
  centre = tf.zeros([1, 2])
  return _path(draw, centre, MAX_CAMERA_SPEED, (0.1, 0.3), shorter, turn)


def _path(draw, centre, max_speed: float, reach, shorter: int, turn) -> Path:
  count = centre.shape[0]
  speed = max_speed * draw.uniform([count, 1], 0.0, 1.0) ** 1.6
  heading = draw.uniform([count], -math.pi, math.pi)
  velocity = speed * tf.stack([tf.cos(heading), tf.sin(heading)], -1)
  amplitude = shorter * draw.uniform([count, 2], *reach)
  phase = draw.uniform([count, 2], -math.pi, math.pi)
  return Path(centre, amplitude, velocity / amplitude, phase, turn)


def _light(draw):
  """Draws the change of light and the noise; both are next to nothing in many clips."""
  low, high = [0.0, 0.02, -math.pi, 0.0], [1.0, 0.5, math.pi, 1.0]
  amplitude, frequency, phase, noise = tf.unstack(draw.uniform([4], low, high))
  return tf.stack([0.2 * amplitude**3, frequency, phase, 0.015 * noise**2])


def _smooth_noise(draw, count: int, size: int, wavelengths):
  """Gaussian noise [count, size, size] of unit variance without finer structure."""
  down, across = (_interpolation(size, wavelength) for wavelength in wavelengths)
  noise = draw.normal([count, down.shape[1], across.shape[1]])
  return tf.matmul(tf.matmul(down[None], noise), across[None], transpose_b=True)


@functools.lru_cache(maxsize=64)
def _interpolation(size: int, wavelength: float) -> np.ndarray:
  """Gaussian weights [size, nodes] of nodes half a wavelength apart, unit L2 norms."""
  spacing = wavelength / 2
  nodes = (np.arange(math.ceil(size / spacing) + 4) - 2) * spacing
  weights = np.exp(-0.5 * ((np.arange(size)[:, None] - nodes) / (0.6 * spacing)) ** 2)
  return (weights / np.linalg.norm(weights, axis=1, keepdims=True)).astype(np.float32)


class _Draws:
  """Random numbers of one example: Philox, keyed by its two numbers.

  Each draw has a counter of its own, so that it depends on nothing but the key and on
  how many draws came before it in the code. One operation a draw:
  `tf.random.stateless_*` would scramble a seed each time, in thirty.
  """

  def __init__(self, key):
    self._key = key
    self._count = 0

  def _arguments(self, shape):
    self._count += 1
    counter = tf.constant([0, self._count], tf.uint64)
    return {"shape": list(shape), "key": self._key, "counter": counter, "alg": _PHILOX}

  def uniform(self, shape, low=0.0, high=1.0):
    """Uniform float32 of `shape` between constants or arrays of constants."""
    unit = tf.raw_ops.StatelessRandomUniformV2(**self._arguments(shape))
    low, high = np.float32(low), np.float32(high)
    return low + (high - low) * unit

  def normal(self, shape):
    """Standard normal float32 of `shape`."""
    return tf.raw_ops.StatelessRandomNormalV2(**self._arguments(shape))


def _frame_noise(key, time, shape):
  """Standard normal float32 of `shape` for the frame at `time`."""
  counter = tf.stack([_FRAME_NOISE, tf.cast(time, tf.uint64)])
  return tf.raw_ops.StatelessRandomNormalV2(
    shape=shape, key=key, counter=counter, alg=_PHILOX
  )
