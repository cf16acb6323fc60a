"""Flows over R^D, ready to use: each function builds a stack with its own variables.

All have what training needs: components are permuted between the layers, scales are
bounded, every bijector has a name of its own (`Chain` hands keyword arguments on by
name). `make_flow` builds any of them by name, from noise to data.
"""

from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfafs.bijectors.block_neural_autoregressive import BlockNeuralAutoregressive
from tfafs.bijectors.masked_autoregressive import MaskedAutoregressive
from tfafs.bijectors.planar import Planar
from tfafs.bijectors.sylvester import Sylvester, householder_basis, orthonormal_basis
from tfafs.layers import block_masked, conditioners

tfb = tfp.bijectors

PERMUTATIONS = ("flip", "random", None)
SCALARS = ("tfp", "affine", "nonlinear_squared")
DENSITY, SAMPLING = "density", "sampling"


def block_neural_autoregressive_flow(
  event_size: int,
  num_flows: int = 1,
  hidden_units: Sequence[int] = (50, 50),
  activation: str = "leaky_tanh",
  residual: Optional[str] = "gated",
  permutation: Optional[str] = "flip",
  modulation=None,
  dtype=None,
  name: str = "block_neural_autoregressive_flow",
) -> tfb.Chain:
  """Creates a stack of block neural autoregressive flows (paper 003).

  Its `forward` is fast, its `inverse` numeric: density estimation uses
  `tfb.Invert(flow)`, density matching and posteriors the flow itself. As in the
  authors' code the last network has no residual. Settings of the paper:

  | what | event_size | num_flows | hidden_units |
  |---|---|---|---|
  | POWER | 6 | 5 | (40, 40) |
  | GAS | 8 | 5 | (40, 40) |
  | HEPMASS | 21 | 5 | (20, 20) |
  | MINIBOONE | 43 | 5 | (5, 5) |
  | BSDS300 | 63 | 5 | (20, 20) |
  | two dimensions | 2 | 1 | (50, 50) or (50, 50, 50) |
  | posterior of a VAE | 64 | 8 | (4,), with `modulation` |

  Args:
    event_size: Number D of components of the event.
    num_flows: Number of networks.
    hidden_units: Units for each component, of each hidden layer of a network.
    activation: "leaky_tanh", or "tanh" as published (then the flow is not onto R^D).
    residual: Of all networks but the last: "gated", "plain" or None.
    permutation: Between two networks: "flip", "random" (drawn from NumPy's global
      generator) or None.
    modulation: None, or for an amortised flow [..., modulation_size(...)], what each
      datum has of its own: what an encoder predicts.
    dtype: Floating type of variables and results.
    name: Name of the chain; that of the bijector number i is `<name>_<i>`.

  Returns:
    The chain.

  Raises:
    ValueError: for an argument that is none of these.
  """
  networks = block_neural_autoregressive_networks(
    event_size, num_flows, hidden_units, activation, residual, dtype
  )
  return chain_of_networks(networks, permutation, modulation, name)


def block_neural_autoregressive_networks(
  event_size: int,
  num_flows: int = 1,
  hidden_units: Sequence[int] = (50, 50),
  activation: str = "leaky_tanh",
  residual: Optional[str] = "gated",
  dtype=None,
) -> list:
  """Creates the networks of `block_neural_autoregressive_flow`, first one first.

  An amortised model keeps them, gives its encoder `sum(n.modulation_size for n in
  networks)` outputs, and calls `chain_of_networks` for each batch.
  """
  _check_positive("num_flows", num_flows)
  return [
    block_masked.BlockAutoregressiveNetwork(
      event_size,
      hidden_units,
      activation,
      residual if i < num_flows - 1 else None,
      dtype,
      name=f"network_{i}",
    )
    for i in range(num_flows)
  ]


def chain_of_networks(
  networks: Sequence,
  permutation: Optional[str] = "flip",
  modulation=None,
  name: str = "block_neural_autoregressive_flow",
) -> tfb.Chain:
  """Chains networks to a flow; arguments as of `block_neural_autoregressive_flow`."""
  modulations = [None] * len(networks)
  if modulation is not None:
    sizes = [network.modulation_size for network in networks]
    if modulation.shape[-1] != sum(sizes):
      raise ValueError(
        f"modulation must have {sum(sizes)} entries in its last dimension, "
        f"modulation_size of all networks, not {modulation.shape[-1]}."
      )
    modulations = tf.split(modulation, sizes, -1)
  layers = [
    BlockNeuralAutoregressive(network, of_layer, name=f"{name}_{i}")
    for i, (network, of_layer) in enumerate(zip(networks, modulations))
  ]
  return _chain(layers, networks[0].event_size, permutation, name)


