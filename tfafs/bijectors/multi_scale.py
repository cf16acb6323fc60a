"""MultiScale: an image from latents of several scales, and Glow."""

from collections.abc import Sequence
from typing import Callable, NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability.python.internal import cache_util

from tfafs.bijectors.activation_normalization import ActivationNormalization
from tfafs.bijectors.invertible_convolution import InvertibleConvolution
from tfafs.bijectors.split_coupling import SplitCoupling
from tfafs.bijectors.squeeze import Squeeze
from tfafs.layers.coupling_networks import ConvolutionalCouplingNetwork

tfb = tfp.bijectors


class Scales(NamedTuple):
  """An image by its scales, finest first.

  Attributes:
    latents: Of each scale, [..., height, width, channels].
    kept: Of each scale what stands beside its latent and is made of coarser latents
      alone, shaped as the latent; None for the coarsest.
    log_det: [...], log |det d latents / d image|.
  """

  latents: tuple
  kept: tuple
  log_det: tf.Tensor


class MultiScale(tfb.Bijector):
  """Takes a list of latents, finest first, to an image [height, width, channels].

  Each level is a bijector from an image of half the height and width to an image. From data
  to latents,

      h_1 = level_1^-1(image);  h_l = [kept_l, z_l];  h_l+1 = level_l+1^-1(kept_l)

  where half of the channels go on, and the other half is the latent of that scale; of the
  last level all channels are. From latents to data the same backwards:

      forward:  z_1 ... z_L -> image            sampling
      inverse:  image -> z_1 ... z_L            density

  `split` and `merge` show what lies between, for densities in which a latent depends on
  the coarser ones.

  Source: Dinh et al., Real NVP, 2017, section 3.6; Kingma and Dhariwal, Glow, 2018.
  """

  # Calls `_augmented_*` and keeps the log-determinant that comes with the value.
  _cache = cache_util.BijectorCacheWithGreedyAttrs(
    forward_name="_augmented_forward", inverse_name="_augmented_inverse"
  )

  def __init__(
    self,
    levels: Sequence[tfb.Bijector],
    dtype=None,
    validate_args: bool = False,
    name: str = "multi_scale",
  ):
    """Makes the bijector of its levels; `glow` makes both.

    Args:
      levels: Finest first, each from images [h / 2, w / 2, 4 c] to [h, w, c].
      dtype: Of events; None for any.
      validate_args: Unused; bad shapes are always reported.
      name: Name of the ops.

    Raises:
      ValueError: If there is no level.
    """
    parameters = dict(locals())
    levels = tuple(levels)
    if not levels:
      raise ValueError("levels must be one bijector at least.")
    with tf.name_scope(name) as name:
      self._levels = levels
      super().__init__(
        forward_min_event_ndims=[3] * len(levels),
        inverse_min_event_ndims=3,
        is_constant_jacobian=False,
        dtype=dtype,
        validate_args=validate_args,
        parameters=parameters,
        name=name,
      )

  @classmethod
  def _parameter_properties(cls, dtype):
    return {}

  @property
  def levels(self) -> tuple:
    """The bijectors of the levels, finest first."""
    return self._levels

  def split(self, x) -> Scales:
    """Latents of images [..., height, width, channels], and what they stand beside.

    Raises:
      ValueError: If the sides are no multiples of 2^levels.
    """
    self._inverse_event_shape(x.shape[-3:])  # Refuses sizes.
    latents, kept, log_dets = [], [], []
    for level in self._levels:
      log_dets.append(level.inverse_log_det_jacobian(x, event_ndims=3))
      x = level.inverse(x)
      latents.append(x)
      kept.append(None)
      if len(latents) < len(self._levels):
        kept[-1], latents[-1] = tf.split(x, 2, -1)
        x = kept[-1]
    return Scales(tuple(latents), tuple(kept), _total(log_dets, x))

  def merge(self, latent: Callable):
    """An image of latents that are made on the way, coarsest first.

    Args:
      latent: Function from the number of a level, 0 the finest, and what is kept beside
        its latent, None for the coarsest, to the latent.

    Returns:
      [..., height, width, channels].
    """
    kept = None
    for number in reversed(range(len(self._levels))):
      z = latent(number, kept)
      h = z if kept is None else tf.concat([kept, z], -1)
      kept = self._levels[number].forward(h)
    return kept

  def _augmented_forward(self, latents):
    log_dets = []

    def latent(number, kept):
      z, level = latents[number], self._levels[number]
      h = z if kept is None else tf.concat([kept, z], -1)
      log_dets.append(level.forward_log_det_jacobian(h, event_ndims=3))
      return z

    image = self.merge(latent)
    return image, {"ildj": -_total(log_dets, image)}

  def _augmented_inverse(self, x):
    scales = self.split(x)
    return list(scales.latents), {"ildj": scales.log_det}

  def _forward(self, latents):
    return self._augmented_forward(latents)[0]

  def _inverse(self, x):
    return self._augmented_inverse(x)[0]

  def _forward_log_det_jacobian(self, latents):
    return -self._augmented_forward(latents)[1]["ildj"]

  def _inverse_log_det_jacobian(self, x):
    return self._augmented_inverse(x)[1]["ildj"]

  def _forward_dtype(self, dtypes):
    return dtypes[-1]

  def _inverse_dtype(self, dtype):
    return [dtype] * len(self._levels)

  def _forward_event_shape(self, shapes):
    shape = shapes[-1]
    for level in reversed(self._levels[1:]):
      height, width, channels = level.forward_event_shape(shape)
      doubled = None if channels is None else 2 * channels
      shape = tf.TensorShape([height, width, doubled])
    return self._levels[0].forward_event_shape(shape)

  def _inverse_event_shape(self, shape):
    shape, shapes = tf.TensorShape(shape), []
    for number, level in enumerate(self._levels):
      shape = level.inverse_event_shape(shape)
      if number < len(self._levels) - 1:
        height, width, channels = shape
        halved = None if channels is None else channels // 2
        shape = tf.TensorShape([height, width, halved])
      shapes.append(shape)
    return shapes

  def _forward_event_shape_tensor(self, shapes):
    height, width, channels = tf.unstack(shapes[0])
    if len(self._levels) > 1:
      channels *= 2
    return self._levels[0].forward_event_shape_tensor([height, width, channels])

  def _inverse_event_shape_tensor(self, shape):
    shapes = []
    for number, level in enumerate(self._levels):
      shape = level.inverse_event_shape_tensor(shape)
      if number < len(self._levels) - 1:
        shape = shape // [1, 1, 2]
      shapes.append(shape)
    return shapes


