"""The Python of docs/first_codec.md runs as it stands, block after block."""

import pathlib
import re

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "first_codec.md"


def test_the_page_runs(tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
  names = {}
  for block in blocks:
    exec(compile(block, PAGE.name, "exec"), names)
  assert names["result"].steps == 5
  assert re.search(r"ours: \d+\.\d+ bits per pixel, \d", capsys.readouterr().out)
