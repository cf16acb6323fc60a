"""Checks that a bijector does what TensorFlow Probability's contract says it does."""

from tfafs.testing.case import BijectorCase
from tfafs.testing.conformance import CHECKS, assert_bijector_conforms, check

__all__ = ["CHECKS", "BijectorCase", "assert_bijector_conforms", "check"]
