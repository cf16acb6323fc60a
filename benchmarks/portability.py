#!/usr/bin/env python3
"""Streams written on differently configured machines, decoded on all the others.

    benchmarks/portability.py SAVED_MODEL VIDEO [--frames=12] [--drift_frames=120]

A configuration is threads x oneDNN x instruction set x how TensorFlow runs the codec:
eager (op by op, functions not compiled), as a graph, or under XLA. Each has a process of
its own, and each process writes a stream of the first frames of the video, one group of
pictures. Then a fresh process of every configuration decodes the streams of all.

Reported: symbols that differ from those the encoder coded, the largest difference of a
decoded frame to the encoder's reconstruction, in 8-bit levels, and the same over a group
of `--drift_frames`. XLA compiles the networks; the range coder has no XLA kernels, so
there the codec's own functions run around it, see `XLA_NOTE`.

Exit code 1 if a symbol differs, unless --expect_errors, for a codec whose index branch is
not exact: then 1 if none does.
"""
