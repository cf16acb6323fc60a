"""bin/compress and bin/decompress, as a user runs them."""

import importlib.util
import json
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import threading
import time
import types

import numpy as np
import pytest
from absl import flags

from tfafs.coding import StreamReader, StreamWriter, open_video, open_writer

ROOT = pathlib.Path(__file__).parents[2]


def _load(name):
  path = ROOT / "tests" / "coding" / f"{name}.py"
  spec = importlib.util.spec_from_file_location(name, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


png_codec, variable_codec = _load("png_codec"), _load("variable_codec")


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
  return png_codec.export(tmp_path_factory.mktemp("png") / "saved_model")


@pytest.fixture
def frames():
  texture = np.random.default_rng(0).integers(0, 256, [19, 30, 3], np.uint8)
  return [np.roll(texture, t, axis=1) for t in range(6)]


@pytest.fixture
def video(frames, tmp_path):
  path = tmp_path / "video.mkv"
  with open_writer(path, 30, 19, 24) as writer:
    for frame in frames:
      writer.write(frame)
  return path


@pytest.fixture
def command(monkeypatch, capfd):
  """Runs a command in this process; returns (exit code, stdout, stderr)."""

  def run(name, *arguments):
    for flag in (
      "saved_model",
      "gop",
      "frames",
      "raw_size",
      "color_matrix",
      "json",
      "frame_checksums",
      "index",
      "resilient",
      "strict",
      "follow",
      "follow_timeout",
      "start",
      "end",
      "quality",
      "target_bpp",
      "target_psnr",
      "target_frames",
    ):
      if flag in flags.FLAGS:
        delattr(flags.FLAGS, flag)
    flags.FLAGS.unparse_flags()
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    capfd.readouterr()
    try:
      with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "bin" / name), run_name="__main__")
    finally:
      signal.signal(signal.SIGTERM, handler)
    return (ended.value.code or 0, *capfd.readouterr())

  return run


def _process(name, *arguments, **kwargs):
  return subprocess.Popen(
    [sys.executable, str(ROOT / "bin" / name), *map(str, arguments)],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    **kwargs,
  )


def test_round_trip_in_fresh_processes(video, frames, saved_model, tmp_path):
  """Through pipes: compress IN - | decompress - OUT."""
  model = f"--saved_model={saved_model}"
  compress = _process("compress", video, "-", model, "--gop=4")
  decompress = _process(
    "decompress", "-", tmp_path / "out.mkv", model, stdin=compress.stdout
  )
  compress.stdout.close()
  out, err = decompress.communicate(timeout=120)
  assert decompress.returncode == 0, err
  assert out.startswith(str(tmp_path / "out.mkv: 6 frames 30x19, ").encode())
  assert b"-: 6 frames 30x19" in compress.stderr.read()
  assert compress.wait(10) == 0
  with open_video(tmp_path / "out.mkv") as reader:
    assert reader.frame_rate == 24
    np.testing.assert_array_equal(list(reader), frames)


def test_files_and_summary(command, video, frames, saved_model, tmp_path):
  stream, out = tmp_path / "stream", tmp_path / "out"
  model = f"--saved_model={saved_model}"
  stream.write_bytes(b"an older file, which is replaced")
  code, stdout, stderr = command("compress", video, stream, model, "--frames=4")
  size = stream.stat().st_size
  assert (code, stderr) == (0, "")
  assert stdout.startswith(
    f"{stream}: 4 frames 30x19, {size} bytes, "
    f"{8 * size / (4 * 30 * 19):.4f} bits per pixel, PSNR inf dB, "
  )
  assert stdout.endswith(" frames/s\n") and stdout.count("\n") == 1
  code, stdout, stderr = command("decompress", stream, out, model)
  assert (code, stderr) == (0, "")
  with open_video(out) as reader:
    np.testing.assert_array_equal(list(reader), frames[:4])
  assert sorted(os.listdir(tmp_path)) == ["out", "stream", "video.mkv"]


