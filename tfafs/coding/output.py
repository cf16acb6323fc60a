"""Files that appear whole or not at all."""

import contextlib
import os
import stat
from typing import BinaryIO, Optional, Union


class OutputFile:
  """A binary file written beside its destination and renamed when it is whole.

  A destination that is no regular file (a FIFO, /dev/stdout) is written directly, and
  a symbolic link stays a link: the file it names is replaced.

  Attributes:
    path: the destination.
    file: binary file object to write to.
    replaces: False if the destination is written directly.
  """

  def __init__(self, path: Union[str, os.PathLike]):
    """Opens the file.

    Args:
      path: destination; an existing file is replaced by `commit`.

    Raises:
      ValueError: the destination is a folder, or its folder does not exist.
      OSError: it may not be written.
    """
    self.path = os.fspath(path)
    real = os.path.realpath(self.path)
    folder = os.path.dirname(real)
    if os.path.isdir(real):
      raise ValueError(f"{self.path!r} is a folder: give the name of a file")
    if not os.path.isdir(folder):
      raise ValueError(f"the folder {folder!r} does not exist: make it first")
    self._real = real
    self.replaces = not os.path.exists(real) or stat.S_ISREG(os.stat(real).st_mode)
    self._written = real
    if self.replaces:
      name = f".{os.path.basename(real)[:200]}.{os.getpid()}.part"
      self._written = os.path.join(folder, name)
    self.file: BinaryIO = open(self._written, "wb")  # noqa: SIM115

  def commit(self) -> None:
    """Closes the file and gives it its name, with its bytes on the disk."""
    self.file.flush()
    if self.replaces:
      os.fsync(self.file.fileno())
    self.file.close()
    if self.replaces:
      os.replace(self._written, self._real)

  def discard(self) -> None:
    """Closes the file and removes it; what had the name before is untouched."""
    try:
      self.file.close()  # may fail as the write did, on a full disk
    except OSError:
      pass
    finally:
      if self.replaces and os.path.exists(self._written):
        os.remove(self._written)


@contextlib.contextmanager
def naming_errors(output: Optional[OutputFile]):
  """Gives an OSError that names no file, as of a full disk, the name of `output`."""
  try:
    yield
  except OSError as error:
    if output and error.filename is None:
      error.filename = output.path
    raise
