import shutil

import numpy as np
import pytest
import tensorflow as tf
import toy

from tfafs.training import checkpoints, errors, optimizers


def make(directory, filters=8, step=0):
  """A toy with its optimizer and checkpointer, after `step` updates."""
  config = toy.get_config()
  config.model.filters = filters
  model = toy.Toy(config)
  model(tf.zeros([1, 2, 16, 16, 3]))
  optimizer = optimizers.make_optimizer(config.training)
  optimizer.build(model.trainable_variables)
  optimizer.iterations.assign(step)
  return model, optimizer, checkpoints.Checkpointer(directory, model, optimizer)


@pytest.fixture
def saved(tmp_path):
  """Directory with checkpoints 1 and 2, and the kernel at step 2."""
  model, optimizer, checkpointer = make(tmp_path, step=1)
  checkpointer.save()
  optimizer.iterations.assign(2)
  model.encoder.kernel.assign_add(tf.ones_like(model.encoder.kernel))
  checkpointer.save()
  return tmp_path, model.encoder.kernel.numpy()


def refused(directory, **options):
  """The refusal to restore, which must be one line."""
  with pytest.raises(errors.RunError) as caught:
    make(directory, **options)[2].restore()
  assert "\n" not in str(caught.value)
  return str(caught.value)


def test_fresh_directory(tmp_path):
  _, _, checkpointer = make(tmp_path / "new")
  assert checkpointer.latest is None
  assert checkpointer.restore() == 0


def test_restore(saved):
  directory, kernel = saved
  model, optimizer, checkpointer = make(directory)
  assert checkpointer.restore() == 2
  assert optimizer.step == 2
  np.testing.assert_array_equal(model.encoder.kernel, kernel)
  assert checkpointer.latest == str(directory / "ckpt-2")


def test_a_moved_directory_is_still_read(saved, tmp_path_factory):
  directory, _ = saved
  moved = tmp_path_factory.mktemp("moved") / "checkpoints"
  shutil.move(directory, moved)
  _, _, checkpointer = make(moved)
  assert checkpointer.restore() == 2
  assert checkpointer.latest == str(moved / "ckpt-2")


def test_last_three_are_kept_and_no_step_is_saved_twice(tmp_path):
  _, optimizer, checkpointer = make(tmp_path)
  for step in (1, 2, 3, 4, 4):
    optimizer.iterations.assign(step)
    path = checkpointer.save()
  assert path == str(tmp_path / "ckpt-4")
  names = {path.stem for path in tmp_path.glob("*.index")}
  assert names == {"ckpt-2", "ckpt-3", "ckpt-4"}


def test_weights_that_are_not_finite_are_not_saved(saved):
  directory, _ = saved
  model, optimizer, checkpointer = make(directory)
  checkpointer.restore()
  optimizer.iterations.assign(3)
  for variable in model.variables:
    variable.assign(tf.fill(variable.shape, float("nan")))
  with pytest.raises(errors.NonFiniteError) as caught:
    checkpointer.save()
  assert caught.value.step == 3
  assert caught.value.terms[-1] == "and 1 more"
  assert caught.value.checkpoint == str(directory / "ckpt-2")
  assert not list(directory.glob("ckpt-3*"))


def test_a_moment_that_is_not_finite_is_not_saved(tmp_path):
  _, optimizer, checkpointer = make(tmp_path)
  optimizer.variables[2].assign(tf.fill(optimizer.variables[2].shape, float("inf")))
  with pytest.raises(errors.NonFiniteError, match=r"v/toy.*kernel"):
    checkpointer.save()


@pytest.mark.parametrize("suffix", [".index", ".data-00000-of-00001"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_damage(saved, suffix, damage):
  directory, _ = saved
  path = directory / f"ckpt-2{suffix}"
  data = bytearray(path.read_bytes())
  if damage == "flip":
    data[len(data) // 3] ^= 16
  path.write_bytes(data[: {"flip": None, "cut": len(data) // 2, "empty": 0}[damage]])
  message = refused(directory)
  assert "ckpt-2 is damaged" in message
  assert "delete" in message and "ckpt-2.* to go back to the one before" in message
  if damage == "flip":  # The byte may be one of the optimizer's.
    return
  model, _, _ = make(directory / "elsewhere")
  with pytest.raises(
    errors.RunError, match=r"ckpt-2 is damaged .*: delete .*ckpt-2\.\*"
  ):
    checkpoints.restore_weights(model, directory)


def test_deleting_the_newest_goes_back_to_the_one_before(saved):
  directory, _ = saved
  for path in directory.glob("ckpt-2.*"):
    path.unlink()
  _, optimizer, checkpointer = make(directory)
  assert checkpointer.restore() == 1
  optimizer.iterations.assign(2)
  assert checkpointer.save() == str(directory / "ckpt-2")
  assert make(directory)[2].restore() == 2


def test_half_deleted(saved):
  directory, _ = saved
  (directory / "ckpt-2.data-00000-of-00001").unlink()
  assert "ckpt-2 is damaged" in refused(directory)


def test_damaged_list_is_not_taken_for_an_empty_one(saved):
  directory, _ = saved
  for text in ("", "model_checkpoint_pa", "\0\0\0"):
    (directory / "checkpoint").write_text(text)
    assert "list of checkpoints, is damaged" in refused(directory)


def test_weights_alone_are_restored_into_another_run(saved):
  directory, kernel = saved
  model, optimizer, _ = make(directory / "elsewhere")
  checkpoints.restore_weights(model, directory)
  np.testing.assert_array_equal(model.encoder.kernel, kernel)
  assert optimizer.step == 0
  other, _, _ = make(directory / "elsewhere", filters=4)
  with pytest.raises(errors.RunError, match="does not fit the model"):
    checkpoints.restore_weights(other, directory)


def test_another_model(saved):
  directory, _ = saved
  assert "not of this model or of another version" in refused(directory, filters=4)


def test_another_version(tmp_path):
  """A checkpoint without the optimizer."""
  model, _, _ = make(tmp_path)
  checkpoint = tf.train.Checkpoint(model=model)
  tf.train.CheckpointManager(checkpoint, str(tmp_path), 3).save(checkpoint_number=5)
  assert "not of this model or of another version" in refused(tmp_path)


def test_refused_by_the_disk(saved):
  directory, _ = saved
  _, optimizer, checkpointer = make(directory)
  checkpointer.restore()
  optimizer.iterations.assign(3)
  (directory / "ckpt-3_temp").write_text("a file where TensorFlow wants a folder")
  with pytest.raises(errors.RunError, match="Cannot write a checkpoint to"):
    checkpointer.save()
  assert make(directory)[2].restore() == 2


def test_a_folder_without_a_run_is_named(tmp_path):
  with pytest.raises(errors.RunError, match="holds no run"):
    checkpoints.load_trained(tmp_path)
