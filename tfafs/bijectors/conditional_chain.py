"""A chain that hands its keyword arguments to every layer that takes them."""

import inspect

import tensorflow_probability as tfp
from tensorflow_probability.python.bijectors import chain, composition

tfb = tfp.bijectors


class ConditionalChain(chain._Chain):
  """`tfb.Chain` for conditional layers: `context=c` reaches each of them.

  TFP's `Chain` gives a layer only the keyword arguments under that layer's name, so that
  a condition of ten layers is written ten times. This one gives `context`, `mask`,
  `lengths`, or whatever it is called with, to each layer whose methods take a keyword
  argument of that name, also inside of `tfb.Invert` and of chains. Unconditional layers
  (`tfb.Permute`, `tfb.Scale`) get none. A dict under the name of a layer goes to that
  layer alone, as in `tfb.Chain`. Layers apply from the end of the list, as there.

      flow = ConditionalChain([MaskedAutoregressive(...), tfb.Permute(...), ...])
      flow.forward(y, context=c)
  """

  def __init__(
    self, bijectors, validate_args: bool = False, name: str = "conditional_chain"
  ):
    """Makes the chain.

    Args:
      bijectors: Layers; the last one is nearest to the input of `forward`.
      validate_args: As for `tfb.Chain`.
      name: Name of the ops.
    """
    bijectors = tuple(bijectors)
    parameters = {
      "bijectors": bijectors,
      "validate_args": validate_args,
      "name": name,
    }
    super().__init__(
      bijectors, validate_args=validate_args, parameters=parameters, name=name
    )

  def _is_increasing(self, **kwargs):
    increasing = True
    for layer, given in self._routed(kwargs):
      increasing = increasing == layer._internal_is_increasing(**given)
    return increasing

  def _walk_forward(self, step_fn, x, **kwargs):
    for layer, given in reversed(self._routed(kwargs)):
      x = step_fn(layer, x, **given)
    return x

  def _walk_inverse(self, step_fn, y, **kwargs):
    for layer, given in self._routed(kwargs):
      y = step_fn(layer, y, **given)
    return y

  def _routed(self, kwargs) -> list:
    """Pairs of a layer and its keyword arguments.

    Raises:
      ValueError: If a keyword argument reaches no layer.
    """
    names = {layer.name for layer in self.bijectors}
    shared = {key: value for key, value in kwargs.items() if key not in names}
    for key in shared:
      if not takes(self, key):
        raise ValueError(
          f"No layer of {self.name} takes {key!r}; the layers are {sorted(names)}."
        )
    return [
      (layer, {**accepted(layer, shared), **kwargs.get(layer.name, {})})
      for layer in self.bijectors
    ]


def takes(bijector, key: str) -> bool:
  """Whether the methods of `bijector`, or of a layer in it, take the argument `key`."""
  if isinstance(bijector, composition.Composition):
    return any(takes(layer, key) for layer in bijector.bijectors)
  if hasattr(bijector, "bijector"):  # tfb.Invert
    return takes(bijector.bijector, key)
  method = getattr(bijector, "_augmented_forward", bijector._forward)
  signature = inspect.signature(method).parameters
  several = any(p.kind is p.VAR_KEYWORD for p in signature.values())
  return several or key in list(signature)[1:]


def accepted(bijector, kwargs) -> dict:
  """Those of `kwargs` that `bijector` takes, as its methods want them."""
  if hasattr(bijector, "bijector"):  # tfb.Invert
    return accepted(bijector.bijector, kwargs)
  if isinstance(bijector, composition.Composition) and not isinstance(
    bijector, ConditionalChain
  ):
    routed = {layer.name: accepted(layer, kwargs) for layer in bijector.bijectors}
    return {name: given for name, given in routed.items() if given}
  return {key: value for key, value in kwargs.items() if takes(bijector, key)}
