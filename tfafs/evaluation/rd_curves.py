"""Rate-distortion points: a codec run on a clip, and what came of it.

The rate is that of the file written, the distortion that of the frames decoded from it.
"""

import os
import pathlib
import tempfile
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, Optional, Union

import numpy as np

from tfafs.coding.codec import Codec
from tfafs.evaluation import clips, coded_file, metrics, neural


class FrameResult(NamedTuple):
  """One frame of a file: its bytes, and the quality of what was decoded."""

  index: int
  kind: str
  """"I" or "P"."""
  num_bytes: int
  """Without container and headers."""
  part_bytes: Optional[dict[str, int]]
  part_bits: Optional[dict[str, float]]
  """Estimated by the model, to be compared with 8 * part_bytes."""
  psnr: float
  ms_ssim: Optional[float]


class ClipResult(NamedTuple):
  """One codec at one setting on one clip."""

  codec: str
  setting: str
  clip: str
  width: int
  height: int
  frame_rate: float
  gop: int
  num_frames: int
  file_bytes: int
  """Size of the file on disk, headers and container included."""
  payload_bytes: int
  """Sum of the frames' own bytes: the file without headers and container."""
  bpp: float
  """8 * file_bytes / (width * height * num_frames)."""
  psnr: float
  """dB; mean over frames."""
  ms_ssim: Optional[float]
  """Mean over frames; None if undefined at this size or not asked for."""
  ms_ssim_note: Optional[str]
  """Why there is no MS-SSIM."""
  encode_fps: float
  decode_fps: float
  part_bytes: Optional[dict[str, int]]
  """Of all frames, by part; None for codecs that do not tell."""
  part_bits: Optional[dict[str, float]]
  mismatched_frames: Optional[int]
  """Decoded frames that differ from the encoder's reconstruction: should be 0."""
  file: str
  frames: list[FrameResult]

  @property
  def payload_bpp(self) -> float:
    """Bits per pixel of the frames' own bytes."""
    return metrics.bits_per_pixel(
      self.payload_bytes, self.height, self.width, self.num_frames
    )


class RdPoint(NamedTuple):
  """A point of a curve: a clip result, or the mean of several."""

  setting: str
  bpp: float
  psnr: float
  ms_ssim: Optional[float]
  encode_fps: float
  decode_fps: float


class Curve(NamedTuple):
  """The points of one codec on one clip or in the mean of all, by rising rate."""

  codec: str
  clip: str
  points: list[RdPoint]


OnFrame = Callable[[int, np.ndarray, np.ndarray], None]


def evaluate_clip(
  codec: Union[Codec, coded_file.FileCodec],
  source: Union[clips.Source, clips.Clip],
  gop: int = 12,
  max_frames: Optional[int] = None,
  workdir: Optional[Union[str, pathlib.Path]] = None,
  with_ms_ssim: bool = True,
  on_frame: Optional[OnFrame] = None,
) -> ClipResult:
  """Encodes a clip into a file, decodes that file, measures both.

  Usage:

      codec = Codec.load("runs/stat_ssf_sp/saved_model")
      result = evaluate_clip(codec, "bikes.mp4", gop=12, max_frames=24)
      print(result.bpp, result.psnr)

  Args:
    codec: an exported codec (`tfafs.coding.codec.Codec`), a
      `tfafs.evaluation.classical.ClassicalCodec`, or another FileCodec.
    source: path of a video or of a folder of PNG files, frames in memory (uint8
      [time, height, width, 3] RGB), or a Clip.
    gop: every `gop`-th frame is an I frame; 0: only the first.
    max_frames: how many frames to take; None takes all.
    workdir: existing folder where the file is left; None leaves no file.
    with_ms_ssim: whether to compute MS-SSIM, which takes longer than all the rest.
    on_frame: called with (index, original, decoded) for each frame.

  Returns:
    A ClipResult.

  Raises:
    ValueError: bad arguments, no video, or frames the codec cannot take.
  """
  if gop < 0:
    raise ValueError(f"gop: must be 0 (one I frame) or more, got {gop}")
  clip = clips.as_clip(source, max_frames)
  if isinstance(codec, Codec):
    codec = neural.NeuralCodec(codec)
  with tempfile.TemporaryDirectory() as scratch:
    name = f"{clip.name}.{codec.name}.{codec.setting}{codec.suffix}"
    path = os.path.join(workdir or scratch, name.replace(os.sep, "_"))
    encoded = codec.encode_file(clip, path, gop)
    decoded = _Decoded(clip, encoded.frames, with_ms_ssim, on_frame)
    seconds = codec.decode_file(path, decoded.add, clip)
    file_bytes = os.path.getsize(path)
  num_frames = len(encoded.frames)
  if len(decoded.frames) != num_frames:
    raise ValueError(
      f"{path}: {num_frames} frames were encoded, {len(decoded.frames)} decoded"
    )
  similarities = [frame.ms_ssim for frame in decoded.frames]
  return ClipResult(
    codec=codec.name,
    setting=codec.setting,
    clip=clip.name,
    width=clip.width,
    height=clip.height,
    frame_rate=float(clip.frame_rate),
    gop=gop,
    num_frames=num_frames,
    file_bytes=file_bytes,
    payload_bytes=sum(frame.num_bytes for frame in encoded.frames),
    bpp=metrics.bits_per_pixel(file_bytes, clip.height, clip.width, num_frames),
    psnr=float(np.mean([frame.psnr for frame in decoded.frames])),
    ms_ssim=None if None in similarities else float(np.mean(similarities)),
    ms_ssim_note=decoded.ms_ssim_note,
    encode_fps=num_frames / encoded.seconds,
    decode_fps=num_frames / seconds,
    part_bytes=_total([frame.part_bytes for frame in encoded.frames]),
    part_bits=_total([frame.part_bits for frame in encoded.frames]),
    mismatched_frames=decoded.mismatched,
    file=path if workdir else "",
    frames=decoded.frames,
  )


