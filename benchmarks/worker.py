"""Peers in processes and virtual environments of their own, which the first run makes."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Worker:
  """A library in a process of its own: a script that answers commands, see `serve.py`.

  Args:
    python: That of the library's environment.
    script: File beside this one.
  """

  def __init__(self, python, script):
    self._name = script
    self._process = subprocess.Popen(
      [python, HERE / script],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )

  def ask(self, **command):
    """Sends a command and waits for its answer."""
    self._process.stdin.write(json.dumps(command) + "\n")
    self._process.stdin.flush()
    answer = json.loads(self._process.stdout.readline() or '{"error": "it ended"}')
    if "error" in answer:
      sys.exit(f"{self._name} failed at {command}: {answer['error']}")
    return answer

  def calls(self, names):
    """Function of the number of calls, for each named task."""
    return {
      name: lambda calls, name=name: self.ask(task=name, calls=calls)["seconds"]
      for name in names
    }

  def close(self):
    """Ends the process."""
    self._process.stdin.close()
    self._process.wait()


def flows_worker(kind, folder, script=None):
  """A worker in the environment of `requirements-flows-KIND.txt`, made in a folder.

  Its script is `flow_KIND_worker.py`, unless another is given.
  """
  requirements = HERE / f"requirements-flows-{kind}.txt"
  python = make_environment(Path(folder).absolute() / f"flows_{kind}", requirements)
  return Worker(python, script or f"flow_{kind}_worker.py")


def make_environment(folder, requirements, *options):
  """Makes a virtual environment unless it is there; returns its Python.

  Args:
    folder: Where it lies.
    requirements: File of what it holds.
    *options: Of `pip install`.
  """
  python, done = folder / "bin" / "python", folder / "complete"
  if done.exists() and done.read_text() == requirements.read_text():
    return python
  print(f"Making a virtual environment in {folder} (some minutes) ...", flush=True)
  subprocess.run([sys.executable, "-m", "venv", folder], check=True)
  install = [python, "-m", "pip", "install", "-q", *options, "-r", requirements]
  if subprocess.run(install).returncode:
    sys.exit(f"Cannot install {requirements}: see pip's messages above.")
  done.write_text(requirements.read_text())
  return python
