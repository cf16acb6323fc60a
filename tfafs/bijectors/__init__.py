"""Bijectors for TensorFlow Probability: the invertible maps that the models share."""
