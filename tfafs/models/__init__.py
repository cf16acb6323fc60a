"""Keras models, by family; `registry` maps names to them."""
