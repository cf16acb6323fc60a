"""Compressed videos as iterators over their frames.

`CompressedVideoReader` looks like the readers of `open_video`: it has a width, height,
frame rate, and yields frames; so whatever takes a video file takes a stream.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Optional, Union

import numpy as np

from tfafs.coding import frame_checksum
from tfafs.coding.bitstream import StreamReader
from tfafs.coding.codec import Codec, Decoder
from tfafs.coding.frame_checksum import DriftSummary
from tfafs.coding.packing import FrameRecord, StreamError
from tfafs.coding.resilient import ResilientStreamReader

PathOrFile = Union[str, os.PathLike, BinaryIO]

_MAX_WAITING = 64  # records of frames that seeking may not need to decode


def is_path(value: Any) -> bool:
  """Whether `value` names a file, rather than being one."""
  return isinstance(value, (str, os.PathLike))


class CompressedVideoReader:
  """Decompresses the frames of a stream, one at a time. A context manager.

  Iteration yields uint8 [height, width, 3] and raises StreamError where the stream is
  damaged or cut, after all frames before that point. Of frames before `start` only
  those since the last intra frame are decoded; a file with an index is read from there.
  Nothing behind `end` is read but the index.

  A resilient reader goes on behind damage with the next intra frame: it yields the
  frames that it can have (`index` says which), and knows those it cannot (`lost`).

  Attributes:
    header: StreamHeader.
    width, height, frame_rate: of the video, as in the header.
    frame_count: number of frames that iteration yields if the stream is sound, None if
      it is not known.
    start: first frame to yield.
    index: number of the frame that was yielded last.
    drift: DriftSummary of all frames decoded so far, None if the stream has no
      checksums of frames.
    last_check: FrameCheck of the frame decoded last, or None.
  """

  def __init__(
    self,
    codec: Codec,
    source: PathOrFile,
    start: int = 0,
    end: Optional[int] = None,
    resilient: bool = False,
    follow: Optional[float] = None,
    strict: bool = False,
  ):
    """Opens the stream and reads its header.

    Args:
      codec: the Codec that wrote it.
      source: path, or binary file object with `read`.
      start: first frame to yield.
      end: frame to stop before; None: go on to the end of the stream.
      resilient: whether to go on behind damage.
      follow: if the file is still being written: seconds to wait for a new byte.
      strict: whether a frame that is not bit-exact is a StreamError.

    Raises:
      StreamError: it is no stream, or one of another codec.
      ValueError: the stream cannot have the frames asked for, or it is to be strict
        and has no checksums of frames.
      OSError: it cannot be read.
    """
    if start < 0 or (end is not None and end <= start):
      raise ValueError(f"start={start}, end={end}: give 0 <= start < end")
    self.start, self._end = start, end
    self.index: Optional[int] = None
    self.last_check = None
    self._strict = strict
    self._undecodable: list[range] = []
    self._file = open(source, "rb") if is_path(source) else source  # noqa: SIM115
    self._owned = is_path(source)
    try:
      kind = ResilientStreamReader if resilient else StreamReader
      self._stream = kind(self._file, follow=follow)
      self._resilient = resilient
      self.header = self._stream.header
      codec.check_header(self.header)
      if strict and not self.header.frame_checksums:
        raise ValueError(
          "the stream has no checksums of frames, so nothing can be said of drift: "
          "compress it with frame_checksums, or do not ask for it"
        )
      self.drift = DriftSummary() if self.header.frame_checksums else None
      self.width, self.height = self.header.width, self.header.height
      self.frame_rate = self.header.frame_rate
      self.frame_count = self._count_frames()
      self._decoder = Decoder(codec, self.width, self.height, self.header.quality)
      if start:
        self._stream.seek(start)
    except BaseException:
      self.close()
      raise

  @property
  def lost(self) -> Sequence[range]:
    """Frames from `start` to `end` that a resilient reader could not have, so far."""
    if not self._resilient:
      return []
    clipped = [
      range(
        max(lost.start, self.start),
        lost.stop if self._end is None else min(lost.stop, self._end),
      )
      for lost in self._stream.lost + self._undecodable
    ]
    return sorted((lost for lost in clipped if lost), key=lambda lost: lost.start)

  @property
  def faults(self) -> Sequence[str]:
    """What was wrong with the stream, from a resilient reader."""
    return self._stream.faults if self._resilient else []

  def __iter__(self) -> Iterator[np.ndarray]:
    waiting = []  # Records since the last intra frame, until one of them is wanted.
    for record in self._stream:
      if record.kind == "I":
        waiting.clear()
      waiting.append(record)
      wanted = record.index >= self.start
      if wanted and self._end is not None and record.index >= self._end:
        return  # a resilient reader may come from before `end` to behind it
      # Where no intra frame is near, decoding at once keeps memory bounded.
      if wanted or len(waiting) >= _MAX_WAITING:
        for waited in waiting:
          frame = self._decode(waited)
        waiting.clear()
        if wanted and frame is not None:
          self.index = record.index
          yield frame
      if self._end is not None and record.index + 1 >= self._end:
        return
    if self._resilient and self._stream.faults:
      return
    if self._stream.frames <= self.start:
      raise self._no_such_frame(self.start, self._stream.frames)
    if self._end is not None:
      raise self._no_such_frame(self._end - 1, self._stream.frames)

  def _decode(self, record: FrameRecord) -> Optional[np.ndarray]:
    """The frame, checked; None if a resilient reader cannot have it."""
    undecodable = self._undecodable
    if record.kind == "P" and undecodable and undecodable[-1].stop == record.index:
      undecodable[-1] = range(undecodable[-1].start, record.index + 1)
      return None
    try:
      frame = self._decoder.decode(record)
    except StreamError as error:
      if not self._resilient:
        raise
      self._stream.note(str(error))
      undecodable.append(range(record.index, record.index + 1))
      return None
    if record.checksum is not None:
      self._check(record, frame)
    return frame

  def _check(self, record: FrameRecord, frame: np.ndarray) -> None:
    check = frame_checksum.compare(record.checksum, frame, record.index)
    self.last_check = check
    self.drift = self.drift.plus(check)
    if self._strict and not check.exact:
      raise StreamError(
        f"{check}: this decoder does not compute what the encoder did", record.index
      )

  def _count_frames(self) -> Optional[int]:
    count = self.header.frame_count
    if count is None:
      return None if self._end is None else self._end - self.start
    last = self.start if self._end is None else self._end - 1
    if last >= count:
      raise self._no_such_frame(last, count)
    return (count if self._end is None else self._end) - self.start

  @staticmethod
  def _no_such_frame(index, count):
    return ValueError(f"there is no frame {index}: the stream has {count}, from 0")

  def close(self) -> None:
    """Closes the file if it was opened here."""
    if self._owned:
      self._file.close()

  def __enter__(self) -> "CompressedVideoReader":
    return self

  def __exit__(self, *_) -> None:
    self.close()
