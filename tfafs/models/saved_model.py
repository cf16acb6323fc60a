"""Writing a SavedModel, so that at no moment there is half of one, or none any more."""

import os
import shutil
from collections.abc import Sequence

import tensorflow as tf


def save(module: tf.Module, path, names: Sequence[str]) -> None:
  """Writes a SavedModel, replacing one at `path` only when complete.

  It is written to `path`.writing; the old one steps aside to `path`.old for the moment of
  the renaming. If a call is killed in that moment, the next one puts it back.

  Args:
    module: What is saved.
    path: Folder to write.
    names: Of the module's functions, each of which becomes a signature.
  """
  path = os.fspath(path).rstrip("/")
  beside, old = f"{path}.writing", f"{path}.old"
  if os.path.exists(old) and not os.path.exists(path):
    os.rename(old, path)  # Killed between the two renames below.
  for leftover in (beside, old):
    shutil.rmtree(leftover, ignore_errors=True)
  try:
    signatures = {name: getattr(module, name) for name in names}
    tf.saved_model.save(module, beside, signatures)
    if os.path.exists(path):
      os.rename(path, old)
    os.rename(beside, path)
  finally:
    shutil.rmtree(beside, ignore_errors=True)
  shutil.rmtree(old, ignore_errors=True)
