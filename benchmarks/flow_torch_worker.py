"""PyTorch's flow libraries, timed on command: runs in a virtual environment of its own.

Reads one JSON object per line from stdin and answers each with one on stdout:

    {"task": "load", "file": FILE.npz, "output": FILE.npz}  Pyro's B-NAF with given weights
    {"task": "maf", "size": D, "hidden": [..], "batch": n}  MAFs of zuko and nflows
    {"task": NAME, "calls": n}                              -> seconds [n]

where NAME is what the answers to the first two list as "tasks".
"""

import time

import nflows
import nflows.distributions
import nflows.flows
import numpy as np
import pyro
import torch
import zuko
from pyro.distributions.transforms import BlockAutoregressive
from serve import serve


class Peers:
  """What has been loaded, by task."""

  def __init__(self):
    torch.manual_seed(0)
    torch.set_num_threads(1)  # With more it is slower on layers this small.
    self._tasks = {}

  def load(self, file, output):
    """Pyro's B-NAF, with the weights of the file; writes its results."""
    data = np.load(file)
    count = sum(name.startswith("kernel") for name in data)
    size = data["x"].shape[1]
    hidden = [data[f"kernel{i}"].shape[1] // size for i in range(count - 1)]
    flow = BlockAutoregressive(size, hidden_factors=hidden, activation="tanh")
    for i, layer in enumerate(flow.layers):
      layer._weight.data = torch.from_numpy(data[f"kernel{i}"].T.copy())
      layer._diag_weight.data = torch.from_numpy(data[f"log_norm{i}"][:, None].copy())
      layer.bias.data = torch.from_numpy(data[f"bias{i}"].copy())
    x = torch.from_numpy(data["x"])
    parameters = list(flow.parameters())
    optimizer = torch.optim.Adam(parameters, lr=0.0)

    def forward():
      flow.clear_cache()
      value = flow(x)
      return value, flow.log_abs_det_jacobian(x, value)

    def without_gradient():
      with torch.no_grad():
        flow._cached_x_y = (None, None)
        flow._call(x)

    def train():
      flow._cached_x_y = (None, None)
      value = flow._call(x)
      loss = (0.5 * (value**2).sum(-1) - flow._cached_logDetJ.sum(-1)).mean()
      optimizer.zero_grad()
      loss.backward()
      optimizer.step()
      return loss.item()

    value = flow._call(x)
    log_det = flow._cached_logDetJ.sum(-1)
    np.savez(output, value=value.detach(), log_det=log_det.detach())
    self._tasks.update({"pyro forward": without_gradient, "pyro train": train})
    return {"tasks": ["pyro forward", "pyro train"], "versions": versions()}

  def maf(self, size, hidden, batch):
    """Sampling and density of one MAF layer of zuko and of nflows."""
    theirs = zuko.flows.MAF(size, 0, transforms=1, hidden_features=hidden)()
    from nflows.transforms.autoregressive import MaskedAffineAutoregressiveTransform

    transform = MaskedAffineAutoregressiveTransform(
      size, hidden[0], num_blocks=len(hidden) - 1, use_residual_blocks=False
    )
    other = nflows.flows.Flow(transform, nflows.distributions.StandardNormal([size]))
    x = torch.randn(batch, size)

    def quietly(function):
      def call():
        with torch.no_grad():
          function()

      return call

    tasks = {
      "zuko sample": quietly(lambda: theirs.sample((batch,))),
      "zuko density": quietly(lambda: theirs.log_prob(x)),
      "nflows sample": quietly(lambda: other.sample(batch)),
      "nflows density": quietly(lambda: other.log_prob(x)),
    }
    self._tasks.update(tasks)
    return {"tasks": list(tasks), "versions": versions()}

  def time(self, task, calls):
    """Times a task."""
    seconds = []
    for _ in range(calls):
      start = time.perf_counter()
      self._tasks[task]()
      seconds.append(time.perf_counter() - start)
    return {"seconds": seconds}


def versions():
  return {"torch": torch.__version__, "pyro": pyro.__version__, "nflows": "0.14"}


def main():
  peers = Peers()

  def answer(task, **command):
    if task in ("load", "maf"):
      return getattr(peers, task)(**command)
    return peers.time(task, **command)

  serve(answer)


if __name__ == "__main__":
  main()
