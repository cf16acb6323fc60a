import io
import os
import struct
import threading
import tracemalloc

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfafs.coding import record


def _written(*payloads):
  file = io.BytesIO()
  for payload in payloads:
    assert record.write_record(file, payload) == len(payload) + record.OVERHEAD
  return file.getvalue()


def _read_all(data, max_length=1 << 20):
  file = io.BytesIO(data)
  payloads = []
  while (payload := record.read_record(file, max_length)) is not None:
    payloads.append(payload)
  return payloads


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_round_trip(payloads):
  assert _read_all(_written(*payloads)) == payloads


def test_tf_data_reads_our_files_and_we_read_theirs(tmp_path):
  payloads = [b"", b"a", bytes(range(256)) * 300]
  ours = tmp_path / "ours"
  ours.write_bytes(_written(*payloads))
  assert list(tf.data.TFRecordDataset(str(ours)).as_numpy_iterator()) == payloads
  theirs = str(tmp_path / "theirs")
  with tf.io.TFRecordWriter(theirs) as writer:
    for payload in payloads:
      writer.write(payload)
  with open(theirs, "rb") as file:
    assert file.read() == ours.read_bytes()


def test_every_truncation_is_said_to_be_one():
  data = _written(b"first", b"second")
  whole = {0, len(_written(b"first"))}
  for end in range(len(data)):
    if end in whole:
      assert len(_read_all(data[:end])) == sorted(whole).index(end)
    else:
      with pytest.raises(record.RecordError) as error:
        _read_all(data[:end])
      assert error.value.truncated


def test_every_bit_flip_is_found():
  data = _written(b"payload of a record")
  for bit in range(8 * len(data)):
    damaged = bytearray(data)
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(record.RecordError) as error:
      _read_all(bytes(damaged))
    assert not error.value.truncated


@pytest.mark.parametrize("length", [101, 1 << 40, (1 << 64) - 1])
def test_length_above_the_bound_with_right_checksum(length):
  head = struct.pack("<Q", length)
  data = head + struct.pack("<I", record.masked_crc32c(head)) + bytes(1000)
  with pytest.raises(record.RecordError, match=f"claims {length} bytes.*at most 100"):
    _read_all(data, max_length=100)


def test_a_length_within_the_bound_allocates_only_what_is_there():
  head = struct.pack("<Q", 1 << 30)
  data = head + struct.pack("<I", record.masked_crc32c(head)) + bytes(5000)
  tracemalloc.start()
  try:
    with pytest.raises(record.RecordError, match="ends within a record"):
      _read_all(data, max_length=1 << 31)
    peak = tracemalloc.get_traced_memory()[1]
  finally:
    tracemalloc.stop()
  assert peak < 4 << 20


def test_unbuffered_pipe_with_short_reads_and_writes():
  payload = os.urandom(300_000)  # several times a pipe's buffer
  reading, writing = os.pipe()

  def write():
    with open(writing, "wb", buffering=0) as file:
      record.write_record(file, payload)
      record.write_record(file, b"end")

  thread = threading.Thread(target=write)
  thread.start()
  with open(reading, "rb", buffering=0) as file:
    assert record.read_record(file, 1 << 20) == payload
    assert record.read_record(file, 1 << 20) == b"end"
    assert record.read_record(file, 1 << 20) is None
  thread.join()
