"""Results as JSON and CSV, and back; files that appear whole or not at all."""

import csv
import io
import json
import os
from collections.abc import Sequence
from typing import Any, Union

from tfafs.coding import output
from tfafs.evaluation import rd_curves

FORMAT_VERSION = 1
_CSV_FIELDS = (
  *("clip", "codec", "setting", "width", "height", "frame_rate", "gop", "num_frames"),
  *("file_bytes", "payload_bytes", "bpp", "payload_bpp", "psnr", "ms_ssim"),
  *("encode_fps", "decode_fps", "mismatched_frames"),
)


def to_json(evaluation: Any) -> str:
  """A NamedTuple and all it holds as JSON objects, with `format_version` first."""
  return json.dumps(
    {"format_version": FORMAT_VERSION, **_plain(evaluation)}, indent=1, allow_nan=False
  )


def read_results(path: Union[str, os.PathLike]) -> list[rd_curves.ClipResult]:
  """Reads the clip results back from an evaluation.json, to plot or compare them.

  Raises:
    ValueError: the file is no evaluation of this format version.
    OSError: it cannot be read.
  """
  with open(path, encoding="utf-8") as file:
    try:
      content = json.load(file)
    except ValueError as error:
      raise ValueError(
        f"{path}: not JSON ({error}); give an evaluation.json"
      ) from error
  version = content.get("format_version") if isinstance(content, dict) else None
  if version != FORMAT_VERSION:
    raise ValueError(
      f"{path}: format version {version}, expected {FORMAT_VERSION}; give an "
      "evaluation.json written by this version of bin/evaluate"
    )
  results = []
  for result in content["results"]:
    result["frames"] = [rd_curves.FrameResult(**frame) for frame in result["frames"]]
    results.append(rd_curves.ClipResult(**result))
  return results


def to_csv(results: Sequence[rd_curves.ClipResult]) -> str:
  """One row for each result, with a header; without the single frames."""
  file = io.StringIO()
  writer = csv.writer(file, lineterminator="\n")
  parts = list(dict.fromkeys(name for r in results for name in r.part_bytes or ()))
  bytes_names = [f"{name}_bytes" for name in parts]
  bits_names = [f"{name}_estimated_bits" for name in parts]
  writer.writerow([*_CSV_FIELDS, *bytes_names, *bits_names])
  for result in results:
    row = [getattr(result, field) for field in _CSV_FIELDS]
    for values in (result.part_bytes or {}, result.part_bits or {}):
      row += [values.get(name) for name in parts]
    writer.writerow(row)
  return file.getvalue()


def write(path: Union[str, os.PathLike], content: Union[str, bytes]) -> None:
  """Writes a file beside its destination and renames it when it is whole."""
  data = content.encode("utf-8") if isinstance(content, str) else content
  file = output.OutputFile(path)
  try:
    file.file.write(data)
    file.commit()
  except BaseException:
    file.discard()
    raise


def _plain(value: Any) -> Any:
  if hasattr(value, "_asdict"):
    return {name: _plain(item) for name, item in value._asdict().items()}
  if isinstance(value, dict):
    return {name: _plain(item) for name, item in value.items()}
  if isinstance(value, (list, tuple)):
    return [_plain(item) for item in value]
  return value
