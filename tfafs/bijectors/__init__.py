"""Bijectors for TensorFlow Probability: the invertible maps that the models share."""

from tfafs.bijectors.nonlinear_squared import NonlinearSquared

__all__ = ["NonlinearSquared"]
