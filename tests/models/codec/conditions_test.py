"""What the prior of v reads (SP, TP, TP+), and what of it reaches the index."""

import numpy as np
import pytest
import tensorflow as tf
from codec_cases import build, clip

from tfafs.layers import convolutional
from tfafs.models.codec import codec, conditions, frame_coder, variants
from tfafs.models.codec import state as states


def frame(t):
  return tf.constant(clip()[t][None] / 255.0, tf.float32)


def state(seed=0, behind_intra=False):
  """Any state of frames of 21x37."""
  reference = tf.random.stateless_uniform([1, 21, 37, 3], [seed, 0])
  symbols = tf.round(5 * tf.random.stateless_normal([1, 2, 3, 12], [seed, 1]))
  return states.behind_inter(reference, symbols)._replace(behind_intra=behind_intra)


def parameters(inter, before):
  """Mean and index of v behind a state, for the same motion and hyper-latent."""
  motion = None
  if inter.has_motion:
    motion = inter.encode_motion(frame(1), frame(0))
  hyper = 3.0 * tf.ones([1, 1, 1, 8])

  def evaluate(name, context):
    return inter.prior_of[name].parameters(hyper, tf.constant([2, 3]), context)

  mean, index = inter.with_residual_prior(evaluate, before, motion)
  return mean.numpy(), index.numpy()


@pytest.fixture(scope="module")
def both():
  """A codec that is no row of the table: TAT with both temporal priors."""
  row = variants.Variant("", variants.TAT, (variants.TP, variants.TP_PLUS))
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(variants.VARIANTS, "tat", row)
    yield build("tat")


def test_index_reads_symbols_of_the_past_and_no_reconstruction(both):
  before, other = state(0), state(1)
  mean, index = parameters(both.inter, before)
  moved_mean, same = parameters(both.inter, before._replace(reference=other.reference))
  np.testing.assert_array_equal(index, same)
  assert np.abs(moved_mean - mean).max() > 1e-4
  moved_mean, moved = parameters(both.inter, before._replace(residual=other.residual))
  assert np.any(moved != index)
  assert np.abs(moved_mean - mean).max() > 1e-4


def test_without_exact_integers_a_reconstruction_reaches_the_index():
  """As in the paper; such a codec promises nothing of other machines."""
  inter = build("ssf_tp_plus", exact_index=False).inter
  _, index = parameters(inter, state(0))
  _, moved = parameters(inter, state(0)._replace(reference=state(1).reference))
  assert np.any(moved != index)


def test_the_first_inter_frame_has_a_prior_that_reads_no_residual(both):
  before = state(0, behind_intra=True)
  got = parameters(both.inter, before)
  for same in (before._replace(residual=None), before._replace(residual=7.0)):
    for a, b in zip(got, parameters(both.inter, same)):
      np.testing.assert_array_equal(a, b)
  later = parameters(both.inter, before._replace(behind_intra=False))
  assert np.abs(later[0] - got[0]).max() > 1e-4


def test_only_a_run_need_tell_which_prior_it_is(both):
  """The decoder's state is tensors, also whether it lies behind an intra frame."""
  coder = frame_coder.FrameCoder(both)
  first = coder.encode_intra(frame(0))
  there = here = coder.decode_intra(first.strings, tf.constant([21, 37])).state
  for t in (1, 2):
    coded = coder.encode_inter(frame(t), there)
    packed = coder.state_format.pack(here)
    assert packed["behind_intra"].numpy() == (t == 1)
    assert {k: v.dtype for k, v in packed.items()} == {
      k: spec.dtype for k, spec in coder.state_format.specs.items()
    }
    decoded = coder.decode_inter(coded.strings, coder.state_format.unpack(packed))
    for name in ("symbols", "index", "hyper_symbols"):
      sent, got = (getattr(c.latents["residual"], name) for c in (coded, decoded))
      np.testing.assert_array_equal(sent, got)
    np.testing.assert_array_equal(coded.state.reference, decoded.state.reference)
    np.testing.assert_array_equal(decoded.state.residual, coded.state.residual)
    there, here = coded.state, decoded.state
  assert np.ptp(here.residual) > 2


def test_no_gradient_reaches_the_past(both):
  x = tf.Variable(tf.stack([frame(t)[0] for t in range(3)])[None])
  with tf.GradientTape() as tape:
    coded = both(x)
    last = coded.bits["residual"][:, 1] + tf.reduce_sum(coded.reconstruction[:, 2])
  gradient = tape.gradient(last, x).numpy()[0]
  assert np.any(gradient[2])
  assert not np.any(gradient[:2])


def test_a_temporal_prior_needs_three_frames_to_train(both):
  both.compile(tf.keras.optimizers.legacy.SGD(1e-3))
  with pytest.raises(ValueError, match=r"2 frames.*set data.num_frames to 3"):
    both.train_step(tf.zeros([1, codec.MIN_FRAMES - 1, 32, 32, 3]))


def test_a_structured_prior_needs_a_motion_latent(both):
  with pytest.raises(ValueError, match="the codec's transform has none"):
    condition = conditions.MotionCondition(both.config.model, convolutional.Style())
    condition.context(state(), None)


def test_a_reconstruction_that_is_not_finite_is_refused(both):
  coder = frame_coder.FrameCoder(both)
  state_before = coder.encode_intra(frame(0)).state
  bias = both.inter._residual_synthesis.layers[-1].bias
  value = bias.numpy()
  bias.assign(value + np.inf)
  try:
    with pytest.raises(
      tf.errors.InvalidArgumentError, match="reconstruction is not fin"
    ):
      coder.encode_inter(frame(1), state_before)
  finally:
    bias.assign(value)
