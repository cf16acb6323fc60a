import ml_collections
import pytest
from absl import flags as absl_flags

from tfafs.models import registry
from tfafs.training import flags


def parse(*arguments):
  return flags.parse(["bin/train", *arguments], absl_flags.FlagValues())


def refuse(capsys, *arguments):
  """The one line on stderr; the exit code must be 2."""
  with pytest.raises(SystemExit) as caught:
    parse(*arguments)
  assert caught.value.code == 2
  output = capsys.readouterr()
  assert output.out == ""
  (line,) = output.err.splitlines()
  return line


def test_defaults():
  command = parse("--model=stat_ssf_sp")
  assert command.model_dir == "runs/stat_ssf_sp"
  assert command.strategy == "default"
  expected = registry.load_config("stat_ssf_sp")
  assert command.config.to_json() == expected.to_json()


def test_overrides():
  command = parse(
    "--model=ssf",
    "--config_size=tiny",
    "--config.training.steps=7",
    "--config.training.learning_rate",
    "1",
    "--config.data.path=a=b",
    "--noconfig.data.temporal_reversal",
    "--config.model.filters=(1, 2, 3, 4)",
    "--config.model.hyper.channels=5",
    "--model_dir=here",
    "--jit_compile",
    "--strategy=mirrored",
  )
  config = command.config
  assert isinstance(config, ml_collections.ConfigDict)
  assert config.training.steps == 7
  assert config.training.learning_rate == 1.0
  assert config.data.path == "a=b"
  assert config.data.temporal_reversal is False
  assert tuple(config.model.filters) == (1, 2, 3, 4)
  assert config.model.hyper.channels == 5
  assert config.training.jit_compile is True
  assert (command.model_dir, command.strategy) == ("here", "mirrored")
  tiny = registry.load_config("ssf", "tiny")
  assert config.data.crop_size == tiny.data.crop_size


def test_dataset_is_short_for_the_field():
  assert parse("--model=bnaf", "--dataset=u3").config.data.dataset == "u3"
  assert parse("--model=bnaf").config.data.dataset == "8gaussians"


def test_jit_compile_of_the_config_stays_unless_the_flag_is_given():
  field = "--config.training.jit_compile=true"
  assert parse("--model=ssf", field).config.training.jit_compile is True
  assert parse("--model=ssf", field, "--nojit_compile").config.training.jit_compile is (
    False
  )


def test_unknown_model_lists_all(capsys):
  for arguments in ((), ("--model=sfs",)):
    line = refuse(capsys, *arguments)
    assert all(name in line for name in registry.MODELS)


def test_unknown_field_lists_those_of_its_level(capsys):
  line = refuse(capsys, "--model=ssf", "--config.training.step=3")
  assert "config.training has no 'step'" in line
  assert "learning_rate" in line and "steps" in line and "filters" not in line
  line = refuse(capsys, "--model=ssf", "--config.trainer.steps=3")
  assert "config has no 'trainer'. It has: data, model, training." in line
  line = refuse(capsys, "--model=ssf", "--config.model.hyper.width=3")
  assert "config.model.hyper has no 'width'" in line and "channels" in line
  line = refuse(capsys, "--model=ssf", "--noconfig.data.reversal")
  assert "config.data has no 'reversal'" in line


@pytest.mark.parametrize(
  "argument, words",
  [
    ("--config.training.steps=many", "config.training.steps is int, such as"),
    ("--config.training.steps=1.5", "config.training.steps is int, such as"),
    ("--config.model.beta=low", "config.model.beta is float, such as"),
    ("--config.data.temporal_reversal=perhaps", "is bool, such as True"),
    ("--config.training=3", "config.training is a section. Its fields:"),
    ("--config.model.beta.x=3", "config.model.beta is a field"),
    ("--config.model.name=ssf_sp", "--model names the model"),
    ("--config_size=huge", "<default|paper|tiny>"),
    ("--steps=3", "Unknown command line flag 'steps'"),
    ("steps=3", "Unexpected argument 'steps=3'"),
  ],
)
def test_one_line_for_each_mistake(capsys, argument, words):
  assert words in refuse(capsys, "--model=ssf", argument)


def test_help_lists_models_flags_and_fields(capsys):
  for spelling in ("--help", "-h"):
    with pytest.raises(SystemExit) as caught:
      parse(spelling)
    assert caught.value.code == 0
    output = capsys.readouterr().out
    for name, spec in registry.MODELS.items():
      assert name in output and spec.description in output
    for name in (
      "--model_dir",
      "--jit_compile",
      "--strategy",
      "learning_rate",
      "kl_steps",
    ):
      assert name in output
