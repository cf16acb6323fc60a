"""Files to read streams from: one still being written, one to step back in."""

import time
from typing import BinaryIO, Optional

from tfafs.coding import record

_POLL = 0.02  # seconds between two looks at a file that should grow
_CHUNK = 1 << 16
_ALLOWANCE = (
  1 << 24
)  # bytes that false starts may cost a search, beside 8 times its own
_ZEROS = bytes(4)  # the upper half of the length of any record that can be


class GrowingFile:
  """A file that another process writes: its end is not taken for the stream's.

  Attributes:
    patient: whether to wait for more at the end of the file. Set it to False when the
      stream has ended.
  """

  def __init__(self, file: BinaryIO, timeout: float):
    """Wraps a file.

    Args:
      file: binary file object with `read`.
      timeout: seconds without a new byte after which its writer counts as gone.
    """
    self.patient = True
    self._file = file
    self._timeout = timeout

  def read(self, size: int) -> bytes:
    """At least one byte, at most `size`; none at the end for good."""
    deadline = None
    while True:
      data = self._file.read(size)
      if data or not size or not self.patient:
        return data
      now = time.monotonic()
      deadline = deadline or now + self._timeout
      if now >= deadline:
        return data
      time.sleep(_POLL)


class RewindableFile:
  """A file that keeps what was read since a mark, to look for a record in it.

  Holds as much as the largest record, pipes included.
  """

  def __init__(self, file: BinaryIO):
    self._file = file
    self._buffer = bytearray()  # from the mark on
    self._at = 0

  def mark(self) -> None:
    """Forgets what was read: `search` starts here."""
    del self._buffer[: self._at]
    self._at = 0

  def read(self, size: int) -> bytes:
    """As much of `size` bytes as there is."""
    missing = self._at + size - len(self._buffer)
    if missing > 0:
      self._buffer += record.read_exactly(self._file, missing)
    data = bytes(self._buffer[self._at : self._at + size])
    self._at += len(data)
    return data

  def search(self, skip: int, max_length: int) -> Optional[bytes]:
    """Goes to the next record whose own checksums are right.

    That bytes are taken for a record by chance has a probability of 2^-64 per position.

    Args:
      skip: bytes behind the mark where to begin.
      max_length: largest payload of a record.

    Returns:
      Its payload, or None if there is none to the end of the file, or if the bytes are
      so full of false starts, which chance does not make, that looking on would not end
      soon. The mark is then at its start, the position behind it.
    """
    passed, cost = 0, 0
    while True:
      position = self._find_length(skip, max_length)
      if position is None:
        return None
      try:
        return record.read_record(self, max_length)
      except record.RecordError:
        skip = 1
        passed += position
        cost += self._at
        if cost > _ALLOWANCE + 8 * passed:
          return None

  def _find_length(self, start: int, max_length: int) -> Optional[int]:
    """Puts the mark, and the position, where a record's length and its checksum lie.

    Returns:
      How many bytes it went on, or None at the end of the file.
    """
    passed = 0
    while True:
      zeros = self._buffer.find(_ZEROS, start + 4)
      if zeros >= 0 and zeros + 8 <= len(self._buffer):
        start = zeros - 4
        head = bytes(self._buffer[start : start + record.HEAD])
        if record.length_of(head, max_length) is not None:
          del self._buffer[:start]
          self._at = 0
          return passed + start
        start += 1
        continue
      if zeros < 0:  # the four zeros may be half there
        start = max(start, len(self._buffer) - 7)
      del self._buffer[:start]
      passed += start
      start = 0
      more = getattr(self._file, "read1", self._file.read)(_CHUNK)
      if not more:
        self._at = len(self._buffer)
        return None
      self._buffer += more
