"""Layers that follow each other, on tensors with any leading axes."""

import tensorflow as tf

from tfafs.layers.temporal_network import dims


def built(layers, shape):
  """Makes the weights of layers that follow each other; returns the layers."""
  shape = tf.TensorShape(shape)
  for layer in layers:
    with tf.name_scope(layer.name):
      layer.build(shape)
    output = layer.compute_output_shape(shape)
    shape = tf.TensorShape(output[0] if isinstance(output, (list, tuple)) else output)
  return layers


def run(layers, x, training):
  """Applies layers; batch normalisation is told whether this is training."""
  for layer in layers:
    if isinstance(layer, tf.keras.layers.BatchNormalization):
      x = layer(x, training=training)
    else:
      x = layer(x)
  return x


def on_images(layers, frames, training):
  """Applies layers for [batch, height, width, any] to [..., height, width, any]."""
  shape = dims(frames)
  outputs = run(layers, tf.reshape(frames, [-1, *shape[-3:]]), training)
  return tf.reshape(outputs, [*shape[:-3], *dims(outputs)[1:]])
