"""What a codec costs: its parameters, and multiplications per pixel of each frame.

    python -m tfafs.evaluation.complexity [--size=paper] [MODEL ...]

prints a Markdown table. Multiplications are those of the convolutions in the graph of a
frame, on the layers' real sizes; warps, range coding and elementwise maths are not in it.
"""

import argparse
from typing import NamedTuple

import tensorflow as tf

from tfafs.models import registry
from tfafs.models.codec import state, variants

# Pixels along each side of the frame that is counted: a multiple of all strides.
_SIDE = 256
_CONVOLUTIONS = ("Conv2D", "Conv2DBackpropInput", "DepthwiseConv2dNative")
# Networks of the encoder alone, by the names of their layers.
_ENCODER_ONLY = ("/analysis/", "motion_analysis/", "residual_analysis/")


class Complexity(NamedTuple):
  """Cost of a codec.

  Attributes:
    parameters: Trained parameters, those of intra frames included.
    intra_parameters: Of intra frames alone.
    intra: Thousands of multiplications per pixel of an intra frame, in the encoder.
    inter: The same of an inter frame.
    inter_decoder: The same of an inter frame in the decoder.
  """

  parameters: int
  intra_parameters: int
  intra: float
  inter: float
  inter_decoder: float


def count(model) -> Complexity:
  """Counts a codec.

  Args:
    model: A built `VideoCodec`; its strides divide 256.

  Returns:
    `Complexity`.
  """
  frame = tf.TensorSpec([1, _SIDE, _SIDE, 3], tf.float32)
  channels, stride = model.config.model.filters[-1], 1
  for factor in model.config.model.strides:
    stride *= factor
  latent = tf.TensorSpec([1, _SIDE // stride, _SIDE // stride, channels], tf.float32)

  def inter(image, reference, residual):
    return model.inter(image, state.State(reference, residual, False)).reconstruction

  intra = multiplications(lambda image: model.intra(image)[1], frame)
  inter = multiplications(inter, frame, frame, latent)
  decoder = {
    name: value
    for name, value in inter.items()
    if not any(part in f"/{name}" for part in _ENCODER_ONLY)
  }
  pixels = 1000.0 * _SIDE**2
  return Complexity(
    _parameters(model),
    _parameters(model.intra),
    *(sum(costs.values()) / pixels for costs in (intra, inter, decoder)),
  )


def multiplications(function, *specs) -> dict:
  """Multiplications of a function's convolutions.

  Args:
    function: From tensors to tensors.
    *specs: TensorSpec of each argument, of known shape.

  Returns:
    Dict from op name to int.
  """
  graph = tf.function(function, autograph=False).get_concrete_function(*specs).graph
  costs = {}
  for op in graph.get_operations():
    if op.type in _CONVOLUTIONS:
      # A transposed convolution multiplies each of its inputs with all of the kernel.
      transposed = op.type == "Conv2DBackpropInput"
      kernel = op.inputs[1].shape
      places = op.inputs[2].shape if transposed else op.outputs[0].shape
      costs[op.name] = places[0] * places[1] * places[2] * kernel.num_elements()
  return costs


def _parameters(layer):
  return sum(v.shape.num_elements() for v in layer.trainable_variables)


def table(names, size: str) -> str:
  """Markdown table of codecs.

  Args:
    names: Names of codecs.
    size: Size of their configs.
  """
  lines = [
    "| codec | parameters | intra | kMAC per pixel: I frame | P frame | P, decoder |",
    "|---|---|---|---|---|---|",
  ]
  for name in names:
    cost = count(registry.build(registry.load_config(name, size)))
    lines.append(
      f"| `{name}` | {cost.parameters:,} | {cost.intra_parameters:,} | {cost.intra:.1f} "
      f"| {cost.inter:.1f} | {cost.inter_decoder:.1f} |"
    )
  return "\n".join(lines)


def main():
  """The command."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("models", nargs="*", default=list(variants.VARIANTS))
  parser.add_argument("--size", default="paper", choices=registry.SIZES)
  options = parser.parse_args()
  print(table(options.models, options.size))


if __name__ == "__main__":
  main()
