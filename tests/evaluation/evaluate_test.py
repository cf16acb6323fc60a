"""The whole of bin/evaluate on a small real codec and the real baselines."""

import base64
import csv
import html.parser
import io
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
from PIL import Image

from tfafs.evaluation import evaluate, files, rd_curves

PROGRAM = pathlib.Path(__file__).parents[2] / "bin" / "evaluate"


def run(*arguments, cwd):
  return subprocess.run(
    [sys.executable, str(PROGRAM), *map(str, arguments)],
    cwd=cwd,
    capture_output=True,
    text=True,
    timeout=300,
    check=False,
  )


def write_pngs(folder, frames):
  folder.mkdir(parents=True)
  for index, frame in enumerate(frames):
    Image.fromarray(frame).save(folder / f"{index}.png")
  return folder


@pytest.fixture(scope="module")
def finished(exports, frames, tmp_path_factory):
  """A finished run: four models and one baseline on two clips, and its output."""
  folder = tmp_path_factory.mktemp("evaluate")
  write_pngs(folder / "walk", frames)
  write_pngs(folder / "<b>&run", frames[:, :40])
  betas = list(exports)
  process = run(
    f"--saved_model={exports[betas[0]]},{exports[betas[1]]}",
    *[f"--saved_model={exports[beta]}" for beta in betas[2:]],
    *("--input=walk", "--input=<b>&run", "--frames=4", "--gop=2"),
    *("--codecs=x265", "--crf=15,22,29,36", "--output_dir=out"),
    cwd=folder,
  )
  assert process.returncode == 0, process.stderr
  return folder / "out", process


def test_files_written(finished):
  output, process = finished
  names = sorted(path.name for path in output.iterdir())
  assert names == [
    "evaluation.csv",
    "evaluation.json",
    "rd.png",
    "report.html",
    "streams",
  ]
  assert Image.open(output / "rd.png").size[0] > 500
  assert "report.html" in process.stdout


def test_json_holds_the_bytes_of_the_files_it_names(finished):
  output, _ = finished
  results = files.read_results(output / "evaluation.json")
  assert len(results) == 2 * (4 + 4)
  for result in results:
    size = (output / result.file).stat().st_size
    assert result.file_bytes == size
    assert result.bpp == 8 * size / (result.width * result.height * 4)
    assert len(result.frames) == 4
    assert result.mismatched_frames == (None if result.codec == "x265" else 0)
  content = json.loads((output / "evaluation.json").read_text())
  about = content["about"]
  assert about["command"].endswith("--output_dir=out")
  assert {"tfafs", "tensorflow", "av"} < set(about["versions"])
  assert about["settings"]["gop"] == 2
  assert [model["beta"] for model in about["models"]] == [0.001, 0.003, 0.01, 0.03]
  assert about["baselines"][0]["options"]["preset"] == "medium"
  assert {curve["clip"] for curve in content["curves"]} == {
    *["mean of 2 clips", "walk", "<b>&run"]
  }
  assert set(content["conversion_psnr"]) == {"walk", "<b>&run"}


def test_json_chains_into_curves_and_comparisons(finished):
  output, _ = finished
  results = files.read_results(output / "evaluation.json")
  content = json.loads((output / "evaluation.json").read_text())
  assert files.to_json(rd_curves.mean_curves(results)[0]) == files.to_json(
    rd_curves.Curve(**content["curves"][0])
  )
  mean = [c for c in content["comparisons"] if c["clip"] == "mean of 2 clips"]
  assert [(c["codec"], c["anchor"]) for c in mean] == [("toy_jpeg", "x265")]
  assert len(mean[0]["points"]) == 4


