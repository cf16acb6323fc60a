import os
import stat
import threading

import pytest

from tfafs.coding.output import OutputFile, naming_errors


def test_commit_replaces_and_discard_does_not(tmp_path):
  path = tmp_path / "file"
  path.write_bytes(b"old")
  output = OutputFile(path)
  output.file.write(b"half")
  assert path.read_bytes() == b"old"
  output.discard()
  assert path.read_bytes() == b"old"
  output = OutputFile(path)
  output.file.write(b"new")
  output.commit()
  assert path.read_bytes() == b"new"
  assert os.listdir(tmp_path) == ["file"]


def test_permissions_are_those_of_open(tmp_path):
  output = OutputFile(tmp_path / "ours")
  output.commit()
  (tmp_path / "plain").write_bytes(b"")
  modes = {stat.S_IMODE(os.stat(tmp_path / n).st_mode) for n in ("ours", "plain")}
  assert len(modes) == 1


def test_symbolic_link_stays(tmp_path):
  target, link = tmp_path / "target", tmp_path / "link"
  target.write_bytes(b"old")
  link.symlink_to(target)
  output = OutputFile(link)
  output.file.write(b"new")
  output.commit()
  assert link.is_symlink() and target.read_bytes() == b"new"


def test_fifo_is_written_directly(tmp_path):
  path = tmp_path / "fifo"
  os.mkfifo(path)
  received = []
  thread = threading.Thread(target=lambda: received.append(path.read_bytes()))
  thread.start()
  output = OutputFile(path)
  assert not output.replaces
  output.file.write(b"through")
  output.commit()
  thread.join(10)
  assert received == [b"through"]
  assert stat.S_ISFIFO(os.stat(path).st_mode)


def test_impossible_destinations(tmp_path):
  with pytest.raises(ValueError, match="is a folder"):
    OutputFile(tmp_path)
  with pytest.raises(ValueError, match="does not exist: make it first"):
    OutputFile(tmp_path / "no" / "file")


def test_errors_get_a_name(tmp_path):
  output = OutputFile(tmp_path / "file")
  with pytest.raises(OSError) as error, naming_errors(output):
    raise OSError(28, "No space left on device")
  assert error.value.filename == output.path
  with pytest.raises(OSError) as error, naming_errors(None):
    raise OSError(28, "No space left on device")
  assert error.value.filename is None
  output.discard()
