"""JAX's flow libraries, timed on command: runs in a virtual environment of its own.

Reads one JSON object per line from stdin and answers each with one on stdout:

    {"task": "load", "file": FILE.npz, "output": FILE.npz, "samples": n}
    {"task": NAME, "calls": n}                              -> seconds [n]

where NAME is what the answer to the first lists as "tasks". NumPyro's network gets the
weights of the file; flowjax's, whose parameters are others, has the same sizes, and the
error of its inverse is told.
"""

import time

import equinox
import flowjax
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import optax
from flowjax.distributions import StandardNormal
from flowjax.flows import block_neural_autoregressive_flow
from numpyro.nn import BlockNeuralAutoregressiveNN
from serve import serve


class Peers:
  """What has been loaded, by task."""

  def __init__(self):
    self._tasks = {}

  def load(self, file, output, samples):
    """Both B-NAFs; writes the results of NumPyro's."""
    data = np.load(file)
    count = sum(name.startswith("kernel") for name in data)
    x = jnp.asarray(data["x"])
    size = x.shape[1]
    hidden = [data[f"kernel{i}"].shape[1] // size for i in range(count - 1)]
    self._numpyro(data, x, size, hidden, output)
    error = self._flowjax(x, size, hidden, samples)
    versions = {m.__name__: m.__version__ for m in (jax, numpyro, flowjax)}
    return {"tasks": list(self._tasks), "versions": versions, "inverse_error": error}

  def _numpyro(self, data, x, size, hidden, output):
    init, apply = BlockNeuralAutoregressiveNN(size, hidden)
    _, parameters = init(jax.random.PRNGKey(0), (size,))
    leaves, tree = jax.tree.flatten(parameters)
    given = [
      jnp.asarray(data[f"{name}{i}"])
      for i in range(len(hidden) + 1)
      for name in ("kernel", "log_norm", "bias")
    ]
    if [a.shape for a in leaves] != [a.shape for a in given]:
      raise ValueError("NumPyro's parameters have other shapes than expected")
    parameters = jax.tree.unflatten(tree, given)

    def value_and_log_det(parameters, x):
      value, log_diagonal = apply(parameters, x)
      return value, log_diagonal.reshape(x.shape).sum(-1)

    def loss(parameters, x):
      value, log_det = value_and_log_det(parameters, x)
      return (0.5 * (value**2).sum(-1) - log_det).mean()

    forward = jax.jit(value_and_log_det)
    value, log_det = forward(parameters, x)
    np.savez(output, value=value, log_det=log_det)
    train = _train_step(loss)
    self._tasks["numpyro forward"] = lambda: forward(parameters, x)
    self._tasks["numpyro train"] = train(parameters, x)

  def _flowjax(self, x, size, hidden, samples):
    flow = block_neural_autoregressive_flow(
      jax.random.key(0),
      base_dist=StandardNormal((size,)),
      nn_depth=len(hidden),
      nn_block_dim=hidden[0],
    )
    parameters, static = equinox.partition(flow, equinox.is_inexact_array)

    def loss(parameters, x):
      return -equinox.combine(parameters, static).log_prob(x).mean()

    forward = jax.jit(lambda p, x: equinox.combine(p, static).log_prob(x))
    # Images of noise, as ours: from an untrained flow's own samples, some of them far
    # out, its default inverter gives up ("Maximum steps reached").
    images = jax.jit(jax.vmap(flow.bijection.inverse))(x[:samples])
    invert = jax.jit(
      lambda p, y: jax.vmap(equinox.combine(p, static).bijection.transform)(y)
    )
    self._tasks["flowjax forward"] = lambda: forward(parameters, x)
    self._tasks["flowjax train"] = _train_step(loss)(parameters, x)
    self._tasks["flowjax inverse"] = lambda: invert(parameters, images)
    return float(jnp.max(jnp.abs(invert(parameters, images) - x[:samples])))

  def time(self, task, calls):
    """Times a task."""
    seconds = []
    for _ in range(calls):
      start = time.perf_counter()
      jax.block_until_ready(self._tasks[task]())
      seconds.append(time.perf_counter() - start)
    return {"seconds": seconds}


def _train_step(loss):
  """From parameters and data to a function that does one step of Adam."""
  optimizer = optax.adam(0.0)

  @jax.jit
  def step(parameters, state, x):
    value, gradients = jax.value_and_grad(loss)(parameters, x)
    updates, state = optimizer.update(gradients, state)
    return value, optax.apply_updates(parameters, updates), state

  def bind(parameters, x):
    held = [parameters, optimizer.init(parameters)]

    def train():
      value, held[0], held[1] = step(*held, x)
      return value

    return train

  return bind


def main():
  peers = Peers()

  def answer(task, **command):
    if task in ("load",):
      return getattr(peers, task)(**command)
    return peers.time(task, **command)

  serve(answer)


if __name__ == "__main__":
  main()