def test_csv_has_a_row_for_each_result(finished):
  output, _ = finished
  with open(output / "evaluation.csv", newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
  results = files.read_results(output / "evaluation.json")
  assert [float(row["bpp"]) for row in rows] == [result.bpp for result in results]
  for row, result in zip(rows, results):
    assert row["clip"] == result.clip
    if result.part_bytes:
      assert int(row["residual_bytes"]) == result.part_bytes["residual"]
    else:
      assert row["residual_bytes"] == ""


def test_tables_on_stdout_and_progress_on_stderr(finished):
  _, process = finished
  assert re.search(r"mean of 2 clips +toy_jpeg +beta=0.001 +\d+\.\d{4}", process.stdout)
  assert re.search(r"toy_jpeg +beta=0.03 +x265 \(YUV 4:2:0\) ", process.stdout)
  assert "no MS-SSIM of walk: MS-SSIM needs at least 161" in process.stdout
  assert "[16/16]" in process.stderr
  assert "ETA 0:" in process.stderr


class Page(html.parser.HTMLParser):
  """Checks that tags are balanced; collects links, images and text."""

  void = ("meta", "img", "br")

  def __init__(self, text):
    super().__init__()
    self.open, self.images, self.links, self.text = [], [], [], []
    self.feed(text)
    self.close()

  def handle_starttag(self, tag, attrs):
    attributes = dict(attrs)
    if tag not in self.void:
      self.open.append(tag)
    if tag == "img":
      self.images.append(attributes["src"])
    self.links += [
      attributes[name] for name in ("href", "action") if name in attributes
    ]
    assert tag not in ("script", "link", "iframe")

  def handle_endtag(self, tag):
    assert self.open.pop() == tag

  def handle_data(self, data):
    self.text.append(data)


def test_the_page_is_sound_and_needs_nothing_else(finished):
  output, _ = finished
  source = (output / "report.html").read_text(encoding="utf-8")
  page = Page(source)
  assert not page.open
  assert not page.links
  assert "url(" not in source
  for src in page.images:
    prefix, data = src.split(",", 1)
    assert prefix == "data:image/png;base64"
    Image.open(io.BytesIO(base64.b64decode(data))).verify()
  # Plot of the mean; for both clips a plot, the frames' plot, and frame and detail of
  # the original, the model and the baseline.
  assert len(page.images) == 1 + 2 * (2 + 2 * 3)


def test_the_page_shows_names_and_figures_as_they_are(finished):
  output, _ = finished
  text = " ".join(Page((output / "report.html").read_text(encoding="utf-8")).text)
  assert "<b>&run" in text
  for result in files.read_results(output / "evaluation.json"):
    assert f"{result.bpp:.4f}" in text
    assert f"{result.psnr:.2f}" in text


def test_baselines_alone(frames, tmp_path):
  write_pngs(tmp_path / "walk", frames)
  lines = []
  evaluation = evaluate.evaluate(
    [],
    [str(tmp_path / "walk")],
    str(tmp_path / "out"),
    frames=2,
    codecs=["x264", "x265"],
    crf=[20, 30],
    log=lines.append,
  )
  assert [curve.codec for curve in evaluation.curves] == ["x264", "x265"]
  assert len(lines) == 4
  assert (tmp_path / "out" / "report.html").exists()


def test_a_model_alone(exports, frames, tmp_path):
  write_pngs(tmp_path / "walk", frames)
  folders = [exports[0.01], os.path.join(exports[0.01], "")]
  evaluation = evaluate.evaluate(
    folders,
    [str(tmp_path / "walk")],
    str(tmp_path / "out"),
    codecs=[],
    log=lambda line: None,
  )
  settings = [result.setting for result in evaluation.results]
  assert len(set(settings)) == 2  # the same beta twice: told apart by folder
  assert not evaluation.comparisons
  assert not evaluation.conversion_psnr


def test_a_codec_of_variable_rate_is_a_curve(variable_export, frames, tmp_path):
  write_pngs(tmp_path / "walk", frames)

  def settings(output, **options):
    evaluation = evaluate.evaluate(
      [variable_export],
      [str(tmp_path / "walk")],
      str(tmp_path / output),
      frames=2,
      codecs=[],
      log=lambda line: None,
      **options,
    )
    (curve,) = evaluation.curves
    rates = [point.bpp for point in curve.points]
    assert rates == sorted(set(rates))
    assert [r.mismatched_frames for r in evaluation.results] == [0] * len(rates)
    return [point.setting for point in curve.points]

  assert settings("all") == [f"quality={n}" for n in range(7)]
  assert settings("two", qualities=[0.5, 5.0]) == ["quality=0.5", "quality=5"]
  with pytest.raises(ValueError, match=r"quality is 7; the codec in .* takes 0 to 6"):
    settings("none", qualities=[7.0])


def test_a_bad_argument_ends_in_one_line(frames, tmp_path):
  write_pngs(tmp_path / "walk", frames[:1])
  process = run("--input=walk", "--codecs=x266", "--output_dir=out", cwd=tmp_path)
  assert process.returncode == 2
  assert process.stderr == (
    "evaluate: error: codecs: 'x266' is unknown; choose from x264, x265, x264_rgb, "
    "x265_rgb\n"
  )
  assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
  ("changed", "message"),
  [
    ({"inputs": ["missing.mp4"]}, "missing.mp4: no such file or folder"),
    ({"inputs": []}, "input: nothing to evaluate"),
    ({"saved_models": ["walk"]}, "'walk' holds no SavedModel"),
    ({"codecs": []}, "saved_model: name a model, or at least one of --codecs"),
    ({"crf": ["low"]}, "--crf=low: give whole numbers"),
    ({"crf": []}, "crf: name at least one"),
    ({"crf": ["60"]}, "crf: must lie between 0 and 51, got 60"),
    ({"gop": -1}, "gop: must be 0"),
    ({"quality": ["high"]}, "--quality=high: give numbers"),
    ({"quality": ["3"]}, "quality: none of the models has a choice"),
    ({"frames": 0}, "max_frames: must be at least 1"),
    ({"raw_size": "big"}, "--raw_size must look like 832x480"),
  ],
)
def test_bad_arguments(changed, message, frames, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  write_pngs(tmp_path / "walk", frames[:1])
  arguments = {
    "saved_models": [],
    "inputs": ["walk"],
    "output_dir": "out",
    "frames": None,
    "gop": 12,
    "codecs": ["x264"],
    "crf": ["30"],
    "raw_size": None,
    "with_ms_ssim": False,
  }
  with pytest.raises(ValueError, match=re.escape(message)) as error:
    evaluate.run(**{**arguments, **changed})
  assert "\n" not in str(error.value)
  assert not (tmp_path / "out").exists()


def test_a_frame_too_small_for_a_model_is_found_before_the_work(
  exports, frames, tmp_path
):
  write_pngs(tmp_path / "flat", frames[:, :8])
  with pytest.raises(
    ValueError, match="flat is 64x8; toy_jpeg takes frames from 16x16"
  ):
    evaluate.evaluate([exports[0.01]], [str(tmp_path / "flat")], str(tmp_path / "out"))
  assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"format_version": 0}'])
def test_a_file_that_is_no_evaluation(content, tmp_path):
  (tmp_path / "a.json").write_text(content)
  with pytest.raises(ValueError, match=r"give an evaluation\.json"):
    files.read_results(tmp_path / "a.json")
