"""What can end a training run early; `bin/train` maps each to an exit code."""


class RunError(ValueError):
  """The run cannot start or go on as asked: one line with the remedy (exit code 2)."""


class NonFiniteError(ArithmeticError):
  """A loss term, the gradient or a weight became NaN or infinite (exit code 3).

  Attributes:
    step: Step at which it was seen; step n is the n-th update, counted from 1.
    terms: Names of what is not finite, the terms of the loss before the loss.
    checkpoint: Path of the last good checkpoint, or None if there is none yet.
  """

  def __init__(self, step, terms, checkpoint):
    super().__init__(step, terms, checkpoint)
    self.step = step
    self.terms = tuple(terms)
    self.checkpoint = checkpoint

  def __str__(self):
    remedy = "No checkpoint was written yet."
    if self.checkpoint:
      remedy = f"The last good checkpoint is {self.checkpoint}."
    return f"Step {self.step}: not finite: {', '.join(self.terms)}. {remedy}"


class Interrupted(Exception):  # noqa: N818 (it is no error)
  """The run was stopped by a signal after its checkpoint was written.

  Attributes:
    step: Steps done.
    checkpoint: Path of the checkpoint to go on from.
    signal_number: The signal, such as `signal.SIGINT`.
  """

  def __init__(self, step, checkpoint, signal_number):
    super().__init__(step, checkpoint, signal_number)
    self.step = step
    self.checkpoint = checkpoint
    self.signal_number = signal_number

  def __str__(self):
    return f"Stopped after step {self.step}; checkpoint {self.checkpoint}."
