"""Compressed streams, the codecs that make them, and video files."""

from tfafs.coding.bitstream import StreamReader, StreamWriter
from tfafs.coding.codec import Codec, Decoder, EncodedFrame, Encoder
from tfafs.coding.compressed_video import (
  CompressedVideoReader,
  CompressedVideoWriter,
  CompressionSummary,
  DecompressionSummary,
  compress_video,
  decompress_video,
)
from tfafs.coding.inspection import FrameReport, StreamReport, inspect_stream
from tfafs.coding.packing import FrameRecord, StreamError, StreamHeader
from tfafs.coding.video_reader import open_video
from tfafs.coding.video_writer import open_writer

__all__ = [
  "Codec",
  "CompressedVideoReader",
  "CompressedVideoWriter",
  "CompressionSummary",
  "Decoder",
  "DecompressionSummary",
  "EncodedFrame",
  "Encoder",
  "FrameRecord",
  "FrameReport",
  "StreamError",
  "StreamHeader",
  "StreamReader",
  "StreamReport",
  "StreamWriter",
  "compress_video",
  "decompress_video",
  "inspect_stream",
  "open_video",
  "open_writer",
]
