"""A codec as exported: loads a SavedModel and runs it one frame at a time.

The SavedModel holds everything, networks and range-coder tables; this file needs only
`tensorflow` and `tensorflow_compression`. The signatures take frames of any size, so
nothing is traced again when the size changes.
"""

import json
import os
import re
from typing import Any, NamedTuple, Optional, Union

import numpy as np
import tensorflow as tf
import tensorflow_compression  # noqa: F401  (registers the range coder's ops)

from tfafs.coding.packing import (
  MAX_QUALITY,
  QUALITY_STEPS,
  FrameRecord,
  StreamError,
  StreamHeader,
)

SIGNATURES = (
  "describe",
  "encode_intra",
  "decode_intra",
  "encode_inter",
  "decode_inter",
)
METADATA_VERSION = 2
_METADATA = {
  "model": lambda value: isinstance(value, str),
  "fingerprint": lambda value: re.fullmatch("[0-9a-f]{64}", str(value)),
  "intra_parts": lambda value: bool(value),
  "inter_parts": lambda value: bool(value),
  "state": lambda value: "reference" in (value or ()),
  "min_size": lambda value: isinstance(value, int),
  "exact_index": lambda value: isinstance(value, bool),
  "quality": lambda value: value is None or _is_range(value),
}


def _is_range(value) -> bool:
  """Whether metadata states a range of qualities that headers can hold."""
  known = {"min": 0, "step": 1 / QUALITY_STEPS}
  return (
    isinstance(value, dict)
    and known.items() <= value.items()
    and value.get("max") in range(1, MAX_QUALITY // QUALITY_STEPS + 1)
  )


class EncodedFrame(NamedTuple):
  """What the encoder makes of one frame.

  Attributes:
    kind: "I" or "P".
    strings: the bit string of each part, in the order of `Codec.intra_parts` or
      `Codec.inter_parts`.
    bits: float32 [len(strings)], bits per part as the model estimates them.
    reconstruction: uint8 [H, W, 3], the frame as the decoder will see it.
  """

  kind: str
  strings: tuple[bytes, ...]
  bits: np.ndarray
  reconstruction: np.ndarray


class Codec:
  """An exported codec. Made by `Codec.load`.

  Attributes:
    path: folder it was loaded from.
    metadata: dict, everything the SavedModel says of itself.
    model: name, such as `stat_ssf_sp`.
    fingerprint: SHA-256, 32 bytes, of all that entropy decoding depends on. Streams
      carry it; only a codec with the same fingerprint decodes them.
    intra_parts, inter_parts: names of the bit strings of I and P frames.
    min_size: smallest width and height, in pixels.
    exact_index: whether what drives the range coder comes from exact integer
      arithmetic, so that its streams decode on every machine.
    max_quality: highest quality of a codec of variable rate, whose lowest is 0; None
      if the codec has one rate.
  """

  def __init__(self, path: str, model: Any, metadata: dict):
    self.path = path
    self.metadata = metadata
    self.model: str = metadata["model"]
    self.fingerprint = bytes.fromhex(metadata["fingerprint"])
    self.intra_parts = tuple(metadata["intra_parts"])
    self.inter_parts = tuple(metadata["inter_parts"])
    self.min_size = int(metadata["min_size"])
    self.exact_index: bool = metadata["exact_index"]
    self.max_quality: Optional[int] = (metadata.get("quality") or {}).get("max")
    self.state_names = tuple(metadata["state"])
    self._model = model  # the signatures do not keep their variables alive
    self.signatures = model.signatures

  @classmethod
  def load(cls, path: Union[str, os.PathLike]) -> "Codec":
    """Loads a SavedModel written by `bin/train` or `model.export_codec`.

    Args:
      path: the SavedModel's folder.

    Returns:
      Codec.

    Raises:
      ValueError: there is no SavedModel, it cannot be loaded, it is no codec that
        this version can run, or its self-test fails here.
    """
    path = os.fspath(path)
    if not tf.io.gfile.exists(os.path.join(path, "saved_model.pb")):
      raise ValueError(
        f"{path!r} holds no SavedModel (no saved_model.pb in it): give the folder "
        "that bin/train exported, such as MODEL_DIR/saved_model"
      )
    try:
      model = tf.saved_model.load(path)
    except Exception as error:  # TF raises nearly anything for a damaged SavedModel
      raise ValueError(
        f"the SavedModel in {path!r} cannot be loaded: {_first_line(error)}"
      ) from error
    signatures = getattr(model, "signatures", {})
    missing = [name for name in SIGNATURES if name not in signatures]
    if missing:
      raise ValueError(
        f"the SavedModel in {path!r} is no tfafs codec: it lacks the signature "
        f"{missing[0]!r} (bin/evaluate_video measures densities of video)"
      )
    metadata = json.loads(signatures["describe"]()["metadata"].numpy())
    version = metadata.get("format_version")
    if version != METADATA_VERSION:
      raise ValueError(
        f"the codec in {path!r} has format version {version}; this tfafs runs version "
        f"{METADATA_VERSION}: use the tfafs that exported it, or export it again"
      )
    for name, good in _METADATA.items():
      if not good(metadata.get(name)):
        raise ValueError(
          f"the codec in {path!r} states {name} {metadata.get(name)!r}, which cannot "
          "be: export it again"
        )
    if metadata["exact_index"] and not _is_exact(signatures):
      raise ValueError(
        f"the codec in {path!r} fails its self-test: TensorFlow does not add exactly "
        "here, and would read other symbols than were written: turn off automatic mixed "
        "precision and other settings that trade exactness for speed"
      )
    return cls(path, model, metadata)

  def quality_steps(self, quality: Optional[float]) -> Optional[int]:
    """Quality as headers state it.

    Args:
      quality: 0 to `max_quality`, rounded to sixteenths; None takes the middle of a
        codec of variable rate, and is all that a codec of one rate takes.

    Returns:
      Number of sixteenths, or None if the codec has one rate.

    Raises:
      ValueError: the codec has no such quality.
    """
    if self.max_quality is None:
      if quality is None:
        return None
      raise ValueError(
        f"quality: the codec in {self.path!r} has one rate and no choice of quality; "
        "leave it out, or give a codec trained with --config.model.variable_rate=True"
      )
    if quality is None:
      quality = self.max_quality / 2
    if not 0 <= quality <= self.max_quality:
      raise ValueError(
        f"quality is {quality:g}; the codec in {self.path!r} takes 0 to "
        f"{self.max_quality}"
      )
    return round(quality * QUALITY_STEPS)

  def check_header(self, header: StreamHeader) -> None:
    """Raises StreamError unless this codec is the one that wrote the stream.

    Args:
      header: the stream's header.
    """
    if (header.model, header.fingerprint) != (self.model, self.fingerprint):
      raise StreamError(
        f"the stream was made by {header.model} {header.fingerprint.hex()[:16]}; "
        f"the codec in {self.path!r} is {self.model} {self.fingerprint.hex()[:16]}: "
        "give the SavedModel that compressed it"
      )
    if header.exact_index != self.exact_index:
      raise StreamError(
        f"the stream's header says exact_index={header.exact_index}, its codec in "
        f"{self.path!r} says {self.exact_index}: the header is not what was written"
      )
    steps = None if self.max_quality is None else QUALITY_STEPS * self.max_quality
    if (header.quality is None) != (steps is None) or (header.quality or 0) > (
      steps or 0
    ):
      raise StreamError(
        f"the stream's header says quality {header.quality} sixteenths, its codec in "
        f"{self.path!r} has {'one rate' if steps is None else f'0 to {steps}'}: the "
        "header is not what was written"
      )


def _quality_input(steps: Optional[int]) -> dict:
  """What the signatures of a codec take of a header's quality."""
  return {} if steps is None else {"quality": tf.constant(steps / QUALITY_STEPS)}


def _is_exact(signatures) -> bool:
  if "self_test" not in signatures:
    return False
  return bool(signatures["self_test"](zero=tf.constant(0.0))["exact"])


def _first_line(error: Exception) -> str:
  text = getattr(error, "message", None) or str(error) or type(error).__name__
  text = text.replace("Graph execution error:", "")
  if asserted := re.search(r"assertion failed: \[(.*?)\]", text):
    return asserted[1]
  return text.strip().splitlines()[0][:200]


def _check_frame(frame: Any, min_size: int, shape: Optional[tuple]) -> None:
  """Raises ValueError unless `frame` is uint8 [H, W, 3] of the size expected."""
  dtype = getattr(frame, "dtype", None)
  if dtype != np.uint8 or len(frame.shape) != 3 or frame.shape[2] != 3:
    raise ValueError(
      "frame must be a uint8 array [height, width, 3] of RGB, not "
      f"{dtype or type(frame).__name__} {list(getattr(frame, 'shape', []))}"
    )
  if min(frame.shape[:2]) < min_size:
    raise ValueError(
      f"frames of {frame.shape[1]}x{frame.shape[0]} are too small: the codec takes "
      f"{min_size}x{min_size} and larger"
    )
  if shape is not None and tuple(frame.shape) != shape:
    raise ValueError(
      f"frame is {frame.shape[1]}x{frame.shape[0]}, those before it were "
      f"{shape[1]}x{shape[0]}: all frames of a stream have one size"
    )


class Encoder:
  """Encodes frames one after the other; holds the state behind the last one."""

  def __init__(self, codec: Codec, gop: int = 12, quality: Optional[float] = None):
    """Makes an encoder at the start of a video.

    Args:
      codec: Codec.
      gop: every `gop`-th frame is intra; 0: only the first is.
      quality: of a codec of variable rate, see `Codec.quality_steps`.

    Raises:
      ValueError: `gop` is negative, or the codec has no such quality.
    """
    if gop < 0:
      raise ValueError(f"gop is {gop}: give 0 (one intra frame) or more")
    self.quality_steps = codec.quality_steps(quality)
    self._quality = _quality_input(self.quality_steps)
    self.codec = codec
    self.gop = gop
    self.frames = 0
    self._shape = None
    self._state: dict[str, tf.Tensor] = {}

  def encode(self, frame: np.ndarray) -> EncodedFrame:
    """Encodes the next frame.

    Args:
      frame: uint8 [H, W, 3], RGB; H and W at least `codec.min_size`, and the same for
        all frames.

    Returns:
      EncodedFrame.

    Raises:
      ValueError: `frame` is something else, or the codec's weights are not finite.
      MemoryError: the frame is too large for this machine.
    """
    _check_frame(frame, self.codec.min_size, self._shape)
    intra = self.frames % self.gop == 0 if self.gop else self.frames == 0
    signatures = self.codec.signatures
    frame_tensor = tf.constant(frame)
    try:
      if intra:
        out = dict(signatures["encode_intra"](frame=frame_tensor, **self._quality))
      else:
        inputs = {**self._state, **self._quality}
        out = dict(signatures["encode_inter"](frame=frame_tensor, **inputs))
    except tf.errors.ResourceExhaustedError as error:
      raise MemoryError(_out_of_memory(frame.shape)) from error
    except tf.errors.InvalidArgumentError as error:
      raise ValueError(
        f"frame {self.frames} cannot be encoded: {_first_line(error)}: the codec in "
        f"{self.codec.path!r} has bad weights, export another checkpoint"
      ) from error
    strings = tuple(out.pop("strings").numpy().tolist())
    bits = out.pop("bits").numpy()
    self._state = {name: out[name] for name in self.codec.state_names}
    self._shape = tuple(frame.shape)
    self.frames += 1
    reconstruction = out["reference"].numpy()
    return EncodedFrame("I" if intra else "P", strings, bits, reconstruction)


class Decoder:
  """Decodes frames one after the other; holds the state behind the last one."""

  def __init__(
    self, codec: Codec, width: int, height: int, quality_steps: Optional[int] = None
  ):
    """Makes a decoder at the start of a stream.

    Args:
      codec: Codec.
      width: of the frames, in pixels.
      height: of the frames, in pixels.
      quality_steps: the header's quality, or `Encoder.quality_steps`.

    Raises:
      ValueError: the size is smaller than the codec takes.
    """
    if min(width, height) < codec.min_size:
      raise ValueError(
        f"frames of {width}x{height} are too small: the codec takes "
        f"{codec.min_size}x{codec.min_size} and larger"
      )
    self.codec = codec
    self.frames = 0
    self._shape = (height, width, 3)
    self._size = tf.constant([height, width], tf.int32)
    self._quality = _quality_input(quality_steps)
    self._state: dict[str, tf.Tensor] = {}

  def decode(self, frame: Union[FrameRecord, EncodedFrame]) -> np.ndarray:
    """Decodes the next frame.

    Args:
      frame: anything with a `kind` ("I" or "P") and `strings` (bytes per part); its
        `index`, if it has one, is what error messages call it.

    Returns:
      uint8 [H, W, 3], RGB; equal to the encoder's reconstruction.

    Raises:
      StreamError: the strings are not what the codec made.
      MemoryError: the frame is too large for this machine.
    """
    intra = frame.kind == "I"
    index = self.frames if isinstance(frame, EncodedFrame) else frame.index
    parts = self.codec.intra_parts if intra else self.codec.inter_parts
    if len(frame.strings) != len(parts):
      raise _error(
        index,
        f"it has {len(frame.strings)} strings; an {frame.kind} frame of "
        f"{self.codec.model} has {len(parts)} ({', '.join(parts)})",
      )
    if not intra and not self._state:
      raise _error(index, "a P frame cannot be decoded before an I frame")
    strings = tf.constant(list(frame.strings), tf.string)
    signatures = self.codec.signatures
    try:
      if intra:
        inputs = {"size": self._size, **self._quality}
        out = signatures["decode_intra"](strings=strings, **inputs)
      else:
        inputs = {**self._state, **self._quality}
        out = signatures["decode_inter"](strings=strings, **inputs)
      state = {name: out[name] for name in self.codec.state_names}
      reconstruction = state["reference"].numpy()
    except tf.errors.ResourceExhaustedError as error:
      raise MemoryError(_out_of_memory(self._shape)) from error
    except tf.errors.OpError as error:
      raise _error(index, f"its strings do not decode: {_first_line(error)}") from error
    if reconstruction.shape != self._shape:
      raise _error(index, f"it decodes to {reconstruction.shape}, not {self._shape}")
    self._state = state
    self.frames += 1
    return reconstruction


def _out_of_memory(shape: tuple) -> str:
  return f"not enough memory for frames of {shape[1]}x{shape[0]}"


def _error(index: int, message: str) -> StreamError:
  return StreamError(f"frame {index}: {message}", frame=index)
