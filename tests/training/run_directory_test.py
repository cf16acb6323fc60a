import json

import pytest
import toy

from tfafs.models import registry
from tfafs.training import errors, run_directory


@pytest.fixture
def paths(tmp_path):
  paths = run_directory.run_paths(tmp_path / "run")
  paths.checkpoints.mkdir(parents=True)
  return paths


def bind(paths):
  """What a first checkpoint does."""
  (paths.checkpoints / "checkpoint").write_text("")


def test_stored_config_comes_back(paths):
  config = toy.get_config()
  config.model.widths = (8, 16)
  run_directory.store_config(paths, config)
  stored = run_directory.load_config(paths)
  assert list(stored.model.widths) == [8, 16]
  assert stored.training.to_dict() == config.training.to_dict()
  assert [path.name for path in paths.model_dir.glob("*.part")] == []
  bind(paths)
  run_directory.check_config(paths, config)  # a tuple is the list that JSON makes of it


def test_length_reports_and_place_of_data_may_change(paths):
  run_directory.store_config(paths, toy.get_config())
  bind(paths)
  config = toy.get_config(steps=99, log_every=1, checkpoint_every=2, image_every=5)
  config.data.path = "elsewhere"
  run_directory.check_config(paths, config)


def test_other_fields_bind_once_there_is_a_checkpoint(paths):
  run_directory.store_config(paths, toy.get_config())
  config = toy.get_config(seed=9)
  config.model.filters = 16
  run_directory.check_config(paths, config)
  bind(paths)
  with pytest.raises(errors.RunError) as caught:
    run_directory.check_config(paths, config)
  message = str(caught.value)
  assert "model.filters (was 8, now 16), training.seed (was 3, now 9)." in message
  assert "\n" not in message


def test_fields_of_another_version_are_named(paths):
  run_directory.store_config(paths, toy.get_config())
  bind(paths)
  config = toy.get_config()
  config.model.depth = 3
  with pytest.raises(errors.RunError, match=r"model.depth \(was 'not set', now 3\)"):
    run_directory.check_config(paths, config)


def test_a_run_from_before_a_field_goes_on(paths):
  config = registry.load_config("stat_ssf_sp", "tiny")
  before = config.to_dict()
  for name in ("variable_rate", "betas"):
    del before["model"][name]
  for name in ("distortion", "level_balance"):
    del before["training"][name]
  paths.config.write_text(json.dumps(before))
  bind(paths)
  run_directory.check_config(paths, config)
  config.training.distortion = "ms_ssim"
  with pytest.raises(
    errors.RunError, match=r"distortion .was 'not set', now 'ms_ssim'"
  ):
    run_directory.check_config(paths, config)
  config.training.distortion, config.model.variable_rate = "mse", True
  with pytest.raises(errors.RunError, match=r"variable_rate .was 'not set', now True"):
    run_directory.check_config(paths, config)


def test_runs_from_before_a_choice_of_volumes_go_on(paths):
  run_directory.store_config(paths, toy.get_config())
  bind(paths)
  config = toy.get_config()
  config.model.scale_space = {"volume": "pyramid"}
  run_directory.check_config(paths, config)
  config.model.scale_space.volume = "blur"
  with pytest.raises(errors.RunError, match=r"scale_space\.volume"):
    run_directory.check_config(paths, config)


@pytest.mark.parametrize("text", ["{", "[1, 2]", '"text"'])
def test_damaged_config(paths, text):
  paths.config.write_text(text)
  with pytest.raises(errors.RunError, match=r"config.json is damaged"):
    run_directory.load_config(paths)


def test_no_config(paths):
  assert run_directory.load_config(paths) is None


def test_failed_write_leaves_the_old_file(paths):
  run_directory.write_text(paths.summary, "old")
  with pytest.raises(UnicodeEncodeError):
    run_directory.write_text(paths.summary, "new \ud800")
  assert paths.summary.read_text() == "old"
  names = {path.name for path in paths.model_dir.iterdir()}
  assert names == {"checkpoints", "summary.json"}


def test_flatten():
  nested = json.loads('{"a": {"b": 1, "c": {"d": 2}}, "e": 3}')
  assert run_directory.flatten(nested) == {"a.b": 1, "a.c.d": 2, "e": 3}
