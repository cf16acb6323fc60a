"""Exported codecs of this library under evaluation: real streams on disk."""

import io
import itertools
import os
import zlib
from collections.abc import Callable
from typing import Optional

import numpy as np

from tfafs.coding import compressed_video, packing
from tfafs.coding.codec import Codec
from tfafs.evaluation import clips, coded_file


class NeuralCodec:
  """One exported model; a `coded_file.FileCodec`.

  Args:
    codec: as `Codec.load` returns it.
    setting: what distinguishes it from other models on its curve; by default its
      quality, or the beta it was trained for, or the name of its folder.
    quality: of a codec of variable rate, see `Codec.quality_steps`.
  """

  suffix = ".tfafs"

  def __init__(
    self,
    codec: Codec,
    setting: Optional[str] = None,
    quality: Optional[float] = None,
  ):
    steps = codec.quality_steps(quality)
    self.codec = codec
    self.name = codec.model
    self.quality = None if steps is None else steps / packing.QUALITY_STEPS
    self.setting = setting or self._default_setting()
    self._warm_sizes = set()

  def _default_setting(self) -> str:
    beta = self.codec.metadata.get("beta")
    if self.quality is not None:
      return f"quality={self.quality:g}"
    if isinstance(beta, (int, float)):
      return f"beta={beta:g}"
    return os.path.basename(os.path.normpath(str(self.codec.path)))

  def check_size(self, clip: clips.Clip) -> None:
    """Raises ValueError if the clip's frames are smaller than the codec takes."""
    smallest = self.codec.min_size
    if min(clip.width, clip.height) < smallest:
      raise ValueError(
        f"{clip.name} is {clip.width}x{clip.height}; {self.name} takes frames from "
        f"{smallest}x{smallest} up"
      )

  def encode_file(
    self, clip: clips.Clip, path: str, gop: int = 0
  ) -> coded_file.EncodedFile:
    """Writes the clip as a stream of this library.

    Args:
      clip: what to encode.
      path: of the file to write.
      gop: every `gop`-th frame is an I frame; 0: only the first is.

    Returns:
      The frames in order with the bytes and the estimated bits of each part, and the
      seconds spent in encoder and writer. What runs for the first time at this frame
      size (tracing, memory allocation) is run once before and not counted.

    Raises:
      ValueError: the frames are smaller than the codec takes.
    """
    self.check_size(clip)
    self._warm_up(clip)
    stopwatch = coded_file.Stopwatch()
    frames = []
    with compressed_video.CompressedVideoWriter(
      *(self.codec, path, clip.width, clip.height, clip.frame_rate, gop),
      quality=self.quality,
    ) as writer:
      for frame in clip.frames():
        with stopwatch.running():
          encoded = writer.write(frame)
        frames.append(self._coded_frame(encoded))
    return coded_file.EncodedFile(frames, stopwatch.seconds)

  def decode_file(
    self, path: str, on_frame: Callable[[np.ndarray], None], clip: clips.Clip
  ) -> float:
    """Decodes a stream from its file; returns the seconds spent in reader and decoder.

    Args:
      path: of a stream this codec wrote.
      on_frame: called with each frame, uint8 [height, width, 3] RGB.
      clip: what was encoded.
    """
    self._warm_up(clip)
    stopwatch = coded_file.Stopwatch()
    with compressed_video.CompressedVideoReader(self.codec, path) as reader:
      frames = iter(reader)
      while True:
        with stopwatch.running():
          frame = next(frames, None)
        if frame is None:
          return stopwatch.seconds
        on_frame(frame)

  def _coded_frame(self, encoded) -> coded_file.CodedFrame:
    codec = self.codec
    parts = codec.intra_parts if encoded.kind == "I" else codec.inter_parts
    # An I and a P frame may have parts of the same name: theirs are different things.
    names = [f"intra_{part}" if encoded.kind == "I" else part for part in parts]
    lengths = [len(string) for string in encoded.strings]
    return coded_file.CodedFrame(
      encoded.kind,
      sum(lengths),
      dict(zip(names, lengths)),
      {name: float(bits) for name, bits in zip(names, encoded.bits)},
      zlib.crc32(encoded.reconstruction.tobytes()),
    )

  def _warm_up(self, clip: clips.Clip) -> None:
    size = clip.width, clip.height
    if size in self._warm_sizes:
      return
    file = io.BytesIO()
    with compressed_video.CompressedVideoWriter(
      self.codec, file, *size, clip.frame_rate, gop=0, quality=self.quality
    ) as writer:
      for frame in itertools.islice(clip.frames(), 2):
        writer.write(frame)
    file.seek(0)
    for _ in compressed_video.CompressedVideoReader(self.codec, file):
      pass
    self._warm_sizes.add(size)
