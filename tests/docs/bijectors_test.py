"""The Python of docs/bijectors.md runs as it stands, block after block."""

import pathlib
import re

import numpy as np

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "bijectors.md"


def test_the_page_runs(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  names = {}
  for block in re.findall(
    r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S
  ):
    exec(compile(block, PAGE.name, "exec"), names)
  losses = names["history"].history["loss"]
  # A Gaussian of the same covariance costs 5.1 nats.
  assert losses[-1] < losses[0] - 1 and losses[-1] < 4.5
  passes = int(re.search(r"(\d+) passes for 64", capsys.readouterr().out)[1])
  assert 2 <= passes < 16
  assert names["log_prob"].shape == [2]
  np.testing.assert_allclose(names["median"], 0.0, atol=1.0)
  data = names["data"][:8]
  np.testing.assert_allclose(
    names["loaded"].log_prob(data), names["density"].log_prob(data), 1e-4
  )
  assert names["checked"] == ["round_trip", "log_det", "cache"]
