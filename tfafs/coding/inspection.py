"""What a stream holds, without decoding it: header, frames, groups, checks."""

import os
from collections.abc import Sequence
from typing import BinaryIO, NamedTuple, Optional, Union

from tfafs.coding import bitstream, packing, record, seek_index


class FrameReport(NamedTuple):
  """One frame of a stream.

  Attributes:
    index: its number.
    kind: "I" or "P".
    num_bytes: size of its record, framing and checksums included.
    part_bytes: size of each part's bit string, in the codec's order.
    crc: CRC-32 of the decoded frame, None in a stream without checksums of frames.
  """

  index: int
  kind: str
  num_bytes: int
  part_bytes: tuple[int, ...]
  crc: Optional[int] = None


class StreamReport(NamedTuple):
  """What a stream holds.

  Attributes:
    header: StreamHeader.
    frames: list of FrameReport, all whole frames from the start.
    num_bytes: bytes read: all of a sound stream, else those up to the fault.
    fault: what is wrong with the stream, None if it is sound.
    index: list of IndexEntry, None if the stream has no index or was not read to it.
    index_bytes: size of the index's record.
  """

  header: packing.StreamHeader
  frames: Sequence[FrameReport]
  num_bytes: int
  fault: Optional[str]
  index: Optional[Sequence[seek_index.IndexEntry]] = None
  index_bytes: int = 0

  @property
  def seconds(self) -> float:
    """Playing time of the frames."""
    return len(self.frames) / float(self.header.frame_rate)

  @property
  def bits_per_pixel(self) -> float:
    """Bits read per pixel of the frames; NaN without frames."""
    pixels = len(self.frames) * self.header.width * self.header.height
    return 8 * self.num_bytes / pixels if pixels else float("nan")

  @property
  def groups(self) -> list:
    """(first frame, frames, bytes) of each group of pictures."""
    groups = []
    for frame in self.frames:
      if frame.kind == "I":
        groups.append([frame.index, 0, 0])
      groups[-1][1] += 1
      groups[-1][2] += frame.num_bytes
    return [tuple(group) for group in groups]

  def to_json(self) -> dict:
    """The report as what JSON can hold."""
    header = self.header
    return {
      "header": {
        **header._asdict(),
        "fingerprint": header.fingerprint.hex(),
        "frame_rate": str(header.frame_rate),
        "first_frame": f"{header.first_frame:08x}",
        "quality": header.quality and header.quality / packing.QUALITY_STEPS,
      },
      "sound": self.fault is None,
      "fault": self.fault,
      "bytes": self.num_bytes,
      "bits_per_pixel": self.bits_per_pixel if self.frames else None,
      "seconds": self.seconds,
      "index": None
      if self.index is None
      else {
        "bytes": self.index_bytes,
        "entries": [{"frame": e.frame, "offset": e.offset} for e in self.index],
      },
      "groups": [dict(zip(("first", "frames", "bytes"), g)) for g in self.groups],
      "frames": [
        {
          "index": frame.index,
          "kind": frame.kind,
          "bytes": frame.num_bytes,
          "parts": list(frame.part_bytes),
          "crc": None if frame.crc is None else f"{frame.crc:08x}",
        }
        for frame in self.frames
      ],
    }


class _CountingFile:
  """A file that counts the bytes read from it."""

  def __init__(self, file):
    self._file = file
    self.count = 0

  def read(self, size):
    data = self._file.read(size)
    self.count += len(data)
    return data


def inspect_stream(source: Union[str, os.PathLike, BinaryIO]) -> StreamReport:
  """Reads a stream to its end, verifying all its checksums.

  Args:
    source: path, or binary file object with `read`.

  Returns:
    StreamReport. A stream that is damaged or cut behind its header is reported as far
    as it is sound.

  Raises:
    StreamError: it is no stream, or its header is damaged.
    OSError: it cannot be read.
  """
  if not hasattr(source, "read"):
    with open(source, "rb") as file:
      return inspect_stream(file)
  file = _CountingFile(source)
  reader = bitstream.StreamReader(file)
  frames, fault = [], None
  try:
    for frame in reader:
      # The body is followed by the seal of an I frame, and the chain.
      size = len(packing.pack_frame(frame)) + 4 + record.OVERHEAD
      size += packing.SEAL_BYTES if frame.kind == "I" else 0
      parts = tuple(map(len, frame.strings))
      crc = frame.checksum and int.from_bytes(frame.checksum[:4], "little")
      frames.append(FrameReport(frame.index, frame.kind, size, parts, crc))
  except packing.StreamError as error:
    fault = str(error)
  return StreamReport(
    reader.header, frames, file.count, fault, reader.index, reader.index_bytes
  )


def _quality(header) -> str:
  if header.quality is None:
    return ""
  return f", quality {header.quality / packing.QUALITY_STEPS:g}"


def format_report(report: StreamReport, name: str) -> str:
  """The report as text: a summary, then a line per frame.

  Args:
    report: StreamReport.
    name: what to call the stream.
  """
  header, frames = report.header, report.frames
  promised = "live" if header.frame_count is None else f"{header.frame_count} promised"
  gop = f"GOP {header.gop}" if header.gop else "one group"
  lines = [
    f"{name}: {header.model}, {header.width}x{header.height}, "
    f"{float(header.frame_rate):.6g} frames/s, {gop}{_quality(header)}",
    f"codec    {header.fingerprint.hex()}",
    "decodes  "
    + (
      "on every machine: scale indexes from exact integer arithmetic"
      if header.exact_index
      else "where it was written: scale indexes from floating point"
    ),
    f"frames   {len(frames)} ({promised}), {report.seconds:.2f} s",
    f"bytes    {report.num_bytes}"
    + (f", {report.bits_per_pixel:.4f} bits per pixel" if frames else ""),
  ]
  for kind in ("I", "P"):
    sizes = [frame.num_bytes for frame in frames if frame.kind == kind]
    if sizes:
      mean = sum(sizes) / len(sizes)
      lines.append(f"{kind} frames {len(sizes)}, {mean:.0f} bytes each on average")
  lines.append(
    f"check    {packing.CHECKSUM_BYTES} bytes for each decoded frame"
    if header.frame_checksums
    else "check    no checksums of decoded frames"
  )
  groups = [frames for _, frames, _ in report.groups]
  if groups:
    lines.append(f"groups   {len(groups)}, of {min(groups)} to {max(groups)} frames")
  lines.append(
    "index    none"
    if report.index is None
    else f"index    {len(report.index)} entries, {report.index_bytes} bytes"
  )
  lines.append(f"checks   {'sound to its end' if not report.fault else report.fault}")
  lines += ["", f"{'frame':>7} kind {'bytes':>8}  parts"]
  if header.frame_checksums:
    lines[-1] = f"{'frame':>7} kind {'bytes':>8}  {'CRC-32':8}  parts"
  for frame in frames:
    parts = " + ".join(map(str, frame.part_bytes))
    crc = "" if frame.crc is None else f"{frame.crc:08x}  "
    lines.append(f"{frame.index:7d}    {frame.kind} {frame.num_bytes:8d}  {crc}{parts}")
  return "\n".join(lines)
