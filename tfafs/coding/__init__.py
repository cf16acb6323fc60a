"""Compressed streams, the codecs that make them, and video files.

Names are imported when they are first used: who only reads bytes does not wait for
TensorFlow.
"""

import importlib

_MODULES = {
  "bitstream": ("StreamReader", "StreamWriter"),
  "codec": ("Codec", "Decoder", "EncodedFrame", "Encoder"),
  "compressed_reader": ("CompressedVideoReader",),
  "compressed_video": (
    "CompressedVideoWriter",
    "CompressionSummary",
    "DecompressionSummary",
    "compress_video",
    "decompress_video",
  ),
  "frame_checksum": ("DriftSummary", "FrameCheck"),
  "inspection": ("FrameReport", "StreamReport", "inspect_stream"),
  "packing": ("FrameRecord", "StreamError", "StreamHeader"),
  "resilient": ("ResilientStreamReader",),
  "video_reader": ("open_video",),
  "video_writer": ("open_writer",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name):
  """Imports what `tfafs.coding` exports (PEP 562)."""
  if name not in _MODULE_OF:
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
  module = importlib.import_module(f"{__name__}.{_MODULE_OF[name]}")
  value = globals()[name] = getattr(module, name)
  return value


def __dir__():
  return sorted({*globals(), *__all__})
