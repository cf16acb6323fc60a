"""Temporal autoregressive flows and neural video codecs in TensorFlow."""

__version__ = "0.1.0"
