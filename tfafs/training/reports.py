"""What the ends of all runs share: figures of the training, table, where things lie."""

import contextlib
import json


def training_figures(result) -> dict:
  """Figures of the training, or of the call that finished it if this did nothing.

  Args:
    result: The `TrainingResult`.

  Returns:
    Dict with "steps", "steps_per_second" (or None) and "logs".
  """
  if not result.steps_done:
    with contextlib.suppress(OSError, ValueError, KeyError):
      summary = json.loads(result.paths.summary.read_text(encoding="utf-8"))
      if summary["training"]["steps"] == result.steps:
        return summary["training"]
  return {
    "steps": result.steps,
    "steps_per_second": result.steps_per_second,
    "logs": result.logs,
  }


def steps_text(training: dict) -> str:
  """Steps, with the speed where it is known."""
  if not training["steps_per_second"]:
    return str(training["steps"])
  return f"{training['steps']} ({training['steps_per_second']:.3g} steps/s)"


def table(rows) -> str:
  """Pairs of name and value between rules, several lines."""
  width = max(len(name) for name, _ in rows)
  rule = "-" * (width + 2 + max(len(value) for _, value in rows))
  lines = [f"{name:<{width}}  {value}" for name, value in rows]
  return "\n".join(["", rule, *lines, rule])


def places(rows, next_steps) -> str:
  """Where everything lies, pairs of name and path, and what to do next, lines."""
  width = max(len(name) for name, _ in rows)
  lines = [f"  {name:<{width}}  {path}" for name, path in rows]
  lines += ["", "Next:", *(f"  {line}" for line in next_steps)]
  return "\n".join(["", "Where everything lies:", *lines])
