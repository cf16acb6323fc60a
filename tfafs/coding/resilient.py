"""Reads a damaged stream as far as it goes: every frame that is sound, none that is not.

Where a record is damaged, missing or misplaced, the reader looks for the next record
that is sound by itself and either continues the chain (then nothing was lost) or is an
I frame of this stream, as its seal shows, that lies ahead. Frames between are
lost. Frames behind an I frame continue its chain, as always.
"""

from collections.abc import Iterator
from typing import BinaryIO, Optional

from tfafs.coding import byte_sources, packing, record
from tfafs.coding.bitstream import StreamReader
from tfafs.coding.packing import FrameRecord, StreamError

MAX_GAP = 1 << 16  # frames lost at a time that are believed
MAX_FAULTS = 100  # that are remembered


class ResilientStreamReader(StreamReader):
  """A StreamReader that goes on behind damage instead of raising.

  Iteration yields the FrameRecord of each sound frame; after a gap it goes on with an
  I frame. It ends at the end of the stream or of the file.

  Attributes:
    lost: list of `range`, the frames known to be lost, in ascending order. Those
      behind a cut are known only if the header states the frame count.
    faults: list of str, the first hundred things that were wrong.
  """

  def __init__(
    self,
    file: BinaryIO,
    max_pixels: int = packing.MAX_PIXELS,
    follow: Optional[float] = None,
  ):
    """Reads the header, without which nothing can be had; as StreamReader does."""
    super().__init__(file, max_pixels, follow)
    self.lost: list[range] = []
    self.faults: list[str] = []
    self._rewindable = None
    # Neither chain nor seals cover the header's count: records are better witnesses.
    self._promised = None

  def __iter__(self) -> Iterator[FrameRecord]:
    if self._rewindable is None:
      self._file = self._rewindable = byte_sources.RewindableFile(self._file)
    while not self._ended:
      self._rewindable.mark()
      payload = None
      try:
        payload = self._read_payload()
        frame = self._accept(payload)
      except StreamError as error:
        self.note(str(error))
        # A record whose own checksums are right may be one to go on from.
        frame = None if self._ended else self._resume(0 if payload else 1)
      if frame is not None:
        yield frame
    if self.header.frame_count not in (None, self.frames):
      self.note(
        f"the header promised {self.header.frame_count} frames, not {self.frames}"
      )

  def note(self, fault: str) -> None:
    """Remembers what was wrong."""
    if len(self.faults) < MAX_FAULTS:
      self.faults.append(fault)

  def _resume(self, skip: int) -> Optional[FrameRecord]:
    """Goes on with the next record that one can go on with; None: with no frame."""
    while (payload := self._rewindable.search(skip, self._max_length)) is not None:
      skip = len(payload) + record.OVERHEAD
      for take in (self._accept, self._rejoin):
        try:
          return take(payload)
        except StreamError as error:
          if self._ended:
            self.note(str(error))
            return None
    self._lose(self.header.frame_count or 0)
    self.frames = max(self.frames, self.header.frame_count or 0)
    self._ended = True
    return None

  def _rejoin(self, payload: bytes) -> Optional[FrameRecord]:
    """Takes an I frame, or an end, ahead of here; StreamError if it is none."""
    (body, chain), expected = self._open(payload), self.frames
    if body[:1] == b"E":
      return self._rejoin_end(body)
    if body[:1] != b"I":
      raise self._error("one cannot go on from here")
    try:
      index, _ = packing.unpack_varint(body, 1)
    except ValueError as error:
      raise self._error(f"the record is malformed: {error}") from None
    if not expected <= index <= expected + MAX_GAP:
      raise self._error(f"the record says it is frame {index}")
    self._seen, self.index_bytes = None, 0
    frame = self._take_frame(body, index)
    self._lose(index, expected)
    self._pass(payload, chain)
    return frame

  def _rejoin_end(self, body: bytes) -> None:
    try:
      end = packing.unpack_end(body)
    except ValueError as error:
      raise self._error(f"the record is malformed: {error}") from None
    if not self.frames <= end.frames <= self.frames + MAX_GAP:
      raise self._error("the end record does not count the frames before it")
    if self._file.read(1):
      raise self._error("something follows the end of the stream")
    self._lose(end.frames)
    self.frames = end.frames
    self._ended = True

  def _lose(self, end: int, start: Optional[int] = None) -> None:
    """Notes that the frames from `start`, by default the next one, to `end` are lost."""
    start = self.frames if start is None else start
    if end > start:
      self.lost.append(range(start, end))
