"""Range coding of a latent and its hyper-latent, with tables that live in a SavedModel."""

import tensorflow as tf
import tensorflow_compression as tfc

from tfafs.layers import scale_table
from tfafs.models.codec import code_length, priors

# The coder's finest precision. At the library's default of 12 bits the many symbols that
# are almost surely zero would cost ten times their information.
PRECISION = 16
# Probability of a symbol beyond its table, which is then coded by its length.
TAIL_MASS = 2.0**-14


def scale_tables() -> tfc.LocationScaleIndexedEntropyModel:
  """Tables of the 64 Gaussians, the same for every latent of every codec."""
  tables = tfc.LocationScaleIndexedEntropyModel(
    tfc.NoisyNormal,
    num_scales=scale_table.NUM_SCALES,
    scale_fn=scale_table.scale_of_index,
    coding_rank=4,
    compression=True,
    tail_mass=TAIL_MASS,
    range_coder_precision=PRECISION,
    bottleneck_dtype=tf.float32,
  )
  # The check wants no bytes behind the end, where `_guarded` puts some; whether a string
  # is the one that was written is for the checksums of the file to say.
  tables.decode_sanity_check = False
  return tables


# Symbols are integers up to here; float32 holds them, and so does the range coder.
_MAX_SYMBOL = 2.0**24
_NOT_FINITE = "the symbols of {} are not finite"


def checked(tensor, complaint: str):
  """The tensor; fails with a complaint where an entry is NaN, infinite or huge."""
  with tf.device("/cpu:0"):
    sound = tf.reduce_all(tf.abs(tensor) < _MAX_SYMBOL)  # A NaN is below nothing.
    with tf.control_dependencies([tf.debugging.Assert(sound, [complaint])]):
      return tf.identity(tensor)


def _guarded(string, num_symbols):
  """Appends bytes that a sound string is never read as far as.

  Beyond the end of a string the range decoder reads zeros, on which its escape code
  for symbols outside their table never ends: a forged string would hang the process.
  Ones end it. There are enough of them for every symbol, at no more than 18 bits each.
  """
  kibibytes = 1 + 18 * num_symbols // (8 * 1024)
  ones = tf.strings.reduce_join(tf.fill([kibibytes], b"\xff" * 1024))
  return tf.strings.join([string, b"\0" * 8, ones])


def _density_options():
  return {
    "coding_rank": 4,
    "bottleneck_dtype": tf.float32,
    "range_coder_precision": PRECISION,
    "tail_mass": TAIL_MASS,
    # Symbols are plain integers: the index network reads them.
    "offset_heuristic": False,
    "decode_sanity_check": False,
  }


def _density_tables(density):
  """CDF table and offset of a learned density; as a graph, for speed."""

  @tf.function
  def build():
    model = tfc.ContinuousBatchedEntropyModel(
      density, compression=True, stateless=True, **_density_options()
    )
    return model.cdf, model.cdf_offset

  return build()


class LatentRangeCoder:
  """Turns the symbols of one prior into two bit strings and back."""

  def __init__(self, prior: priors.Hyperprior, tables):
    """Builds the tables of the hyper-latent from the trained density.

    Args:
      prior: A trained prior.
      tables: The shared `scale_tables()`.
    """
    self.prior = prior
    self._integers = prior.freeze_index()
    self._tables = tables
    cdf, cdf_offset = _density_tables(prior.hyper_density)
    self._hyper_tables = tfc.ContinuousBatchedEntropyModel(
      prior_shape=prior.hyper_density.batch_shape,
      cdf=cdf,
      cdf_offset=cdf_offset,
      compression=True,
      **_density_options(),
    )

    self._length, self._hyper_length = (
      code_length.CodeLength(model.cdf.numpy(), model.cdf_offset.numpy())
      for model in self.entropy_models
    )

  @property
  def entropy_models(self):
    """Owners of the tables, for a `tf.Module` to track."""
    return [self._tables, self._hyper_tables]

  def constants(self):
    """All arrays beside the weights that decoding depends on, in a fixed order."""
    for model in self.entropy_models:
      yield from (model.cdf.numpy(), model.cdf_offset.numpy())
    yield from self.prior.constants(self._integers)

  def is_exact_here(self, zero):
    """Whether this machine finds the indexes that every other does: a bool tensor.

    Args:
      zero: float32 scalar, 0 when it runs.
    """
    if not self._integers:
      return tf.constant(False)
    with tf.device("/cpu:0"):  # As in coding.
      return self.prior.is_exact_here(self._integers, zero)

  def encode(
    self, coded: priors.CodedLatent, context: priors.Context = priors.NO_CONTEXT
  ):
    """Codes the symbols of a batch of one.

    Args:
      coded: The latent.
      context: What the prior reads beside.

    Returns:
      string [2] (latent, hyper-latent), and float32 [2], the bits each should take.

    Raises:
      tf.errors.InvalidArgumentError: A symbol is not finite.
    """
    coded = coded._replace(
      symbols=checked(coded.symbols, _NOT_FINITE.format(self.prior.name)),
      hyper_symbols=checked(coded.hyper_symbols, _NOT_FINITE.format(self.prior.name)),
    )
    size = tf.shape(coded.symbols)[1:3]
    # Range coding has no other kernels, and other kernels need not be exact.
    with tf.device("/cpu:0"):
      index = self.prior.index(coded.hyper_symbols, size, context, self._integers)
      latent = self._tables.compress(coded.symbols, index)
      hyper = self._hyper_tables.compress(coded.hyper_symbols)
    channels = tf.range(tf.shape(coded.hyper_symbols)[-1])
    lengths = (
      self._length(coded.symbols, index),
      self._hyper_length(coded.hyper_symbols, channels),
    )
    return tf.stack([latent, hyper]), tf.stack([tf.reduce_sum(x) for x in lengths])

  def decode(
    self, strings, size, context: priors.Context = priors.NO_CONTEXT
  ) -> priors.CodedLatent:
    """Inverse of `encode`.

    Args:
      strings: string [2].
      size: int32 [2], height and width of the latent.
      context: What the prior reads beside, decoded.

    Returns:
      A `CodedLatent` of batch 1, without rates.
    """
    shape = tf.concat([[1], self.prior.hyper_size(size)], 0)
    channels = self._hyper_tables.prior_shape[0]
    with tf.device("/cpu:0"):
      string = _guarded(strings[1], tf.reduce_prod(shape) * channels)
      hyper_symbols = self._hyper_tables.decompress(string, shape)
      index = self.prior.index(hyper_symbols, size, context, self._integers)
      string = _guarded(strings[0], tf.size(index))
      symbols = self._tables.decompress(string, index)
    mean = self.prior.mean(hyper_symbols, size, context)
    value = priors.dequantize(symbols, mean)
    return priors.CodedLatent(value, symbols, index, hyper_symbols, None, None)
