"""What `fuzz_streams.py` does to streams: one function per kind of damage.

Each takes a random generator, the sound stream and another of the same codec, and
returns bytes. `DAMAGES` leave some trace that a reader must find, `FORGED` have all
checksums right.
"""

import io
import struct
import zlib

from tfafs.coding import packing, record, seek_index


def split(stream):
  """Payloads of the records of a stream."""
  file, payloads = io.BytesIO(stream), []
  while (payload := record.read_record(file, 1 << 30)) is not None:
    payloads.append(payload)
  return payloads


def join(payloads):
  file = io.BytesIO()
  for payload in payloads:
    record.write_record(file, payload)
  return file.getvalue()


def bodies_of(payloads):
  """Bodies of the records behind the header, without seals and chains."""
  identity = packing.stream_id(payloads[0])
  return [packing.unpack_payload(payload, identity)[0] for payload in payloads[1:]]


def rechain(header, bodies):
  """A stream of these bodies with all checksums right."""
  header = header._replace(first_frame=zlib.crc32(bodies[0]))
  payloads = [packing.pack_header(header)]
  identity = packing.stream_id(payloads[0])
  chain = identity
  for body in bodies:
    payloads.append(packing.pack_payload(body, chain, identity))
    chain = zlib.crc32(body, chain)
  return join(payloads)


