#!/usr/bin/env python3
"""Error of NonlinearSquared's inverse, in units of what rounding its arguments costs.

    benchmarks/nonlinear_squared_accuracy.py [--points=1000000]

Random parameters, and points from 1e-30 to 1e30, near the perturbation, at its flattest
and where the cubic degenerates. The reference is bisection with Newton steps at twice
the precision (80 bits for float64), on the map as paper 002 writes it.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tfafs.bijectors import nonlinear_squared

_WIDER = {np.float32: np.float64, np.float64: np.longdouble}


def parameters(count, dtype, seed=0):
  """Parameters (shift, log_scale, raw_perturbation, log_frequency, offset), [count]."""
  rng = np.random.default_rng(seed)
  sign = rng.choice([-1, 1], count)
  values = (
    3.0 * rng.normal(size=count),
    1.5 * rng.normal(size=count),
    sign * np.exp(rng.uniform(-8, 3, count)),
    1.5 * rng.normal(size=count),
    3.0 * rng.normal(size=count),
  )
  return [value.astype(dtype) for value in values]


def points(params, alpha, seed=1):
  """Values of the map's output, [count], of four kinds a quarter each."""
  shift, log_scale, _, log_frequency, offset = params
  count, dtype = len(shift), shift.dtype
  rng = np.random.default_rng(seed)
  scale, frequency = (np.exp(v.astype(np.float64)) for v in (log_scale, log_frequency))
  sign = rng.choice([-1, 1], count)
  spread = rng.normal(size=count)
  flattest = sign / np.sqrt(3) + spread * 10 ** rng.uniform(-8, 0, count)
  x = np.choose(
    np.arange(count) % 4,
    [
      sign * 10 ** rng.uniform(-30, 30, count),
      5.0 * spread / frequency,
      (flattest - offset) / frequency,
      np.zeros(count),
    ],
  )
  y, _, _ = _map(x, [v.astype(np.float64) for v in params], alpha)
  # w = +-sqrt(3): the cubic's p is zero.
  degenerate = (sign * np.sqrt(3) - offset) / frequency * scale + shift
  return np.where(np.arange(count) % 4 == 3, degenerate, y).astype(dtype)


def _map(x, params, alpha):
  """The map at x, its slope over the scale, and 1 / (1 + u^2)."""
  shift, log_scale, _, log_frequency, offset = params
  scale, frequency = np.exp(log_scale), np.exp(log_frequency)
  amplitude = _amplitude(params, alpha)
  u = frequency * x + offset
  bump = 1 / (1 + u * u)
  slope = 1 - 2 * amplitude * frequency / scale * u * bump * bump
  return shift + scale * x + amplitude * bump, slope, bump


def _amplitude(params, alpha):
  _, log_scale, raw, log_frequency, _ = params
  largest = 8 / (3 * np.sqrt(raw.dtype.type(3)))
  return largest * alpha * np.tanh(raw) * np.exp(log_scale - log_frequency)


def reference(y, params, alpha, dtype):
  """Inverse of the map in `dtype`, and the conditioning floor over the epsilon.

  The floor is |x| plus |dx/dp| |p| over all of what the inverse is a function of; the
  coefficients that come out of exp count as rounded once more at least.
  """
  y, *params = (np.asarray(value).astype(dtype) for value in (y, *params))
  shift, log_scale, raw, log_frequency, offset = params
  scale, frequency = np.exp(log_scale), np.exp(log_frequency)
  amplitude = _amplitude(params, alpha)
  linear = (y - shift) / scale
  reach = np.abs(amplitude / scale)
  low, high, x = linear - reach, linear + reach, linear
  for _ in range(100):
    _, slope, bump = _map(x, params, alpha)
    excess = x - linear + amplitude / scale * bump
    low, high = np.where(excess < 0, x, low), np.where(excess < 0, high, x)
    step = x - excess / slope
    step = np.where((step > low) & (step < high), step, (low + high) / 2)
    moved, x = np.abs(step - x), step
    if np.all(moved <= 4 * np.finfo(dtype).eps * (np.abs(x) + np.abs(linear))):
      break
  _, slope, bump = _map(x, params, alpha)
  u, k = frequency * x + offset, amplitude * frequency / scale
  by_frequency = (
    k / frequency * (bump + 2 * u * bump * bump / slope * frequency * linear)
  )
  saturation = alpha * 1.54 * np.abs(raw) / np.cosh(np.minimum(np.abs(raw), 20)) ** 2
  floor = (
    np.abs(x)
    + (np.abs(y) + np.abs(shift)) / scale / slope
    + np.abs(linear) / slope * np.maximum(1, np.abs(log_scale))
    + np.abs(offset) * np.abs(1 / slope - 1) / frequency
    + bump / slope / frequency * np.maximum(np.abs(k), saturation)
    + np.abs(by_frequency) * np.maximum(1, np.abs(log_frequency))
  )
  return x, floor


def measure(count, dtype, alpha):
  """Returns (number of non-finite results, errors [count] in units of the floor)."""
  params = parameters(count, dtype)
  y = points(params, alpha)
  coefficients = nonlinear_squared.coefficients(*map(tf.constant, params), alpha)
  actual = nonlinear_squared.inverse(tf.constant(y), coefficients).numpy()
  expected, floor = reference(y, params, alpha, _WIDER[dtype])
  bad = np.count_nonzero(~np.isfinite(actual))
  return bad, np.abs(actual - expected) / (np.finfo(dtype).eps * floor)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--points", type=int, default=1_000_000)
  options = parser.parse_args()
  print(
    f"{'dtype':10}{'alpha':>8}{'not finite':>12}{'median':>9}{'99.9 %':>9}{'max':>9}"
  )
  for dtype in (np.float32, np.float64):
    for alpha in (0.95, 0.9999):
      bad, errors = measure(options.points, dtype, alpha)
      figures = [float(np.quantile(errors, q)) for q in (0.5, 0.999, 1.0)]
      print(
        f"{dtype.__name__:10}{alpha:8}{bad:12}" + "".join(f"{v:9.3f}" for v in figures)
      )


if __name__ == "__main__":
  main()
