"""Scalars that a run has written for TensorBoard, read back."""

import pathlib

import tensorflow as tf
from tensorflow.core.util import event_pb2


def read_scalars(directory, tag: str) -> dict:
  """Reads a curve.

  Args:
    directory: Log directory of a run.
    tag: Name of the scalar, such as "train/loss".

  Returns:
    Dict from step to value. Where a resumed run repeats steps, its values count.
  """
  curve = {}
  for file in sorted(pathlib.Path(directory).glob("events.out.tfevents.*")):
    try:
      for record in tf.data.TFRecordDataset(str(file)):
        event = event_pb2.Event.FromString(record.numpy())
        for value in event.summary.value:
          if value.tag == tag:
            curve[event.step] = float(tf.make_ndarray(value.tensor))
    except tf.errors.DataLossError:  # The end of what a killed run was writing.
      continue
  return curve
