"""The other end of `worker.py`: answers commands, one a line. Needs only Python's own."""

import json
import os
import sys


def serve(answer):
  """Reads commands from stdin until it ends and writes an answer to each on stdout.

  Args:
    answer: Function from a task and its keyword arguments to a dict.
  """
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # Whatever a library prints must not get between the answers.
  for line in sys.stdin:
    command = json.loads(line)
    task = command.pop("task")
    try:
      result = answer(task, **command)
    except Exception as error:
      result = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(result), file=answers, flush=True)