class _Decoded:
  """Compares frames with the original as they come out of the decoder."""

  def __init__(self, clip, coded, with_ms_ssim, on_frame):
    self._originals = clip.frames()
    self._coded = coded
    self._on_frame = on_frame
    self.frames = []
    self.mismatched = None if coded[0].checksum is None else 0
    self.ms_ssim_note = (
      metrics.ms_ssim_unavailable(clip.height, clip.width)
      if with_ms_ssim
      else "not asked for"
    )

  def add(self, decoded: np.ndarray) -> None:
    index = len(self.frames)
    original = next(self._originals, None)
    if original is None or index == len(self._coded):
      raise ValueError(f"more frames were decoded than the {index} that were encoded")
    coded = self._coded[index]
    if self.mismatched is not None:
      self.mismatched += zlib.crc32(decoded.tobytes()) != coded.checksum
    similarity = None if self.ms_ssim_note else metrics.ms_ssim(original, decoded)
    self.frames.append(
      FrameResult(
        index,
        coded.kind,
        coded.num_bytes,
        coded.part_bytes,
        coded.part_bits,
        metrics.psnr(original, decoded),
        similarity,
      )
    )
    if self._on_frame:
      self._on_frame(index, original, decoded)


def _total(parts: Sequence[Optional[dict]]) -> Optional[dict]:
  if None in parts:
    return None
  names = dict.fromkeys(name for part in parts for name in part)
  return {name: sum(part.get(name, 0) for part in parts) for name in names}


def clip_curves(results: Sequence[ClipResult]) -> list[Curve]:
  """One curve for each pair of codec and clip, in order of appearance."""
  pairs = dict.fromkeys((result.codec, result.clip) for result in results)
  return [
    _curve(codec, clip, [[r] for r in results if (r.codec, r.clip) == (codec, clip)])
    for codec, clip in pairs
  ]


def mean_curves(results: Sequence[ClipResult]) -> list[Curve]:
  """One curve for each codec: the mean over clips of rate and quality, per setting.

  Clips weigh alike, whatever their size and length.
  """
  num_clips = len({result.clip for result in results})
  clip = f"mean of {num_clips} clips"
  curves = []
  for codec in dict.fromkeys(result.codec for result in results):
    groups: dict[str, list[ClipResult]] = {}
    for result in results:
      if result.codec == codec:
        groups.setdefault(result.setting, []).append(result)
    complete = [group for group in groups.values() if len(group) == num_clips]
    curves.append(_curve(codec, clip, complete))
  return curves


def _curve(codec, clip, groups) -> Curve:
  points = [
    RdPoint(group[0].setting, *(_mean(group, field) for field in RdPoint._fields[1:]))
    for group in groups
  ]
  return Curve(codec, clip, sorted(points, key=lambda point: point.bpp))


def _mean(group, field) -> Optional[float]:
  values = [getattr(result, field) for result in group]
  return None if None in values else float(np.mean(values))