def masked_autoregressive_flow(
  event_size: int,
  num_flows: int = 5,
  hidden_units: Sequence[int] = (64, 64),
  permutation: Optional[str] = "flip",
  scalar: str = "tfp",
  dtype=None,
  name: str = "masked_autoregressive_flow",
) -> tfb.Chain:
  """Creates a stack of masked autoregressive layers; `inverse`, to noise, is one pass.

  Args:
    event_size: Number D of components of the event.
    num_flows: Number of layers.
    hidden_units: Units of each hidden layer of a layer's network.
    permutation: Between two layers: "flip", "random" or None.
    scalar: "tfp" for TFP's affine MAF; "affine" or "nonlinear_squared" (NLSq, paper
      002) for `MaskedAutoregressive` with that map of each component.
    dtype: Floating type of variables and results.
    name: Name of the chain.

  Raises:
    ValueError: for an argument that is none of these.
  """
  _check_positive("num_flows", num_flows)
  if scalar not in SCALARS:
    raise ValueError(f"scalar must be one of {SCALARS}, not {scalar!r}.")
  layers = []
  for i in range(num_flows):
    layer_name = f"{name}_{i}"
    if scalar == "tfp":
      layer = tfb.MaskedAutoregressiveFlow(
        conditioners.AutoregressiveConditioner(event_size, hidden_units, dtype),
        name=layer_name,
      )
    else:
      layer = MaskedAutoregressive.build(
        event_size,
        scalar,
        hidden_units,
        dtype=dtype or tf.keras.backend.floatx(),
        name=layer_name,
      )
    layers.append(layer)
  return _chain(layers, event_size, permutation, name)


def inverse_autoregressive_flow(
  event_size: int,
  num_flows: int = 5,
  hidden_units: Sequence[int] = (64, 64),
  permutation: Optional[str] = "flip",
  scalar: str = "tfp",
  dtype=None,
  name: str = "inverse_autoregressive_flow",
) -> tfb.Invert:
  """Creates an inverted stack of MAF; `forward`, from noise to data, is one pass.

  Arguments as of `masked_autoregressive_flow`.
  """
  return tfb.Invert(
    masked_autoregressive_flow(
      event_size, num_flows, hidden_units, permutation, scalar, dtype, f"{name}_inner"
    ),
    name=name,
  )


def real_nvp(
  event_size: int,
  num_flows: int = 8,
  hidden_units: Sequence[int] = (64, 64),
  permutation: Optional[str] = "flip",
  dtype=None,
  name: str = "real_nvp",
) -> tfb.Chain:
  """Creates a stack of TFP's Real NVP couplings; both directions are one pass.

  Arguments as of `masked_autoregressive_flow`; `event_size` is at least 2.
  """
  _check_positive("num_flows", num_flows)
  if event_size < 2:
    raise ValueError(f"event_size of Real NVP must be at least 2, not {event_size}.")
  layers = []
  for i in range(num_flows):
    # If D is odd, the one in the middle has to be on either side.
    masked = event_size // 2 if i % 2 == 0 else event_size - event_size // 2
    conditioner = conditioners.CouplingConditioner(
      masked, event_size - masked, hidden_units, dtype
    )
    layers.append(
      tfb.RealNVP(
        num_masked=masked, shift_and_log_scale_fn=conditioner, name=f"{name}_{i}"
      )
    )
  return _chain(layers, event_size, permutation, name)


def planar_flow(
  event_size: int, num_flows: int = 32, dtype=None, name: str = "planar_flow"
) -> tfb.Chain:
  """Creates a stack of planar flows; `forward` is fast, `inverse` numeric.

  Args:
    event_size: Number D of components of the event.
    num_flows: Number of layers.
    dtype: Floating type of variables and results.
    name: Name of the chain.
  """
  _check_positive("num_flows", num_flows)
  layers = [
    Planar(
      direction=_normal([event_size], 0.1, dtype, "direction"),
      weight=_normal([event_size], 1.0, dtype, "weight"),
      bias=_normal([], 1.0, dtype, "bias"),
      name=f"{name}_{i}",
    )
    for i in range(num_flows)
  ]
  return _chain(layers, event_size, None, name)


