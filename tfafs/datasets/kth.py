"""TFDS builder of KTH Actions: people who walk, jog, run, box, wave and clap.

Schuldt et al. (2004). TFDS has no builder of its own. The data is not downloaded: unpack
the six archives of the data set, and `00sequences.txt` beside them, into the manual folder:

    walking/person01_walking_d1_uncomp.avi ...      160x120, 25 frames per second
    00sequences.txt                                 person01_walking_d1 frames 1-75, ...

Each of the subsequences in that list is an example. Splits are the authors' by person.
"""

import pathlib
import re

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from tfafs.coding import video_reader

ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
PERSONS = {
  "train": (11, 12, 13, 14, 15, 16, 17, 18),
  "validation": (19, 20, 21, 23, 24, 25, 1, 4),
  "test": (22, 2, 3, 5, 6, 7, 8, 9, 10),
}
LIST = "00sequences.txt"
_LINE = re.compile(r"^(person(\d\d)_([a-z]+)_d(\d))\s+frames\s+(.+)$")


class Kth(tfds.core.GeneratorBasedBuilder):
  """KTH Actions, one example for each subsequence of `00sequences.txt`."""

  VERSION = tfds.core.Version("1.0.0")
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    "Unpack walking.zip, jogging.zip, running.zip, boxing.zip, handwaving.zip and "
    f"handclapping.zip of KTH Actions, each into a folder of its name, and {LIST} "
    "beside them."
  )

  def _info(self):
    """See base class."""
    return tfds.core.DatasetInfo(
      builder=self,
      description="KTH Actions, grey, 25 frames per second.",
      features=tfds.features.FeaturesDict(
        {
          "video": tfds.features.Video(shape=(None, 120, 160, 1)),
          "action": tfds.features.ClassLabel(names=ACTIONS),
          "person": np.int32,
          "scenario": np.int32,
        }
      ),
      supervised_keys=("video", "action"),
    )

  def _split_generators(self, dl_manager):
    """See base class."""
    folder = pathlib.Path(dl_manager.manual_dir)
    return {
      split: self._generate_examples(folder, persons)
      for split, persons in PERSONS.items()
    }

  def _generate_examples(self, folder, persons):
    """Yields key and example of every subsequence with one of the persons."""
    for name, person, action, scenario, ranges in read_list(folder / LIST):
      if person not in persons:
        continue
      file = folder / action / f"{name}_uncomp.avi"
      if not file.exists():
        raise ValueError(f"{file} is missing, though {folder / LIST} has it")
      with video_reader.open_video(file) as reader:
        frames = [np.asarray(Image.fromarray(frame).convert("L")) for frame in reader]
      for number, (first, last) in enumerate(ranges):
        part = frames[first - 1 : last]
        if len(part) != last - first + 1:
          raise ValueError(
            f"{file} has {len(frames)} frames; {folder / LIST} wants {first}-{last}"
          )
        yield (
          f"{name}_{number}",
          {
            "video": np.stack(part)[..., None],
            "action": action,
            "person": person,
            "scenario": scenario,
          },
        )


def read_list(path):
  """Reads `00sequences.txt`: name, person, action, scenario, [(first, last)], from 1 on.

  Raises:
    ValueError: no line of it is a list of frames.
  """
  rows = []
  for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
    match = _LINE.match(line.strip())
    if match and match[3] in ACTIONS:
      ranges = [
        (int(first), int(last)) for first, last in re.findall(r"(\d+)-(\d+)", match[5])
      ]
      rows.append((match[1], int(match[2]), match[3], int(match[4]), ranges))
  if not rows:
    raise ValueError(f"{path}: no line like 'person01_boxing_d1 frames 1-95, 96-185'")
  return rows
