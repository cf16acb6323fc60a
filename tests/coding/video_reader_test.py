"""Reading videos: the frames must be those that went in, whatever the container."""

import fractions
import io
import os
import pathlib
import threading
import wave

import av
import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfafs.coding import color, video_reader
from tfafs.coding.video_reader import open_video

DATA = pathlib.Path(__file__).parents[3] / "shared" / "data" / "video"
HEIGHT, WIDTH = 48, 64


@pytest.fixture
def random():
  return np.random.default_rng(3)


def random_frames(random, count, height=HEIGHT, width=WIDTH):
  """Frames of Y'CbCr 4:2:0 that differ: [(y, u, v)]."""
  chroma = -(-height // 2), -(-width // 2)
  return [
    [
      random.integers(0, 256, s).astype(np.uint8)
      for s in ((height, width), chroma, chroma)
    ]
    for _ in range(count)
  ]


def as_rgb(frames, matrix="bt601", range_="limited"):
  return [color.yuv_to_rgb(planes, matrix, range_) for planes in frames]


def encode(path, frames, codec, options=None, tags=(2, 0), rate=25, prepare=None):
  """Writes 4:2:0 planes with a lossless codec; tags: colour matrix and range."""
  with av.open(str(path), "w") as container:
    stream = container.add_stream(codec, rate=rate)
    stream.height, stream.width = frames[0][0].shape
    stream.pix_fmt = "yuv420p"
    stream.options = options or {}
    stream.codec_context.colorspace, stream.codec_context.color_range = tags
    if prepare:
      prepare(stream)
    for planes in frames:
      picture = av.VideoFrame(stream.width, stream.height, "yuv420p")
      for plane, data in zip(picture.planes, planes):
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        rows[: data.shape[0], : data.shape[1]] = data
      picture.colorspace, picture.color_range = tags
      container.mux(stream.encode(picture))
    container.mux(stream.encode(None))


def assert_frames(reader, expected):
  frames = list(reader)
  assert len(frames) == len(expected)
  for frame, rgb in zip(frames, expected):
    assert frame.dtype == np.uint8
    assert frame.shape == (reader.height, reader.width, 3)
    np.testing.assert_array_equal(frame, rgb)


LOSSLESS = [
  ("a.mkv", "ffv1", {}),
  ("a.mp4", "libx264", {"qp": "0", "bf": "3", "preset": "veryfast"}),
  ("a.webm", "libvpx-vp9", {"lossless": "1", "deadline": "realtime", "cpu-used": "8"}),
]


@pytest.mark.parametrize(("name", "codec", "options"), LOSSLESS)
def test_lossless_files(tmp_path, random, name, codec, options):
  frames = random_frames(random, 7)
  encode(tmp_path / name, frames, codec, options, rate=fractions.Fraction(30000, 1001))
  with open_video(tmp_path / name) as reader:
    assert (reader.width, reader.height) == (WIDTH, HEIGHT)
    assert abs(reader.frame_rate - fractions.Fraction(30000, 1001)) < 0.05
    assert reader.frame_count in ((7,) if name == "a.mp4" else (7, None))
    assert_frames(reader, as_rgb(frames))
    assert_frames(reader, as_rgb(frames))  # Again, from the start.


@pytest.mark.parametrize(
  ("tags", "matrix", "range_"),
  [
    ((1, 1), "bt709", "limited"),
    ((6, 1), "bt601", "limited"),
    ((5, 2), "bt601", "full"),
    ((1, 2), "bt709", "full"),
    ((9, 1), "bt2020", "limited"),
    ((2, 0), "bt601", "limited"),
  ],
)
def test_stated_colours_are_used_unless_overridden(
  tmp_path, random, tags, matrix, range_
):
  path = tmp_path / "a.mkv"
  frames = random_frames(random, 2)
  encode(path, frames, "ffv1", tags=tags)
  assert_frames(open_video(path), as_rgb(frames, matrix, range_))
  for matrix, range_ in (("bt709", "limited"), ("bt601", "full")):
    reader = open_video(path, matrix=matrix, range=range_, frame_rate=50)
    assert reader.frame_rate == 50
    assert_frames(reader, as_rgb(frames, matrix, range_))


@pytest.mark.skipif(
  not hasattr(av.VideoFrame, "rotation")
  or not hasattr(av.video.stream.VideoStream, "set_display_matrix"),
  reason="this version of av neither reads nor writes the rotation",
)
def test_rotation_is_applied(tmp_path, random):
  frames = random_frames(random, 2)
  one = 1 << 16
  # ISO/IEC 14496-12: (x, y) goes to (-y, x), y pointing down: a clockwise quarter turn.
  matrix = (0, one, 0, -one, 0, 0, HEIGHT * one, 0, 1 << 30)
  encode(
    tmp_path / "a.mp4",
    frames,
    "libx264",
    {"qp": "0"},
    prepare=lambda stream: stream.set_display_matrix(matrix),
  )
  with open_video(tmp_path / "a.mp4") as reader:
    assert (reader.width, reader.height) == (HEIGHT, WIDTH)
    turned = [np.transpose(rgb[::-1], (1, 0, 2)) for rgb in as_rgb(frames)]
    assert_frames(reader, turned)


def y4m(frames, layout, width, height, rate="25:1"):
  header = f"YUV4MPEG2 W{width} H{height} F{rate} Ip A1:1 C{layout}\n".encode()
  return header + b"".join(
    b"FRAME\n" + b"".join(plane.tobytes() for plane in planes) for planes in frames
  )


@pytest.mark.parametrize("size", [(48, 64), (17, 33), (16, 1), (1, 16)])
def test_y4m_of_any_size(tmp_path, random, size):
  frames = random_frames(random, 3, *size)
  (tmp_path / "a.y4m").write_bytes(y4m(frames, "420jpeg", size[1], size[0], "30:1"))
  reader = open_video(tmp_path / "a.y4m")
  assert reader.frame_rate == 30
  assert_frames(reader, as_rgb(frames))


def test_file_objects_are_read_once(random):
  frames = random_frames(random, 3)
  reader = open_video(io.BytesIO(y4m(frames, "420jpeg", WIDTH, HEIGHT)))
  assert_frames(reader, as_rgb(frames))
  with pytest.raises(ValueError, match="file object is read once"):
    next(iter(reader))


@pytest.mark.parametrize("raw", [False, True])
def test_pipes(random, raw):
  frames = random_frames(random, 40)
  data = y4m(frames, "420jpeg", WIDTH, HEIGHT)
  if raw:
    data = b"".join(plane.tobytes() for planes in frames for plane in planes)
  source, sink = os.pipe()

  def feed():
    with open(sink, "wb") as file:
      for start in range(0, len(data), 1000):
        file.write(data[start : start + 1000])

  feeder = threading.Thread(target=feed)
  feeder.start()
  with open(source, "rb", buffering=0) as file:
    reader = open_video(file, size=(WIDTH, HEIGHT) if raw else None)
    assert reader.frame_count is None
    assert_frames(reader, as_rgb(frames))
  feeder.join()


def test_a_named_pipe_is_not_taken_for_an_empty_file(tmp_path, random):
  frames = random_frames(random, 2)
  os.mkfifo(tmp_path / "pipe")

  def feed():
    (tmp_path / "pipe").write_bytes(y4m(frames, "420jpeg", WIDTH, HEIGHT))

  feeder = threading.Thread(target=feed)
  feeder.start()
  assert_frames(open_video(tmp_path / "pipe"), as_rgb(frames))
  feeder.join()


@settings(max_examples=40, deadline=None)
@given(
  seed=st.integers(0, 2**32 - 1),
  height=st.integers(1, 20),
  width=st.integers(2, 20),
  layout=st.sampled_from(["gray", "yuv420p", "yuv422p", "yuv444p"]),
  bits=st.sampled_from([8, 10, 12, 16]),
  count=st.integers(1, 3),
)
def test_raw_yuv(tmp_path_factory, seed, height, width, layout, bits, count):
  random = np.random.default_rng(seed)
  down, across = {"yuv420p": (2, 2), "yuv422p": (1, 2)}.get(layout, (1, 1))
  chroma = -(-height // down), -(-width // across)
  shapes = [(height, width)] + [chroma] * (0 if layout == "gray" else 2)
  frames = [
    [random.integers(0, 2**bits, shape) for shape in shapes] for _ in range(count)
  ]
  path = tmp_path_factory.mktemp("raw") / "video_7x5.yuv"  # The name says nothing.
  dtype = "<u2" if bits > 8 else "u1"
  path.write_bytes(
    b"".join(p.astype(dtype).tobytes() for planes in frames for p in planes)
  )
  reader = open_video(
    path,
    size=(width, height),
    pixel_format=layout + (f"{bits}le" if bits > 8 else ""),
    matrix="bt709",
    range="full",
    frame_rate=12.5,
  )
  assert reader.frame_count == count
  assert reader.frame_rate == fractions.Fraction(25, 2)
  unsigned = [[p.astype(dtype) for p in planes] for planes in frames]
  expected = [color.yuv_to_rgb(planes, "bt709", "full", bits) for planes in unsigned]
  assert_frames(reader, expected)


def test_png_folder_in_natural_order(tmp_path, random):
  images = [random.integers(0, 256, (9, 7, 3)).astype(np.uint8) for _ in range(12)]
  for number, image in enumerate(images):
    PIL.Image.fromarray(image).save(tmp_path / f"frame{number}.PNG", "png")
  (tmp_path / "notes.txt").write_text("not a frame")
  reader = open_video(tmp_path, frame_rate=10)
  assert (reader.frame_count, reader.frame_rate) == (12, 10)
  assert_frames(reader, images)
  assert_frames(reader, images)


def test_png_files_of_different_sizes(tmp_path, random):
  for name, size in (("1.png", (9, 7, 3)), ("2.png", (9, 8, 3))):
    PIL.Image.fromarray(random.integers(0, 256, size).astype(np.uint8)).save(
      tmp_path / name
    )
  frames = iter(open_video(tmp_path))
  next(frames)
  with pytest.raises(ValueError, match=r"2\.png has 8x9 pixels, the first file 7x9"):
    next(frames)


def write_sound(path):
  with wave.open(str(path), "wb") as file:
    file.setparams((1, 2, 8000, 0, "NONE", ""))
    file.writeframes(bytes(8000))


@pytest.mark.parametrize(
  ("name", "content", "message"),
  [
    ("a.mp4", b"", r"a\.mp4 is empty"),
    ("a.mp4", b"nothing like a video" * 50, r"a\.mp4 is no video that FFmpeg reads"),
    ("a.txt", b"hello\n" * 400, r"a\.txt is a text file|a\.txt is no video"),
    ("a.wav", write_sound, r"a\.wav has no video stream"),
    ("a.y4m", b"YUV4MPEG2 W16 H16 F25:1 C420jpeg\n", r"a\.y4m"),
    ("a.yuv", bytes(100), r"a\.yuv: raw YUV does not state its size: give it"),
    ("a/1.txt", b"x", r"a holds no PNG file"),
    ("a/1.png", b"x" * 100, r"1\.png is no PNG file"),
    ("a/1.png", b"", r"1\.png is no PNG file"),
  ],
)
def test_no_video_is_a_one_line_error(tmp_path, name, content, message):
  path = tmp_path / name
  path.parent.mkdir(exist_ok=True)
  if callable(content):
    content(path)
  else:
    path.write_bytes(content)
  with pytest.raises(ValueError, match=message) as error:
    open_video(path.parent if "/" in name else path)
  assert "\n" not in str(error.value)


def test_bad_arguments(tmp_path):
  raw = tmp_path / "a.yuv"
  raw.write_bytes(bytes(1000))
  with pytest.raises(ValueError, match="no such file or folder"):
    open_video(tmp_path / "missing.mp4")
  with pytest.raises(
    ValueError, match="has 1000 bytes, no multiple of the 384 bytes of a 16x16 yuv420p"
  ):
    open_video(raw, size=(16, 16))
  with pytest.raises(ValueError, match="pixel_format must be gray"):
    open_video(raw, size=(16, 16), pixel_format="nv12")
  with pytest.raises(ValueError, match="both positive"):
    open_video(raw, size=(0, 16))
  with pytest.raises(ValueError, match="is a folder: size"):
    open_video(tmp_path, size=(16, 16))
  (tmp_path / "a.mp4").write_bytes(bytes(384))
  with pytest.raises(ValueError, match="states its own size"):
    open_video(tmp_path / "a.mp4", size=(16, 16))
  for key, value in (("matrix", "709"), ("range", "tv"), ("frame_rate", 0)):
    with pytest.raises(ValueError, match=f"{key} must be"):
      open_video(raw, size=(16, 16), **{key: value})


def test_a_raw_pipe_that_ends_inside_a_frame():
  frames = iter(open_video(io.BytesIO(bytes(384 + 100)), size=(16, 16)))
  next(frames)
  with pytest.raises(ValueError, match="ends inside frame 1: 100 of the 384 bytes"):
    next(frames)


def test_a_file_that_is_cut_off_gives_no_false_frame(tmp_path, random):
  frames = random_frames(random, 4)
  encode(tmp_path / "a.mkv", frames, "ffv1", {"level": "3", "slicecrc": "1"})
  data = (tmp_path / "a.mkv").read_bytes()
  (tmp_path / "cut.mkv").write_bytes(data[: len(data) * 5 // 8])
  read = []
  try:
    read.extend(open_video(tmp_path / "cut.mkv"))
  except ValueError as error:
    assert "cut.mkv" in str(error)
  assert len(read) < 4
  for frame, rgb in zip(read, as_rgb(frames)):
    np.testing.assert_array_equal(frame, rgb)


def test_natural_key():
  names = ["b1", "a10", "a2", "a02b", "a", "10", "9"]
  assert sorted(names, key=video_reader.natural_key) == [
    "9",
    "10",
    "a",
    "a02b",
    "a2",
    "a10",
    "b1",
  ]


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the experiments' videos")
@pytest.mark.parametrize(
  ("name", "width", "height", "rate", "count"),
  [
    ("eval/carphone_pristine.mp4", 176, 144, fractions.Fraction(30000, 1001), 120),
    ("train/asl_gestures/milk.mkv", 640, 480, fractions.Fraction(30), None),
  ],
)
def test_real_videos(name, width, height, rate, count):
  with open_video(DATA / name) as reader:
    assert (reader.width, reader.height) == (width, height)
    assert (reader.frame_rate, reader.frame_count) == (rate, count)
    frame = next(iter(reader))
  assert frame.shape == (height, width, 3)
  assert 20 < frame.mean() < 235
  assert frame.std() > 20


@pytest.mark.skipif(not DATA.is_dir(), reason="needs the experiments' videos")
def test_real_raw_yuv():
  path = DATA / "eval" / "RaceHorses_832x480_2frames_yuv420p.yuv"
  frames = list(open_video(path, size=(832, 480)))
  assert len(frames) == 2
  luma = np.fromfile(path, np.uint8, 832 * 480).reshape(480, 832)
  gray = frames[0] @ np.array([0.299, 0.587, 0.114])
  expected = (luma - 16.0) * 255 / 219
  assert np.abs(gray - expected).mean() < 1


def test_parse_size():
  assert video_reader.parse_size("832x480") == (832, 480)
  assert video_reader.parse_size("") is None
  for text in ("832", "832x", "0x4", "axb", "1x2x3", "-4x4"):
    with pytest.raises(ValueError, match="must look like 832x480"):
      video_reader.parse_size(text)