def sylvester_flow(
  event_size: int,
  num_flows: int = 16,
  num_directions: Optional[int] = None,
  num_reflections: Optional[int] = None,
  dtype=None,
  name: str = "sylvester_flow",
) -> tfb.Chain:
  """Creates a stack of Sylvester flows; `forward` is fast, `inverse` numeric.

  Args:
    event_size: Number D of components of the event.
    num_flows: Number of layers.
    num_directions: Number M of directions of an orthogonal flow, D by default.
    num_reflections: Number of reflections of a Householder flow; None for an orthogonal
      one.
    dtype: Floating type of variables and results.
    name: Name of the chain.

  Raises:
    ValueError: `num_directions` is not within 1 and D, or given beside reflections.
  """
  _check_positive("num_flows", num_flows)
  if num_reflections is not None and num_directions is not None:
    raise ValueError(
      "num_directions is for orthogonal flows, num_reflections for Householder flows, "
      "which have all directions: give one of them."
    )
  size = event_size if num_directions is None else num_directions
  if not 1 <= size <= event_size:
    raise ValueError(f"num_directions must be from 1 to {event_size}, not {size}.")
  layers = []
  for i in range(num_flows):
    if num_reflections is None:
      raw = _normal([event_size, size], 1.0, dtype, "basis")
      basis = tfp.util.DeferredTensor(raw, orthonormal_basis)
    else:
      raw = _normal([num_reflections, event_size], 1.0, dtype, "reflections")
      basis = tfp.util.DeferredTensor(
        raw, householder_basis, shape=[event_size, event_size]
      )
    layers.append(
      Sylvester(
        basis=basis,
        outer=_normal([size, size], 0.1, dtype, "outer"),
        inner=_normal([size, size], 1.0, dtype, "inner"),
        bias=_normal([size], 1.0, dtype, "bias"),
        name=f"{name}_{i}",
      )
    )
  return _chain(layers, event_size, None, name)


FLOWS = {
  "bnaf": block_neural_autoregressive_flow,
  "maf": masked_autoregressive_flow,
  "realnvp": real_nvp,
  "planar": planar_flow,
  "iaf": inverse_autoregressive_flow,
  "sylvester": sylvester_flow,
}
"""From name to the function that builds the flow."""

_FORMULA_FORWARD = ("bnaf", "planar", "sylvester")


def make_flow(name: str, event_size: int, fast: str = DENSITY, **options):
  """Creates a flow from noise to data.

  Args:
    name: A name in `FLOWS`.
    event_size: Number D of components of the event.
    fast: What has to be fast: "density" for density estimation, "sampling" for density
      matching and posteriors. It says which way `bnaf`, `planar` and `sylvester`, whose
      one direction is numeric, are used; MAF and IAF are what they are.
    **options: Arguments of the function that builds the flow.

  Returns:
    A bijector whose `forward` is from noise to data.

  Raises:
    ValueError: an unknown name, or an argument out of its range.
  """
  if name not in FLOWS:
    raise ValueError(f"Unknown flow {name!r}. Known flows: {', '.join(FLOWS)}.")
  if fast not in (DENSITY, SAMPLING):
    raise ValueError(f"fast must be {DENSITY!r} or {SAMPLING!r}, not {fast!r}.")
  flow = FLOWS[name](event_size, **options)
  if name in _FORMULA_FORWARD and fast == DENSITY:
    return tfb.Invert(flow, name=f"inverted_{name}")
  return flow


def _chain(layers, event_size, permutation, name):
  """Chain that applies the layers in their order, with permutations between them."""
  if permutation not in PERMUTATIONS:
    raise ValueError(f"permutation must be one of {PERMUTATIONS}, not {permutation!r}.")
  bijectors = []
  for i, layer in enumerate(layers):
    if i and permutation:
      order = np.arange(event_size)[::-1]
      if permutation == "random":
        order = np.random.permutation(event_size)
      order = order.astype(np.int32)
      bijectors.append(tfb.Permute(order, name=f"{name}_permutation_{i}"))
    bijectors.append(layer)
  return tfb.Chain(bijectors[::-1], name=name)


def _normal(shape, deviation, dtype, name):
  dtype = dtype or tf.keras.backend.floatx()
  return tf.Variable(tf.random.normal(shape, 0.0, deviation, dtype), name=name)


def _check_positive(name, value):
  if value < 1:
    raise ValueError(f"{name} must be at least 1, not {value}.")
