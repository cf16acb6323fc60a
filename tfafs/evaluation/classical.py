"""H.264 and H.265 files by x264 and x265 (through PyAV), as baselines.

Low-delay settings as in paper 001, section 6.2: preset medium, constant rate factor, no
B-frames, zero latency; docs/evaluation.md states and explains every option.
"""

import os
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from av import bitstream

from tfafs.coding import color, video_reader
from tfafs.evaluation import clips, coded_file


class Encoder(NamedTuple):
  """An encoder of FFmpeg, the samples it is given, and how curves are labelled."""

  encoder: str
  pixel_format: str
  label: str


ENCODERS = {
  "x264": Encoder("libx264", "yuv420p", "x264 (YUV 4:2:0)"),
  "x265": Encoder("libx265", "yuv420p", "x265 (YUV 4:2:0)"),
  "x264_rgb": Encoder("libx264rgb", "rgb24", "x264 (RGB 4:4:4)"),
  "x265_rgb": Encoder("libx265", "gbrp", "x265 (RGB 4:4:4)"),
}
"""The baselines by name: input as Y'CbCr 4:2:0, or as RGB without subsampling."""

DEFAULT_CRF = (17, 22, 27, 32, 37, 42)


class ClassicalCodec:
  """One baseline at one quality; a `coded_file.FileCodec`.

  Args:
    name: "x264", "x265", "x264_rgb" or "x265_rgb".
    crf: constant rate factor, 0 to 51; larger is smaller and worse.
    preset: speed preset of the encoder.

  Raises:
    ValueError: unknown name, or crf out of range.
  """

  suffix = ".mkv"

  def __init__(self, name: str, crf: int, preset: str = "medium"):
    if name not in ENCODERS:
      raise ValueError(
        f"codecs: {name!r} is unknown; choose from {', '.join(ENCODERS)}"
      )
    if not 0 <= crf <= 51:
      raise ValueError(f"crf: must lie between 0 and 51, got {crf}")
    self.name = name
    self.crf = crf
    self.preset = preset
    self.setting = f"crf={crf}"

  def options(self, gop: int = 0) -> dict[str, str]:
    """Options given to FFmpeg's encoder; `gop` 0 leaves its key frame distance."""
    options = {"preset": self.preset, "tune": "zerolatency", "crf": str(self.crf)}
    if gop:
      options["g"] = str(gop)
    if ENCODERS[self.name].encoder == "libx265":
      options["x265-params"] = (
        "bframes=0:info=0:pools=none:frame-threads=1:log-level=none"
      )
    else:
      options.update(bf="0", threads="1")
    return options

  def encode_file(
    self, clip: clips.Clip, path: str, gop: int = 0
  ) -> coded_file.EncodedFile:
    """Writes the clip to a Matroska file.

    Args:
      clip: what to encode.
      path: of the file to write, ending in .mkv.
      gop: at most so many frames from one I frame to the next; 0 leaves the encoder's
        own limit (250). The encoder may add I frames where the scene changes.

    Returns:
      The frames in order, and the seconds spent in the encoder and the muxer (colour
      conversion and reading the clip are not counted).
    """
    partial = f"{path}.part"
    try:
      encoded = self._encode(clip, partial, gop)
      os.replace(partial, path)
    except av.error.FFmpegError as error:
      raise ValueError(
        f"{self.name} cannot encode {clip.name} ({clip.width}x{clip.height}): "
        f"{error.strerror}; leave it out of codecs"
      ) from error
    finally:
      if os.path.exists(partial):
        os.remove(partial)
    return encoded

  def _encode(self, clip, path, gop) -> coded_file.EncodedFile:
    encoder = ENCODERS[self.name]
    stopwatch = coded_file.Stopwatch()
    packets = []
    with av.open(path, "w", format="matroska") as container:
      stream = container.add_stream(encoder.encoder, rate=clip.frame_rate)
      planar = encoder.pixel_format == "yuv420p"
      # 4:2:0 exists for even sizes only: an odd side is encoded with its edge repeated.
      stream.width = clip.width + (clip.width % 2 if planar else 0)
      stream.height = clip.height + (clip.height % 2 if planar else 0)
      stream.pix_fmt = encoder.pixel_format
      stream.options = self.options(gop)
      clean = _without_encoder_message(stream, encoder.encoder)

      def write(frame=None):
        with stopwatch.running():
          for packet in stream.encode(frame):
            for part in clean(packet):
              packets.append((part.size, part.is_keyframe))
              container.mux(part)

      for index, frame in enumerate(clip.frames()):
        picture = _to_picture(frame, encoder.pixel_format, clip.matrix)
        picture.pts = index
        picture.time_base = Fraction(1) / clip.frame_rate
        write(picture)
      write()
    return coded_file.EncodedFile(
      [coded_file.CodedFrame("I" if key else "P", size) for size, key in packets],
      stopwatch.seconds,
    )

  def decode_file(
    self,
    path: str,
    on_frame: Callable[[np.ndarray], None],
    clip: clips.Clip,
  ) -> float:
    """Decodes a file; returns the seconds spent in demuxer and decoder.

    Args:
      path: of a file written by `encode_file`.
      on_frame: called with each frame, uint8 [height, width, 3] RGB.
      clip: what was encoded; gives size and colour matrix.
    """
    stopwatch = coded_file.Stopwatch()
    with av.open(path) as container:
      container.streams.video[0].thread_count = 1
      pictures = container.decode(video=0)
      while True:
        with stopwatch.running():
          picture = next(pictures, None)
        if picture is None:
          return stopwatch.seconds
        frame = video_reader.frame_to_rgb(picture, clip.matrix, "limited")
        on_frame(frame[: clip.height, : clip.width])


def conversion(frame: np.ndarray, name: str, matrix: str) -> np.ndarray:
  """What is left of an RGB frame by the baseline's colour conversion alone."""
  picture = _to_picture(frame, ENCODERS[name].pixel_format, matrix)
  rgb = video_reader.frame_to_rgb(picture, matrix, "limited")
  return rgb[: frame.shape[0], : frame.shape[1]]


def _without_encoder_message(stream, encoder: str):
  """Returns a filter of packets that drops x264's text about itself.

  x264 spends some 600 bytes of each file on its version and options, which no decoder
  needs; on a short clip at a low rate that would be a fifth of the file. (x265 has an
  option for this, info=0.)
  """
  if encoder == "libx265":
    return lambda packet: [packet]
  supplemental = 6  # nal_unit_type of supplemental enhancement information
  return bitstream.BitStreamFilterContext(
    f"filter_units=remove_types={supplemental}", stream
  ).filter


def _to_picture(frame: np.ndarray, pixel_format: str, matrix: str) -> av.VideoFrame:
  if pixel_format != "yuv420p":
    # Only the order of the samples changes: exact.
    return av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
      format=pixel_format
    )
  height, width = frame.shape[:2]
  frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
  y, u, v = color.rgb_to_yuv(frame, matrix, "limited", "420")
  packed = np.concatenate([y.ravel(), u.ravel(), v.ravel()])
  return av.VideoFrame.from_ndarray(packed.reshape(-1, y.shape[1]), format="yuv420p")
