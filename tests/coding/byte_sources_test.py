import io
import os
import struct
import threading
import time

import pytest

from tfafs.coding import record
from tfafs.coding.byte_sources import GrowingFile, RewindableFile


def _record(payload):
  file = io.BytesIO()
  record.write_record(file, payload)
  return file.getvalue()


class _Trickle:
  """A file that gives a few bytes at a time."""

  def __init__(self, data, step):
    self._file, self._step = io.BytesIO(data), step

  def read(self, size):
    return self._file.read(min(size, self._step))


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize(
  "noise", [b"", b"\0", bytes(50), os.urandom(100_000), b"\0\0x"]
)
def test_finds_the_next_record_behind_noise(noise, step):
  if step == 1:
    noise = noise[:1000]
  data = noise + _record(b"one") + b"?" + _record(b"") + _record(bytes(200))
  file = RewindableFile(_Trickle(data, step))
  assert file.search(0, 1000) == b"one"
  assert file.read(1) == b"?"
  file.mark()
  assert file.search(0, 1000) == b""
  assert file.search(16, 1000) == bytes(200)  # 16 bytes behind the mark, at ""
  assert file.search(1, 1000) is None
  assert file.read(1) == b""


def test_goes_back_to_the_mark_only():
  data = _record(b"first") + _record(b"second")
  file = RewindableFile(io.BytesIO(data))
  assert record.read_record(file, 100) == b"first"
  assert file.search(0, 100) == b"first"
  assert file.search(1, 100) == b"second"
  file.mark()
  assert file.search(0, 100) is None


def test_a_record_within_a_damaged_one_and_too_long_ones():
  inner = _record(b"inner")
  outer = _record(b"before" + inner + b"after")
  damaged = outer[:-1] + bytes([outer[-1] ^ 1])
  assert RewindableFile(io.BytesIO(damaged)).search(0, 100) == b"inner"
  assert RewindableFile(io.BytesIO(damaged)).search(0, 4) is None


def test_false_starts_do_not_take_for_ever():
  """Lengths with right checksums everywhere, each of half a file that is no record."""
  head = struct.pack("<Q", 2_000_000)
  head += struct.pack("<I", record.masked_crc32c(head))
  file = RewindableFile(io.BytesIO(head * 400_000))
  start = time.monotonic()
  assert file.search(0, 1 << 22) is None
  assert time.monotonic() - start < 20  # all of them would take some minutes


def test_growing_file(tmp_path):
  path = tmp_path / "growing"
  path.write_bytes(b"ab")

  def write():
    with open(path, "ab", buffering=0) as file:
      for byte in b"cde":
        time.sleep(0.1)
        file.write(bytes([byte]))

  thread = threading.Thread(target=write)
  with open(path, "rb") as plain:
    file = GrowingFile(plain, timeout=30)
    assert file.read(2) == b"ab"
    thread.start()
    assert record.read_exactly(file, 3) == b"cde"
    file.patient = False
    assert file.read(1) == b""
  thread.join()
  with open(path, "rb") as plain:
    file = GrowingFile(plain, timeout=0.2)
    assert record.read_exactly(file, 9) == b"abcde"
