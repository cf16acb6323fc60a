"""SequenceFlow: masks, positions, steps against passes, and its errors."""

import numpy as np
import pytest
import tensorflow as tf

from tfafs.bijectors import SequenceFlow

KINDS = [
  ("autoregressive", "autoregressive"),
  ("autoregressive", "split_coupling"),
  ("inverse_autoregressive", "split_coupling"),
]


def wild(time, hidden, layers=2, scalar="nonlinear_squared", **options):
  tf.keras.utils.set_random_seed(0)
  flow = SequenceFlow.build(
    3,
    time,
    hidden,
    scalar,
    layers=layers,
    hidden_units=(6,),
    units=5,
    lstm_layers=2,
    dtype="float64",
    **options,
  )
  for i, variable in enumerate(flow.trainable_variables):
    noise = tf.random.stateless_normal(variable.shape, [1, i], dtype=tf.float64)
    variable.assign_add(0.3 * noise)
  return flow


def noise(*shape):
  return tf.constant(np.random.default_rng(0).normal(size=shape))


@pytest.mark.parametrize(("time", "hidden"), KINDS)
def test_frames_are_the_hidden_flow_given_the_frames_before(time, hidden):
  """The definition, frame by frame in plain Python."""
  flow = wild(time, hidden)
  y = noise(2, 4, 3)
  state, frames, log_det = flow.conditioner.initial_state(2), [], 0.0
  for t in range(4):
    context = flow.conditioner.output(state)
    frames.append(flow.hidden.forward(y[:, t], context=context))
    log_det += flow.hidden.forward_log_det_jacobian(y[:, t], context=context)
    read = frames[-1] if time == "autoregressive" else y[:, t]
    state = flow.conditioner.next_state(state, read)
  x = tf.stack(frames, 1)
  np.testing.assert_allclose(flow.forward(y), x, 1e-10, 1e-10)
  np.testing.assert_allclose(flow.inverse(x), y, 1e-9, 1e-9)
  np.testing.assert_allclose(flow.forward_log_det_jacobian(y + 0), log_det, 1e-9)
  np.testing.assert_allclose(flow.inverse_log_det_jacobian(x + 0), -log_det, 1e-9)


@pytest.mark.parametrize(("time", "hidden"), KINDS)
def test_padding_passes_and_changes_nothing(time, hidden):
  """A padded sequence gives what the cut one gives, whatever the padding holds."""
  flow = wild(time, hidden, layers=1, scalar="affine", max_length=6)
  y = noise(2, 5, 3).numpy()
  y[1, 3:] = np.nan
  lengths = tf.constant([5, 3])
  alone = noise(2, 5, 3)[1:, :3]
  for direction in ("forward", "inverse"):
    x = getattr(flow, direction)(tf.constant(y), lengths=lengths)
    expected = getattr(flow, direction)(alone)
    np.testing.assert_allclose(x[1:, :3], expected, 1e-9, 1e-9)
    assert np.all(np.isnan(x[1, 3:]))
    log_det = getattr(flow, f"{direction}_log_det_jacobian")
    with tf.GradientTape() as tape:
      padded = log_det(tf.constant(y), lengths=lengths)
    gradients = tape.gradient(padded, flow.trainable_variables)
    np.testing.assert_allclose(padded[1], log_det(alone)[0], 1e-8)
    assert all(np.all(np.isfinite(tf.convert_to_tensor(g))) for g in gradients)


def test_a_mask_may_have_holes():
  flow = wild("autoregressive", "split_coupling", layers=1, scalar="affine")
  y = noise(1, 5, 3)
  mask = tf.constant([[True, False, True, True, False]])
  x = flow.forward(y, mask=mask)
  there = tf.gather(y, [0, 2, 3], axis=1)
  expected = flow.forward(there)
  np.testing.assert_allclose(tf.gather(x, [0, 2, 3], axis=1), expected, 1e-9)
  np.testing.assert_array_equal(x[:, 1], y[:, 1])
  np.testing.assert_allclose(flow.inverse(x + 0, mask=mask), y, 1e-9, 1e-9)


def test_positions_tell_the_end():
  """With max_length the first frame depends on the length, without it does not."""
  for options, differs in (({}, False), ({"max_length": 9}, True)):
    flow = wild("inverse_autoregressive", "split_coupling", layers=1, **options)
    y = noise(1, 6, 3)
    first = [flow.forward(y[:, :n] + 0)[0, 0].numpy() for n in (4, 6)]
    assert (np.abs(first[0] - first[1]).max() > 1e-6) == differs


def test_a_density_is_one_pass_of_the_lstm():
  """However many frames: the hidden flow's networks run once, for all frames."""
  flow = wild("autoregressive", "autoregressive", layers=2)
  calls = []
  for layer in flow.hidden.bijectors:
    bind = layer.network.bind

    def counting(context, bind=bind):
      calls.append(context.shape.as_list())
      return bind(context)

    layer.network.bind = counting
  x = noise(2, 7, 3)
  flow.inverse(x)
  flow.inverse_log_det_jacobian(x)
  assert calls == [[2, 7, 5]] * 2


def test_a_context_for_each_frame_is_heard():
  flow = wild("autoregressive", "split_coupling", layers=1, context_size=2)
  y, context = noise(4, 3), noise(2, 4, 2)
  x = flow.forward(y, context=context)
  assert x.shape == [2, 4, 3]
  assert np.abs(x[0] - x[1]).max() > 1e-3
  again = flow.inverse(x + 0, context=context)
  np.testing.assert_allclose(again, tf.broadcast_to(y, [2, 4, 3]), 1e-9, 1e-9)


def test_errors_name_the_remedy():
  flow = wild("autoregressive", "split_coupling", layers=1, max_length=4)
  y = noise(2, 4, 3)
  with pytest.raises(ValueError, match="larger max_length"):
    flow.forward(noise(1, 5, 3))
  with pytest.raises(ValueError, match="Frames must have 3 values"):
    flow.forward(noise(2, 4, 2))
  with pytest.raises(ValueError, match="mask or lengths, not both"):
    flow.forward(y, mask=tf.ones([2, 4], tf.bool), lengths=[1, 2])
  with pytest.raises(ValueError, match=r"mask must be bool \[\.\.\., 4\]"):
    flow.forward(y, mask=tf.ones([2, 4]))
  with pytest.raises(ValueError, match=r"context must be \[\.\.\., 4, C\]"):
    flow.forward(y, context=noise(2, 3, 1))
  with pytest.raises(ValueError, match="time must be"):
    SequenceFlow(flow.hidden, flow.conditioner, time="af")
  with pytest.raises(ValueError, match="hidden must be one of"):
    SequenceFlow.build(3, hidden="af")
  with pytest.raises(ValueError, match="hidden must be a bijector over the last"):
    SequenceFlow(flow, flow.conditioner)