def flip_bits(random, data, count):
  damaged = bytearray(data)
  for bit in random.integers(0, 8 * len(data), count):
    damaged[bit // 8] ^= 1 << bit % 8
  return bytes(damaged)


def one_bit(random, stream, _):
  return flip_bits(random, stream, 1)


def some_bits(random, stream, _):
  return flip_bits(random, stream, int(random.integers(2, 65)))


def burst(random, stream, _):
  start = int(random.integers(len(stream)))
  noise = random.bytes(int(random.integers(1, 200)))
  return (stream[:start] + noise + stream[start + len(noise) :])[: len(stream)]


def truncated(random, stream, _):
  return stream[: int(random.integers(len(stream)))]


def missing_bytes(random, stream, _):
  start = int(random.integers(len(stream)))
  return stream[:start] + stream[start + int(random.integers(1, 50)) :]


def more_bytes(random, stream, _):
  start = int(random.integers(len(stream) + 1))
  return stream[:start] + random.bytes(int(random.integers(1, 50))) + stream[start:]


def swapped_records(random, stream, _):
  payloads = split(stream)
  i, j = random.choice(len(payloads), 2, replace=False)
  payloads[i], payloads[j] = payloads[j], payloads[i]
  return join(payloads)


def repeated_record(random, stream, _):
  payloads = split(stream)
  copy = payloads[int(random.integers(len(payloads)))]
  payloads.insert(int(random.integers(len(payloads) + 1)), copy)
  return join(payloads)


def dropped_record(random, stream, _):
  payloads = split(stream)
  del payloads[int(random.integers(len(payloads)))]
  return join(payloads)


def foreign_record(random, stream, other):
  """A record, header included, replaced by its counterpart of another stream."""
  payloads, others = split(stream), split(other)
  i = int(random.integers(len(payloads)))
  payloads[i] = others[min(i, len(others) - 1)]
  return join(payloads)


def foreign_tail(random, stream, other):
  """Two streams of the same codec, joined at a record."""
  payloads, others = split(stream), split(other)
  i = int(random.integers(1, len(payloads)))
  return join([*payloads[:i], *others[i:]])


def altered_record(random, stream, _):
  """Bits of a record flipped, and the record's own checksum made right again."""
  payloads = split(stream)
  i = int(random.integers(len(payloads)))
  payloads[i] = flip_bits(random, payloads[i], int(random.integers(1, 5)))
  return join(payloads)


def random_record(random, stream, _):
  payloads = split(stream)
  noise = random.bytes(int(random.integers(0, 500)))
  payloads[int(random.integers(len(payloads)))] = noise
  return join(payloads)


def wrong_length(random, stream, _):
  """A length that is huge or a little wrong, with its checksum right."""
  file = io.BytesIO(stream)
  starts = []
  while file.tell() < len(stream):
    starts.append(file.tell())
    record.read_record(file, 1 << 30)
  start = starts[int(random.integers(len(starts)))]
  (length,) = struct.unpack_from("<Q", stream, start)
  wrong = int(
    random.choice([2**63, 2**40, 2**31, 2**20, 70000, length + 1, length // 2, 0])
  )
  field = struct.pack("<Q", wrong)
  field += struct.pack("<I", record.masked_crc32c(field))
  return stream[:start] + field + stream[start + len(field) :]


def wrong_model(random, stream, _):
  """A sound stream of a codec with another fingerprint, name or guarantee."""
  payloads = split(stream)
  header = packing.unpack_header(payloads[0])
  choice = random.integers(3)
  if choice == 0:
    header = header._replace(model="ssf")
  elif choice == 1:
    header = header._replace(fingerprint=flip_bits(random, header.fingerprint, 1))
  else:
    header = header._replace(exact_index=not header.exact_index)
  return rechain(header, bodies_of(payloads))


def wrong_size(random, stream, _):
  """A header that states another size, with the record's checksum right."""
  header, *rest = split(stream)
  width, height = (int(n) for n in random.choice([0, 1, 16, 64, 4096, 65535], 2))
  header = header[:7] + struct.pack("<HH", width, height) + header[11:]
  return join([header, *rest])


def groups(payloads):
  """Header, the groups of frames, index and end, as lists of payloads."""
  out = [[]]
  for payload in payloads:
    if payload[:1] in (b"I", b"x"):
      out.append([])
    out[-1].append(payload)
  return out


def shuffled_groups(random, stream, _):
  """Groups of pictures swapped, repeated or gone."""
  head, *rest, tail = groups(split(stream))
  order = random.integers(0, len(rest), random.integers(0, len(rest) + 2))
  return join([*head, *(p for i in order for p in rest[i]), *tail])


def foreign_group(random, stream, other):
  parts, others = groups(split(stream)), groups(split(other))
  i = int(random.integers(1, len(parts)))
  parts[i] = others[i]
  return join([payload for part in parts for payload in part])


def damaged_index(random, stream, _):
  """Bits of index or end flipped, their own checksums made right or not."""
  payloads = split(stream)
  i = -int(random.integers(1, 3))
  if random.integers(2):
    payloads[i] = flip_bits(random, payloads[i], int(random.integers(1, 5)))
    return join(payloads)
  size = len(payloads[i]) + record.OVERHEAD
  end = len(stream) - (len(payloads[-1]) + record.OVERHEAD) * (i == -2)
  part = flip_bits(random, stream[end - size : end], int(random.integers(1, 5)))
  return stream[: end - size] + part + stream[end:]


def several(random, stream, other):
  """Two to four of the other damages, one after the other."""
  damaged = stream
  for _ in range(int(random.integers(2, 5))):
    damage = SIMPLE[int(random.integers(len(SIMPLE)))]
    try:
      damaged = damage(random, damaged, other)
    except (ValueError, IndexError, struct.error):
      continue  # too much is damaged already to do this one
    if not damaged:
      break
  # With the header and the records of the other stream it is the other, and sound.
  header = len(split(other)[0]) + record.OVERHEAD
  if damaged[:header] == other[:header]:
    return several(random, stream, other)
  return damaged


def garbage(random, *_):
  return random.bytes(int(random.integers(0, 5000)))


def garbage_records(random, *_):
  count = int(random.integers(1, 5))
  return join([random.bytes(int(random.integers(0, 500))) for _ in range(count)])


def forged_strings(random, stream, _):
  """Random strings, or a wrong size, in a stream with all checksums right."""
  payloads = split(stream)
  header, bodies = packing.unpack_header(payloads[0]), bodies_of(payloads)
  if random.integers(4) == 0:
    header = header._replace(
      width=int(random.integers(16, 400)), height=int(random.integers(16, 400))
    )
    return rechain(header, bodies)
  i = int(random.integers(len(bodies) - 2))
  frame = packing.unpack_frame(bodies[i], True)
  strings = list(frame.strings)
  j = int(random.integers(len(strings)))
  strings[j] = (
    flip_bits(random, strings[j], 1)
    if strings[j] and random.integers(2)
    else random.bytes(int(random.integers(0, 300)))
  )
  bodies[i] = packing.pack_frame(frame._replace(strings=tuple(strings)))
  return rechain(header, bodies)


def forged_checksum(random, stream, _):
  """A frame's checksum changed."""
  payloads = split(stream)
  bodies = bodies_of(payloads)
  i = int(random.integers(len(bodies) - 2))
  frame = packing.unpack_frame(bodies[i], True)
  wrong = flip_bits(random, frame.checksum, int(random.integers(1, 9)))
  bodies[i] = packing.pack_frame(frame._replace(checksum=wrong))
  return rechain(packing.unpack_header(payloads[0]), bodies)


def forged_numbers(random, stream, _):
  """Frames that say they are others, an end that counts others."""
  payloads = split(stream)
  header, bodies = packing.unpack_header(payloads[0]), bodies_of(payloads)
  for _ in range(int(random.integers(1, 4))):
    i = int(random.integers(len(bodies)))
    number = int(random.choice([0, 2, 5, 9, 300, 65540, 2**31, 2**32 - 1]))
    if bodies[i][:1] == b"E":
      bodies[i] = b"E" + struct.pack("<II", number, int(random.integers(200)))
    elif bodies[i][:1] != b"x":
      frame = packing.unpack_frame(bodies[i], True)
      bodies[i] = packing.pack_frame(frame._replace(index=number))
  if random.integers(2):
    header = header._replace(frame_count=None)
  return rechain(header, bodies)


def forged_index(random, stream, _):
  """Entries of the index changed, swapped or gone."""
  payloads = split(stream)
  header, bodies = packing.unpack_header(payloads[0]), bodies_of(payloads)
  entries = seek_index.unpack(bodies[-2])
  i = int(random.integers(len(entries)))
  change = random.integers(5)
  if change == 0:
    entries[i] = entries[i]._replace(frame=int(random.integers(10)))
  elif change == 1:
    entries[i] = entries[i]._replace(offset=int(random.integers(len(stream) + 99)))
  elif change == 2:
    entries[i] = entries[i]._replace(chain=int(random.integers(2**32)))
  elif change == 3:
    del entries[i]
  else:
    j = int(random.integers(len(entries)))
    entries[i] = entries[i]._replace(offset=entries[j].offset, chain=entries[j].chain)
  bodies[-2] = seek_index.pack(entries)
  size = len(bodies[-2]) + 8 + record.OVERHEAD
  bodies[-1] = bodies[-1][:5] + struct.pack("<I", size)
  return rechain(header, bodies)


SIMPLE = (
  one_bit,
  some_bits,
  burst,
  truncated,
  missing_bytes,
  more_bytes,
  swapped_records,
  repeated_record,
  dropped_record,
  foreign_record,
  foreign_tail,
  shuffled_groups,
  foreign_group,
  altered_record,
  damaged_index,
  random_record,
  wrong_length,
  wrong_size,
)
DAMAGES = (*SIMPLE, several, wrong_model, forged_index, garbage, garbage_records)
FORGED = (forged_strings, forged_checksum, forged_numbers)
