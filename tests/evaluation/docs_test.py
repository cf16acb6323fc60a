"""The Python of docs/evaluation.md runs as it stands."""

import pathlib
import re
import shutil

from tfafs.coding import video_writer

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "evaluation.md"


def test_the_example_runs(exports, frames, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  shutil.copytree(exports[0.01], "runs/stat_ssf_sp/saved_model")
  with video_writer.open_writer("clip.mkv", 64, 48, 30) as writer:
    for frame in frames:
      writer.write(frame)
  (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
  exec(compile(code, PAGE.name, "exec"), {})
  assert re.search(r"\d bpp, \d+\.\d\d dB; x265 \d\.\d{3} bpp", capsys.readouterr().out)