def test_raw_video_needs_a_size(command, saved_model, tmp_path):
  raw, stream = tmp_path / "in.yuv", tmp_path / "stream"
  raw.write_bytes(np.random.default_rng(0).bytes(2 * 32 * 16 * 3 // 2))
  model = f"--saved_model={saved_model}"
  code, _, stderr = command("compress", raw, stream, model)
  assert code == 2 and "size" in stderr
  code, _, stderr = command("compress", raw, stream, model, "--raw_size=32")
  assert code == 2 and "--raw_size must look like 832x480" in stderr
  for size, matrix in (("32x16", ""), ("16x32", "bt709")):
    code, stdout, stderr = command(
      "compress", raw, stream, model, f"--raw_size={size}", f"--color_matrix={matrix}"
    )
    assert (code, stderr) == (0, "")
    assert f"2 frames {size}" in stdout


def _fails(result, *words):
  code, stdout, stderr = result
  assert code == 2 and stdout == ""
  assert stderr.count("\n") == 1, stderr
  for word in words:
    assert word in stderr


def test_errors_are_one_line_and_leave_nothing(command, video, saved_model, tmp_path):
  model = f"--saved_model={saved_model}"
  stream, text = tmp_path / "stream", tmp_path / "text.mp4"
  text.write_text("This is no video.")
  for arguments, words in (
    ((text, stream, model), [str(text)]),
    ((tmp_path / "none.mp4", stream, model), ["none.mp4"]),
    ((video, stream), ["--saved_model=DIR is missing"]),
    ((video, stream, "--saved_model=/nothing"), ["/nothing", "no SavedModel"]),
    ((video, tmp_path, model), [str(tmp_path), "is a folder"]),
    ((video, tmp_path / "no" / "stream", model), ["does not exist"]),
    ((video, video, model), ["IN and OUT are the same file"]),
    ((video, model), ["two arguments"]),
    ((video, stream, model, "--quality=3"), ["quality", "has one rate"]),
    ((video, stream, model, "--target_bpp=0.1"), ["--target_bpp", "has one rate"]),
    ((video, stream, model, "--target_psnr=0"), ["--target_psnr=0", "positive"]),
    ((video, stream, model, "--target_frames=3"), ["--target_frames is for a"]),
    ((video, stream, model, "--quality=1", "--target_psnr=9"), ["give one of"]),
    (("-", stream, model, "--target_psnr=30"), ["--target_psnr reads IN again"]),
    ((video, stream, model, "--gop=-1"), ["gop"]),
    ((video, stream, model, "--frames=0"), ["frames"]),
    ((video, stream, model, "--color_matrix=bt2021"), ["bt2021", "bt709"]),
  ):
    _fails(command("compress", *arguments), "compress: error: ", *words)
  assert sorted(os.listdir(tmp_path)) == ["text.mp4", "video.mkv"]


def test_bad_streams_leave_nothing(command, video, saved_model, tmp_path):
  model = f"--saved_model={saved_model}"
  stream, out = tmp_path / "stream", tmp_path / "out.mkv"
  assert command("compress", video, stream, model)[0] == 0
  data = stream.read_bytes()
  other = png_codec.export(tmp_path / "other", seed="other")
  _fails(
    command("decompress", stream, out, f"--saved_model={other}"),
    *("decompress: error: ", "made by png", str(other)),
  )
  for damaged, words in (
    (data[:-83], ["truncated behind 5 whole frames"]),
    (data[:500] + bytes([data[500] ^ 8]) + data[501:], ["frame 0", "damaged"]),
    (data + b"\0", ["something follows"]),
    (b"", ["empty"]),
    (video.read_bytes(), ["not a tfafs stream"]),
  ):
    stream.write_bytes(damaged)
    _fails(command("decompress", stream, out, model), *words)
  _fails(command("decompress", tmp_path / "none", out, model), "none", "No such file")
  _fails(command("decompress", stream, tmp_path / "a.gif", model))
  assert sorted(os.listdir(tmp_path)) == ["other", "stream", "video.mkv"]


def test_full_disk(command, video, saved_model):
  if not os.path.exists("/dev/full"):
    pytest.skip("this system has no /dev/full")
  result = command("compress", video, "/dev/full", f"--saved_model={saved_model}")
  _fails(result, "/dev/full", "No space left on device")


@pytest.mark.parametrize(
  ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_signals_remove_the_output(
  command, saved_model, monkeypatch, tmp_path, number, code
):
  """Frames come through a pipe that stays open; then Ctrl-C, or SIGTERM."""
  # A shell starts what it puts in the background with SIGINT ignored.
  previous = signal.signal(signal.SIGINT, signal.default_int_handler)
  reading, writing = os.pipe()
  os.write(writing, bytes(32 * 16 * 3 // 2 * 3))
  seen = []

  def interrupt():
    deadline = time.monotonic() + 60
    while not os.listdir(tmp_path) and time.monotonic() < deadline:
      time.sleep(0.02)
    seen.extend(os.listdir(tmp_path))
    os.kill(os.getpid(), number)

  with open(reading, "rb") as pipe, open(writing, "wb"):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=pipe))
    thread = threading.Thread(target=interrupt)
    thread.start()
    ended, stdout, stderr = command(
      *("compress", "-", tmp_path / "stream", f"--saved_model={saved_model}"),
      "--raw_size=32x16",
    )
    thread.join()
  signal.signal(signal.SIGINT, previous)
  assert ended == code and stdout == "" and "Traceback" not in stderr
  assert len(seen) == 1 and seen[0].endswith(".part")
  assert not os.listdir(tmp_path)


def test_inspect(command, video, saved_model, tmp_path):
  stream = tmp_path / "clip.tfafs"
  assert command("compress", video, stream, f"--saved_model={saved_model}")[0] == 0
  code, out, _ = command("inspect", stream)
  assert code == 0 and "6 promised" in out and "sound to its end" in out
  code, out, _ = command("inspect", stream, "--json")
  assert code == 0 and len(json.loads(out)["frames"]) == 6
  stream.write_bytes(stream.read_bytes()[:-3])
  code, out, _ = command("inspect", stream)
  assert code == 1 and "truncated behind 6 whole frames" in out
  code, _, error = command("inspect", video)
  assert code == 2 and "not a tfafs stream" in error
  code, _, error = command("inspect")
  assert code == 2 and "give one argument" in error


def test_quality_and_targets(command, video, tmp_path):
  """The rate and PSNR that are met are those of the file written and of its frames."""
  model = f"--saved_model={variable_codec.export(tmp_path / 'variable')}"
  stream, pixels = tmp_path / "clip.tfafs", 6 * 30 * 19
  bpp, psnr = {}, {}
  for quality in (0, 2.5, 6):
    code, said, errors = command(
      "compress", video, stream, model, f"--quality={quality}"
    )
    assert (code, errors) == (0, "")
    assert f"quality {quality}\n" in command("inspect", stream)[1]
    bpp[quality] = 8 * stream.stat().st_size / pixels
    psnr[quality] = float(said.split("PSNR ")[1].split(" dB")[0])
  assert bpp[0] < bpp[2.5] < bpp[6] and psnr[0] < psnr[2.5] < psnr[6]

  wanted = bpp[2.5] * 1.005
  code, _, said = command("compress", video, stream, model, f"--target_bpp={wanted}")
  assert code == 0
  assert 0.9 * wanted < 8 * stream.stat().st_size / pixels <= wanted
  *tries, found = said.splitlines()
  assert len(tries) <= 7 and all(line.startswith("quality ") for line in tries)
  assert found.partition("bits per pixel: ")[2] in tries

  options = (f"--target_psnr={psnr[2.5]}", "--target_frames=2", "--gop=2")
  code, said, _ = command("compress", video, stream, model, *options)
  assert code == 0 and " 6 frames" in said
  found = float(said.split("PSNR ")[1].split(" dB")[0])
  assert psnr[2.5] - 0.3 < found < psnr[2.5] + 1.0

  stream.unlink()
  _, *said = command("compress", video, stream, model, f"--target_bpp={bpp[0] / 2}")
  assert "is out of reach: the nearest to " in said[1] and "quality 0: " in said[1]
  assert not stream.exists()
  _fails(command("compress", video, stream, model, "--quality=7"), "takes 0 to 6")


def test_seek(command, video, frames, saved_model, tmp_path):
  stream, part = tmp_path / "clip.tfafs", tmp_path / "part.mkv"
  codec = f"--saved_model={saved_model}"
  assert command("compress", video, stream, codec, "--gop=2")[0] == 0
  assert command("decompress", stream, part, codec, "--start=3", "--end=5")[0] == 0
  with open_video(part) as reader:
    np.testing.assert_array_equal(list(reader), frames[3:5])
  code, _, error = command("decompress", stream, part, codec, "--start=6")
  assert code == 2 and "there is no frame 6: the stream has 6" in error
  code, _, error = command("decompress", stream, part, codec, "--start=2", "--end=2")
  assert code == 2 and "give 0 <= start < end" in error


def test_index_is_written_to_plain_files(command, video, saved_model, tmp_path):
  """Auto, on and off; and a jump through it."""
  stream, model = tmp_path / "clip.tfafs", f"--saved_model={saved_model}"
  for flag, entries in (("--gop=2", 3), ("--noindex", None), ("--index", 1)):
    assert command("compress", video, stream, model, flag)[0] == 0
    report = json.loads(command("inspect", stream, "--json")[1])
    found = report["index"] and len(report["index"]["entries"])
    assert found == entries and report["sound"]
  os.mkfifo(tmp_path / "fifo")
  piped = []
  thread = threading.Thread(
    target=lambda: piped.append((tmp_path / "fifo").read_bytes())
  )
  thread.start()
  assert command("compress", video, tmp_path / "fifo", model)[0] == 0
  thread.join(10)
  stream.write_bytes(piped[0])
  assert json.loads(command("inspect", stream, "--json")[1])["index"] is None


def test_frame_checksums_and_strict(command, video, saved_model, tmp_path):
  stream, out, model = (
    tmp_path / "s",
    tmp_path / "o.mkv",
    f"--saved_model={saved_model}",
  )
  assert command("compress", video, stream, model)[0] == 0
  code, said, _ = command("decompress", stream, out, model)
  assert code == 0 and "exact" not in said
  _fails(
    command("decompress", stream, out, model, "--strict"), "no checksums of frames"
  )
  assert command("compress", video, stream, model, "--frame_checksums")[0] == 0
  code, said, _ = command("decompress", stream, out, model, "--strict")
  assert code == 0 and said.endswith(" frames/s, bit-exact, 6 checksums\n")
  # Another checksum in the stream is what another decoder is to its own.
  data = stream.read_bytes()
  with open(stream, "rb") as file:
    reader = StreamReader(file)
    frames = [*reader]
  with open(stream, "wb") as file:
    writer = StreamWriter(file, reader.header._replace(frame_count=None))
    for frame in frames:
      checksum = bytearray(frame.checksum)
      checksum[0] ^= 1
      checksum[10] ^= 4
      sent = checksum if frame.index == 4 else frame.checksum
      writer.write(frame.kind, frame.strings, bytes(sent))
    writer.close()
  assert len(stream.read_bytes()) < len(data)  # it has no index
  code, said, _ = command("decompress", stream, out, model)
  assert code == 0 and "1 of 6 frames drifted: frame 4 drifted by at most 4 lev" in said
  out.unlink()
  _fails(command("decompress", stream, out, model, "--strict"), "frame 4 drifted")
  assert not out.exists()


def test_resilient(command, video, frames, saved_model, tmp_path):
  stream, out, model = (
    tmp_path / "s",
    tmp_path / "o.mkv",
    f"--saved_model={saved_model}",
  )
  assert command("compress", video, stream, model, "--gop=2")[0] == 0
  code, _, said = command("decompress", stream, out, model, "--resilient")
  assert (code, said) == (0, "")
  groups = json.loads(command("inspect", stream, "--json")[1])["groups"]
  data = bytearray(stream.read_bytes())
  data[-sum(g["bytes"] for g in groups[1:]) - 106 + 20] ^= 1  # index and end: 73 and 33
  stream.write_bytes(data)
  _fails(command("decompress", stream, tmp_path / "none.mkv", model), "frame 2: ")
  code, said, errors = command("decompress", stream, out, model, "--resilient")
  assert code == 1 and "6 frames 30x19" in said
  assert errors.splitlines() == [
    f"{stream}: frame 2: the stream is damaged: the checksum of a record is wrong",
    f"{stream}: 2 frames are known to be lost: 2-3",
  ]
  with open_video(out) as reader:
    shown = [frames[i] for i in (0, 1, 1, 1, 4, 5)]
    np.testing.assert_array_equal(list(reader), shown)


def test_follow_a_file_while_it_is_written(video, frames, saved_model, tmp_path):
  """compress IN - > FILE beside decompress FILE - --follow, in processes of their own."""
  model, stream = f"--saved_model={saved_model}", tmp_path / "live"
  with open(stream, "wb") as file:
    decompress = _process("decompress", stream, "-", model, "--follow")
    compress = subprocess.Popen(
      [sys.executable, ROOT / "bin" / "compress", video, "-", model],
      stdout=file,
      stderr=subprocess.PIPE,
    )
    out, errors = decompress.communicate(timeout=120)
  assert decompress.returncode == 0, errors
  assert compress.wait(60) == 0
  compress.stderr.close()
  assert out.count(b"FRAME\n") == len(frames)


def test_inspect_does_not_load_tensorflow(command, video, saved_model, tmp_path):
  stream = tmp_path / "clip.tfafs"
  assert command("compress", video, stream, f"--saved_model={saved_model}")[0] == 0
  program = (
    "import runpy, sys; sys.modules['tensorflow'] = sys.modules['av'] = None;"
    f"sys.argv = ['inspect', {str(stream)!r}];"
    f"runpy.run_path({str(ROOT / 'bin' / 'inspect')!r}, run_name='__main__')"
  )
  said = subprocess.run(
    [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
  )
  assert said.returncode == 0 and "on every machine" in said.stdout
