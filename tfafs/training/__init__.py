"""The run loop of every model: fit, resume, guard, report, and finish with a demo."""

from tfafs.training.errors import Interrupted, NonFiniteError, RunError
from tfafs.training.run import TrainingResult, train

__all__ = ["Interrupted", "NonFiniteError", "RunError", "TrainingResult", "train"]
