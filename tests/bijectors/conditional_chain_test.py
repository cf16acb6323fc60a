"""ConditionalChain: who gets which keyword arguments."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors import ConditionalChain, MaskedAutoregressive, NonlinearSquared

tfb, tfd = tfp.bijectors, tfp.distributions


class Scale(tfb.Bijector):
  """Multiplies by exp(context); has a second keyword argument that it records."""

  def __init__(self, name="scale"):
    parameters = dict(locals())
    self.seen = []
    super().__init__(forward_min_event_ndims=0, parameters=parameters, name=name)

  def _forward(self, x, context=0.0, mask=None):
    self.seen.append(mask)
    return x * tf.exp(context)

  def _inverse(self, y, context=0.0, mask=None):
    return y * tf.exp(-context)

  def _forward_log_det_jacobian(self, x, context=0.0, mask=None):
    return context * tf.ones_like(x)

  def _is_increasing(self, context=0.0, mask=None):
    return True


X = np.float32([1.0, 2.0])


@pytest.mark.parametrize(
  "wrap",
  [
    lambda layers: ConditionalChain(layers),
    lambda layers: ConditionalChain([tfb.Invert(tfb.Invert(b)) for b in layers]),
    lambda layers: ConditionalChain([ConditionalChain(layers[:1]), *layers[1:]]),
    lambda layers: ConditionalChain([tfb.Chain(layers[:2]), *layers[2:]]),
    lambda layers: tfb.Invert(ConditionalChain([tfb.Invert(b) for b in layers[::-1]])),
  ],
)
def test_every_layer_that_takes_it_gets_it(wrap):
  layers = [Scale("a"), tfb.Shift(1.0), Scale("b")]
  flow = wrap(layers)
  context, mask = tf.constant(0.5), tf.constant(True)
  y = flow.forward(X, context=context, mask=mask)
  np.testing.assert_allclose(y, (X * np.exp(0.5) + 1) * np.exp(0.5), 1e-6)
  np.testing.assert_allclose(flow.inverse(y + 0, context=context, mask=mask), X, 1e-6)
  log_det = flow.forward_log_det_jacobian(X, 1, context=context)
  np.testing.assert_allclose(log_det, 2 * 2 * 0.5, 1e-6)
  log_det = flow.inverse_log_det_jacobian(y + 0, 1, context=context)
  np.testing.assert_allclose(log_det, -2 * 2 * 0.5, 1e-6)


def test_a_dict_under_a_layers_name_goes_to_it_alone():
  flow = ConditionalChain([Scale("a"), Scale("b")])
  y = flow.forward(X, context=tf.constant(0.5), a={"context": tf.constant(2.0)})
  np.testing.assert_allclose(y, X * np.exp(2.5), 1e-6)


def test_an_argument_that_nobody_takes_is_named():
  flow = ConditionalChain([Scale("a"), tfb.Shift(1.0)])
  with pytest.raises(
    ValueError, match=r"takes 'contxt'; the layers are \['a', 'shift'\]"
  ):
    flow.forward(X, contxt=1.0)


def test_cdf_of_a_chain_of_scalar_layers():
  flow = ConditionalChain([Scale("a"), NonlinearSquared(0.0, 0.0, 1.0, 0.0, 0.0)])
  distribution = tfd.TransformedDistribution(tfd.Normal(0.0, 1.0), flow)
  y = flow.forward(X, context=0.5)
  cdf = distribution.cdf(y, bijector_kwargs={"context": 0.5})
  np.testing.assert_allclose(cdf, tfd.Normal(0.0, 1.0).cdf(X), 1e-5)


def test_all_variables_are_found():
  layers = [MaskedAutoregressive.build(2), tfb.Permute([1, 0])]
  layers.append(MaskedAutoregressive.build(2))
  assert len(ConditionalChain(layers).trainable_variables) == 12