def _total(log_dets, images):
  """Sum of log-determinants, one for each image; of permutations they are scalars."""
  return sum(log_dets, tf.zeros(tf.shape(images)[:-3], images.dtype))


def glow(
  channels: int,
  levels: int = 3,
  depth: int = 24,
  width: int = 512,
  dtype="float32",
  name: str = "glow",
) -> MultiScale:
  """Glow with affine couplings, as VideoFlow has it, with a latent for each level.

  Each level squeezes and then, from data to noise, `depth` times normalises, mixes the
  channels and maps one half of them given the other. Its weights are there at once; start
  it within `layers.act_norm.data_dependent_start()` by an `inverse` of data.

  Args:
    channels: Of the images.
    levels: Scales. Sides of the images must be multiples of 2^levels.
    depth: Steps of each level; 0 only squeezes, a permutation that arranges a latent of
      each level as an image.
    width: Channels inside of the couplings' networks.
    dtype: Of weights and images.
    name: Name of the ops.

  Raises:
    ValueError: For sizes that cannot be.
  """
  for label, value, least in (
    ("channels", channels, 1),
    ("levels", levels, 1),
    ("depth", depth, 0),
    ("width", width, 1),
  ):
    if value < least:
      raise ValueError(f"{label} must be at least {least}; got {value}.")
  chains = []
  for level in range(levels):
    channels *= 4
    steps = [tfb.Invert(Squeeze(), name="unsqueeze")]
    for step in range(depth):
      where = f"level_{level}_step_{step}"
      half = channels // 2
      with tf.name_scope(where):
        network = ConvolutionalCouplingNetwork(
          half, half, 2, width, dtype=dtype, name="coupling"
        )
        steps += [
          ActivationNormalization.build(channels, dtype),
          InvertibleConvolution.build(channels, dtype),
          SplitCoupling(network, range(half), "sigmoid_affine"),
        ]
    chains.append(tfb.Chain(steps, name=f"level_{level}"))
    channels //= 2
  return MultiScale(chains, dtype if depth else None, name=name)
