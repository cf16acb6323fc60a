"""Reading images at displaced positions: bilinear and scale-space warps.

A scale-space warp reads each output pixel from a scale-space volume at
`(y + flow_y, x + flow_x, depth)`: the flow moves, the depth blurs where motion cannot be
predicted (paper 001, eq. 13).
"""

import tensorflow as tf


def bilinear_warp(image, flow):
  """Reads an image at displaced positions (bilinear, borders replicated).

  Args:
    image: float32 [batch, height, width, channels].
    flow: float32 [batch, height, width, 2], displacement (x, y) in pixels.

  Returns:
    float32, shape of `image`.
  """
  shape = tf.shape(image)
  positions, weights = _corners(flow, shape)
  pixels = tf.reshape(image, [shape[0] * shape[1] * shape[2], image.shape[-1]])
  return _weighted_sum(pixels, positions, weights)


def scale_space_warp(volume, flow, depth):
  """Reads a scale-space volume at displaced positions (trilinear, borders replicated).

  Args:
    volume: float32 [batch, height, width, planes, channels], planes at least 2.
    flow: float32 [batch, height, width, 2], displacement (x, y) in pixels.
    depth: float32 [batch, height, width], plane to read, in [0, planes - 1]; values
      outside are clipped.

  Returns:
    float32 [batch, height, width, channels].
  """
  shape = tf.shape(volume)
  planes, channels = volume.shape[3], volume.shape[4]
  lower, (near, far) = _neighbours(depth, planes)
  # Two neighbouring planes lie side by side and are read at once.
  pairs = tf.concat([volume[..., :-1, :], volume[..., 1:, :]], -1)
  pairs = tf.reshape(
    pairs, [shape[0] * shape[1] * shape[2] * (planes - 1), 2 * channels]
  )
  positions, weights = _corners(flow, shape)
  positions = [position * (planes - 1) + lower for position in positions]
  both = _weighted_sum(pairs, positions, weights)
  return near[..., None] * both[..., :channels] + far[..., None] * both[..., channels:]


def _corners(flow, shape):
  """Numbers of the four pixels around each displaced position, and their weights."""
  batch, height, width = shape[0], shape[1], shape[2]
  column = tf.cast(tf.range(width), tf.float32)
  row = tf.cast(tf.range(height), tf.float32)[:, None]
  x, weights_x = _neighbours(column + flow[..., 0], width)
  y, weights_y = _neighbours(row + flow[..., 1], height)
  first = ((tf.range(batch) * height)[:, None, None] + y) * width + x
  # An axis of one pixel has no second neighbour.
  down, right = tf.minimum(1, height - 1) * width, tf.minimum(1, width - 1)
  positions = [first + dy * down + dx * right for dy in (0, 1) for dx in (0, 1)]
  return positions, [wy * wx for wy in weights_y for wx in weights_x]


def _weighted_sum(pixels, positions, weights):
  return tf.add_n(
    [w[..., None] * tf.gather(pixels, p) for p, w in zip(positions, weights)]
  )


def _neighbours(position, size):
  """Lower of the two samples around `position` on an axis of `size`, and their weights."""
  limit = tf.cast(size, tf.float32) - 1.0
  position = tf.clip_by_value(position, 0.0, limit)
  lower = tf.maximum(tf.minimum(tf.floor(position), limit - 1.0), 0.0)
  # A NaN stays one in the weights, and must not become a place to read from.
  lower = tf.where(tf.math.is_nan(lower), 0.0, lower)
  fraction = position - lower
  return tf.cast(lower, tf.int32), (1.0 - fraction, fraction)
