"""CompressAI's ssf2020 as a peer: its virtual environment, and the process it runs in."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def make_environment(folder: Path):
  """Makes the peer's virtual environment unless it is there; returns its Python."""
  python, done = folder / "bin" / "python", folder / "complete"
  requirements = HERE / "requirements-peers.txt"
  if done.exists() and done.read_text() == requirements.read_text():
    return python
  print(
    f"Making the peer's virtual environment in {folder} (some minutes) ...", flush=True
  )
  subprocess.run([sys.executable, "-m", "venv", folder], check=True)
  install = [python, "-m", "pip", "install", "-q", "--no-deps", "-r", requirements]
  if subprocess.run(install).returncode:
    sys.exit(f"Cannot install {requirements}: see pip's messages above.")
  done.write_text(requirements.read_text())
  return python


class Worker:
  """CompressAI's ssf2020 in a process of its own; see ssf2020_worker.py."""

  def __init__(self, python, frames_file, clips_file):
    self._process = subprocess.Popen(
      [python, HERE / "ssf2020_worker.py"],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    loaded = self.ask(task="load", frames=str(frames_file), clips=str(clips_file))
    self.parameters, self.versions = loaded["parameters"], loaded["versions"]

  def ask(self, **command):
    """Sends a command and waits for its answer."""
    self._process.stdin.write(json.dumps(command) + "\n")
    self._process.stdin.flush()
    answer = json.loads(self._process.stdout.readline() or '{"error": "it ended"}')
    if "error" in answer:
      sys.exit(f"ssf2020 failed at {command}: {answer['error']}")
    return answer

  def close(self):
    """Ends the process."""
    self._process.stdin.close()
    self._process.wait()
