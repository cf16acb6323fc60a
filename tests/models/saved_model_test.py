"""SavedModels that replace each other, and what a kill between leaves."""

import itertools
import os

import pytest
import tensorflow as tf

from tfafs.models import saved_model


def module(value):
  module = tf.Module()
  module.value = tf.function(lambda: {"value": tf.constant(value)}, [])
  return module


def value(path):
  loaded = tf.saved_model.load(str(path))
  return int(loaded.signatures["value"]()["value"])


def test_the_second_replaces_the_first_whole_or_not_at_all(tmp_path, monkeypatch):
  path = tmp_path / "saved"
  saved_model.save(module(1), path, ["value"])
  saved_model.save(module(2), f"{path}/", ["value"])
  assert value(path) == 2
  # A kill at any rename or removal leaves a model, there or beside; the next call, even
  # one that fails, has it there again.
  for kill_at in (1, 2):
    monkeypatch.setattr(os, "rename", _killed(kill_at))
    with pytest.raises(KeyboardInterrupt):
      saved_model.save(module(3), path, ["value"])
    monkeypatch.undo()
    monkeypatch.setattr(tf.saved_model, "save", _full_disk)
    with pytest.raises(OSError, match="no space"):
      saved_model.save(module(4), path, ["value"])
    monkeypatch.undo()
    assert value(path) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["saved"]


def _killed(number):
  """`os.rename` that does not return from the call of this number, from 1 on."""
  rename, calls = os.rename, itertools.count(1)

  def killed(source, target):
    if next(calls) == number:
      raise KeyboardInterrupt
    rename(source, target)

  return killed


def _full_disk(*arguments):
  raise OSError("no space")
