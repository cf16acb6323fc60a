"""Optical flow by the pyramidal method of Lucas and Kanade (1981), as a graph.

A convolutional encoder takes very long to learn how to measure motion. What it is told
by a classical estimate it only has to code. Encoders alone use it, so nothing a decoder
does depends on it.
"""

import tensorflow as tf

from tfafs.layers import warping

# Measured on frames of the training videos one to three apart: error of the warped
# frame against time. Half resolution is enough for a latent of a sixteenth.
_LEVELS = 4
_FINEST = 1
_ITERATIONS = 3
_RADIUS = 2
# Ridge on the structure tensor, for squared gradients of images in [0, 1].
_RIDGE = 1e-4
# A flow has to lower the error by this factor, or the pixel is taken to stand still.
_WORTH = 0.95


def lucas_kanade(frame, reference):
  """Estimates where in the reference each pixel of the frame was.

  Args:
    frame: float32 [batch, height, width, 3] in [0, 1].
    reference: float32, shape of `frame`.

  Returns:
    float32 [batch, height, width, 2]: displacement (x, y) in pixels, such that
    `warping.bilinear_warp(reference, flow)` resembles `frame`. How far
    it reaches depends on the picture's coarse structure. No gradient passes.
  """
  both = tf.stop_gradient(tf.stack([frame, reference]))
  luma = tf.reduce_sum(both * [0.299, 0.587, 0.114], -1, keepdims=True)
  pyramid = [tf.unstack(luma)]
  for _ in range(_LEVELS):
    pyramid.append([tf.nn.avg_pool2d(x, 2, 2, "SAME") for x in pyramid[-1]])
  flow = None
  for level in range(_LEVELS, _FINEST - 1, -1):
    frame_level, reference_level = pyramid[level]
    if flow is None:
      flow = tf.zeros_like(tf.repeat(frame_level, 2, -1))
    else:
      flow = _doubled(flow, frame_level)
    flow = _refine(flow, frame_level, reference_level)
  for level in range(_FINEST - 1, -1, -1):
    flow = _doubled(flow, pyramid[level][0])
  return flow


def _refine(flow, frame, reference):
  """Newton steps on the squared difference in a window around each pixel."""
  moving = tf.concat([reference, *_gradients(reference)], -1)
  for _ in range(_ITERATIONS):
    warped, dx, dy = tf.split(warping.bilinear_warp(moving, flow), 3, -1)
    error = frame - warped
    sums = _window(
      tf.concat([dx * dx, dx * dy, dy * dy, dx * error, dy * error], -1), _RADIUS
    )
    xx, xy, yy, xe, ye = tf.split(sums, 5, -1)
    xx, yy = xx + _RIDGE, yy + _RIDGE
    step = tf.concat([yy * xe - xy * ye, xx * ye - xy * xe], -1)
    flow += tf.clip_by_value(step / (xx * yy - xy * xy), -1.0, 1.0)
  still = _window(tf.math.squared_difference(frame, reference), _RADIUS)
  moved = warping.bilinear_warp(reference, flow)
  moved = _window(tf.math.squared_difference(frame, moved), _RADIUS)
  return _window(tf.where(moved < _WORTH * still, flow, 0.0), 1)


def _window(image, radius):
  """Mean over a window: a box of `2 radius + 1` pixels, twice."""
  for _ in range(2):
    image = tf.nn.avg_pool2d(image, 2 * radius + 1, 1, "SAME")
  return image


def _gradients(image):
  padded = tf.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
  dx = 0.5 * (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2])
  dy = 0.5 * (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1])
  return dx, dy


def _doubled(flow, like):
  """A flow at twice the resolution, cropped to the size of `like`."""
  flow = 2.0 * tf.image.resize(flow, 2 * tf.shape(flow)[1:3])
  return flow[:, : tf.shape(like)[1], : tf.shape(like)[2]]
