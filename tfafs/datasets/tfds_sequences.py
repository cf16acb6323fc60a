"""Sequences of frames that TensorFlow Datasets has prepared."""

import pathlib

import numpy as np

from tfafs.datasets import sequences

SPLITS = {
  "tfds_moving_mnist": {"train": "test[:90%]", "test": "test[90%:]"},
  "bair_robot_pushing_small": {"train": "train", "test": "test"},
  "kth": {"train": "train", "test": "test"},
}
"""Splits by the name in `data.dataset`. Moving MNIST has no training split; the authors of
paper 000 train on nine tenths of the other."""


def from_tfds(config, split: str):
  """Sequences of a prepared data set, resized into the cache.

  Args:
    config: `config.data` with dataset, path, manual_dir, image_size, channels, fit and
      cache_dir. The path is the `data_dir` of TFDS, "" for ~/tensorflow_datasets. KTH is
      prepared first, from `manual_dir`, if it is not yet.
    split: "train" or "test".

  Returns:
    Sequences and their names, for `SequenceClips`.

  Raises:
    ValueError: TFDS is not installed, the data set is not prepared or has no such
      examples, or the disk of the cache is too small.
  """
  try:
    import tensorflow_datasets as tfds
  except ImportError as error:
    raise ValueError(
      f"data.dataset={config.dataset} needs TensorFlow Datasets: pip install -e "
      f"'.[datasets]' ({error})"
    ) from error
  name = config.dataset
  folder = str(pathlib.Path(config.path or "~/tensorflow_datasets").expanduser())
  if name == "kth":
    builder = _prepared_kth(tfds, folder, config.manual_dir)
  else:
    # Of what is not there TFDS would ask its server, for minutes if that is out of reach.
    builder, stem = None, name.removeprefix("tfds_")
    if any(pathlib.Path(folder, stem).glob("**/dataset_info.json")):
      builder = tfds.builder(stem, data_dir=folder)
    if builder is None or not builder.info.splits:  # Or of another version.
      raise ValueError(
        f"data.path={folder} holds no prepared {stem}: run tfds build {stem} "
        f"--data_dir={folder}"
      )
  part = SPLITS[name][split]
  key = [builder.data_dir, builder.info.full_name, part, config.image_size]
  key += [config.channels, config.fit]
  files = sorted(pathlib.Path(builder.data_dir).glob("*.tfrecord*"))
  key += [(file.name, file.stat().st_mtime_ns) for file in files]

  def videos():
    for example in tfds.as_numpy(builder.as_dataset(split=part, shuffle_files=False)):
      yield np.stack(
        [
          sequences.fit_frame(frame, config.image_size, config.channels, config.fit)
          for frame in _frames(name, example)
        ]
      )

  title = f"{builder.info.full_name}, {part}"
  count = builder.info.splits[part].num_examples
  frames = sequences.cached_frames(title, repr(key), videos(), count, config.cache_dir)
  names = [f"{title}, example {i}" for i in range(count)]
  return frames, names


def _frames(name, example):
  if name == "tfds_moving_mnist":
    return example["image_sequence"]
  if name == "kth":
    return example["video"]
  return example["image_aux1"]  # The camera of the literature.


def _prepared_kth(tfds, folder, manual_dir):
  from tfafs.datasets import kth

  builder = kth.Kth(data_dir=folder)
  if not builder.info.splits:
    if not manual_dir:
      raise ValueError(
        f"data.path={folder} holds no prepared kth: give data.manual_dir. "
        + kth.Kth.MANUAL_DOWNLOAD_INSTRUCTIONS
      )
    manual = pathlib.Path(manual_dir).expanduser()
    if not (manual / kth.LIST).is_file():
      raise ValueError(
        f"data.manual_dir={manual_dir} holds no {kth.LIST}. "
        + kth.Kth.MANUAL_DOWNLOAD_INSTRUCTIONS
      )
    config = tfds.download.DownloadConfig(manual_dir=str(manual))
    builder.download_and_prepare(download_config=config)
  return builder
