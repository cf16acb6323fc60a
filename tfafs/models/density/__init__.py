"""Density models over R^D: flows fitted to samples or to an energy (paper 003)."""
