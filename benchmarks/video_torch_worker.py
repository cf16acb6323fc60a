"""Densities of video in plain PyTorch: runs in a virtual environment of its own.

Reads one JSON object per line from stdin and answers each with one on stdout:

    {"task": "load", "name": NAME, "file": FILE.npz}        builds with its weights
    {"task": "terms", "name": NAME, "output": FILE.npz}     terms of the given frames
    {"task": NAME, "calls": n, "threads": n}                -> seconds [n] of train steps

The file holds the weights of stacks of layers, `STACK/LAYER/WEIGHT` in Keras' order and
layout, frames `x` (dequantised, channels last), and the latents `z` to take the terms at.
The layers are PyTorch's own; nothing else is used than what its tutorials use.
"""

import math
import time

import numpy as np
import torch
from serve import serve
from torch import nn

WINDOW = 3
LEAK = 0.2


def tensor(array):
  return nn.Parameter(torch.from_numpy(np.ascontiguousarray(array)))


class Stacks:
  """Weights of stacks by name."""

  def __init__(self, data):
    self._data = data

  def weights(self, stack):
    """List of the weights of each layer of a stack."""
    layers = {}
    for name in self._data:
      if name.startswith(stack + "/"):
        layer, index = map(int, name[len(stack) + 1 :].split("/"))
        layers.setdefault(layer, {})[index] = self._data[name]
    return [[w for _, w in sorted(layers[i].items())] for i in sorted(layers)]

  def has(self, stack):
    """Whether there is such a stack."""
    return any(name.startswith(stack + "/") for name in self._data)


def norm(weights):
  gamma, beta, *_ = weights
  layer = nn.BatchNorm2d(len(gamma), eps=1e-5, momentum=0.1)
  layer.weight, layer.bias = tensor(gamma), tensor(beta)
  return layer


def convolution(weights, stride=1, padding="same", transposed=False):
  kernel, bias = weights
  if transposed:
    high, _, outputs, inputs = kernel.shape
    layer = nn.ConvTranspose2d(inputs, outputs, high, stride, padding)
    layer.weight = tensor(kernel.transpose(3, 2, 0, 1))
  else:
    high, _, inputs, outputs = kernel.shape
    layer = nn.Conv2d(inputs, outputs, high, stride, padding)
    layer.weight = tensor(kernel.transpose(3, 2, 0, 1))
  layer.bias = tensor(bias)
  return layer


def linear(weights):
  kernel, bias = weights
  layer = nn.Linear(*kernel.shape)
  layer.weight, layer.bias = tensor(kernel.T), tensor(bias)
  return layer


def lstm(weights):
  kernel, recurrent, bias = weights
  layer = nn.LSTMCell(len(kernel), len(recurrent))
  layer.weight_ih, layer.weight_hh = tensor(kernel.T), tensor(recurrent.T)
  layer.bias_ih, layer.bias_hh = tensor(bias), tensor(np.zeros_like(bias))
  layer.bias_hh.requires_grad = False
  return layer


class Flow(nn.Module):
  """Shift and log-scale of frames from the three before them."""

  def __init__(self, stacks, name):
    super().__init__()

    def blocks(stack):
      weights = stacks.weights(f"{name}/{stack}")
      layers = []
      for i in range(0, len(weights), 2):
        layers += [convolution(weights[i]), norm(weights[i + 1]), nn.ReLU()]
      return nn.Sequential(*layers)

    self.encoder, self.fusion = blocks("encoder"), blocks("fusion")
    self.head = convolution(stacks.weights(f"{name}/head")[0])

  def forward(self, x):
    """Shift and log-scale [batch, time - 3, ...] of frames [batch, time, ...]."""
    batch, time = x.shape[:2]
    codes = self.encoder(x[:, :-1].flatten(0, 1)).unflatten(0, (batch, time - 1))
    count = time - WINDOW
    windows = torch.cat([codes[:, i : i + count] for i in range(WINDOW)], 2)
    outputs = self.head(self.fusion(windows.flatten(0, 1)))
    shift, log_scale = outputs.unflatten(0, (batch, count)).chunk(2, 2)
    return shift, torch.clamp(log_scale, max=math.log(10.0))


class Latent(nn.Module):
  """Encoder, prior, posterior and decoder of SLVM."""

  def __init__(self, stacks):
    super().__init__()
    encoder = stacks.weights("encoder/layers")
    layers = []
    for i in range(0, len(encoder), 2):
      last = i + 2 == len(encoder)
      layers += [
        convolution(encoder[i], 1 if last else 2, 0 if last else 1),
        norm(encoder[i + 1]),
        nn.LeakyReLU(LEAK),
      ]
    self.encoder = nn.Sequential(*layers)
    decoder = stacks.weights("decoder/layers")
    layers = []
    for i in range(0, len(decoder), 2):
      layers += [
        convolution(decoder[i], 2 if i else 1, 1 if i else 0, transposed=True),
        norm(decoder[i + 1]),
        nn.LeakyReLU(LEAK),
      ]
    self.decoder = nn.Sequential(*layers)
    self.heads = nn.ModuleList(
      convolution(weights, 2, 1, transposed=True)
      for weights in stacks.weights("decoder/heads")
    )
    dense = [linear(weights) for weights in stacks.weights("cell/prior_dense")]
    self.dense = nn.Sequential(*[f for layer in dense for f in (layer, nn.ReLU())])
    for part in ("prior", "posterior"):
      lstms = [lstm(weights) for weights in stacks.weights(f"cell/{part}_lstms")]
      heads = [linear(weights) for weights in stacks.weights(f"cell/{part}_heads")]
      setattr(self, f"{part}_lstms", nn.ModuleList(lstms))
      setattr(self, f"{part}_heads", nn.ModuleList(heads))

  def run(self, part, x, memory):
    """Mean, log-scale and new memory of prior or posterior, of one step."""
    new = []
    for cell, state in zip(getattr(self, f"{part}_lstms"), memory):
      x, c = cell(x, state)
      new.append((x, c))
    loc, log_scale = (head(x) for head in getattr(self, f"{part}_heads"))
    return loc, torch.clamp(log_scale, -15, 5), new

  def forward(self, y, bounded, given=None):
    """Reconstruction and divergence [batch, time]; at the latents `given`, or drawn."""
    batch, time = y.shape[:2]
    codes = self.encoder(y.flatten(0, 1)).flatten(1).unflatten(0, (batch, time))
    units = self.prior_heads[0].in_features
    z = y.new_zeros(batch, self.prior_heads[0].out_features)
    zeros = [(y.new_zeros(batch, units),) * 2 for _ in self.prior_lstms]
    prior_memory, posterior_memory = zeros, zeros
    latents, divergences = [], []
    for t in range(time):
      p_loc, p_log, prior_memory = self.run("prior", self.dense(z), prior_memory)
      inputs = torch.cat([codes[:, t], z], 1)
      q_loc, q_log, posterior_memory = self.run("posterior", inputs, posterior_memory)
      if given is None:
        z = q_loc + torch.exp(q_log) * torch.randn_like(q_loc)
      else:
        z = given[:, t]
      ratio = torch.exp(2 * (q_log - p_log))
      distance = ((q_loc - p_loc) / torch.exp(p_log)) ** 2
      divergences.append((0.5 * (ratio + distance - 1) - (q_log - p_log)).sum(1))
      latents.append(z)
    z = torch.stack(latents, 1).flatten(0, 1)[..., None, None]
    features = self.decoder(z)
    loc, log_scale = (head(features).unflatten(0, (batch, time)) for head in self.heads)
    if bounded:
      loc = torch.sigmoid(loc)
    log_scale = torch.clamp(log_scale, -15, 5)
    return log_normal(y, loc, log_scale), torch.stack(divergences, 1)


def log_normal(y, loc, log_scale):
  squares = ((y - loc) * torch.exp(-log_scale)) ** 2
  return (-0.5 * squares - log_scale - 0.5 * math.log(2 * math.pi)).sum((2, 3, 4))


class Model(nn.Module):
  """Flows over a latent model or over white noise."""

  def __init__(self, data):
    super().__init__()
    stacks = Stacks(data)
    names = [name for name in ("flow_0", "flow_1") if stacks.has(name)]
    self.flows = nn.ModuleList(Flow(stacks, name) for name in names)
    self.latent = Latent(stacks) if stacks.has("encoder") else None

  def forward(self, x, given=None):
    """Terms [batch, time]: reconstruction, divergence, log-determinant."""
    scales = []
    for flow in self.flows:
      shift, log_scale = flow(x)
      x = (x[:, WINDOW:] - shift) * torch.exp(-log_scale)
      scales.append(log_scale)
    logdet = x.new_zeros(x.shape[:2])
    for log_scale in scales:
      logdet = logdet - log_scale[:, -x.shape[1] :].sum((2, 3, 4))
    if self.latent is None:
      zeros = torch.zeros_like(x)
      return log_normal(x, zeros, zeros), torch.zeros_like(logdet), logdet
    return (*self.latent(x, not self.flows, given), logdet)


class Peers:
  """The models that have been loaded, by name."""

  def __init__(self):
    self._models, self._data = {}, {}

  def load(self, name, file):
    """Builds a model with the weights of a file."""
    data = dict(np.load(file))
    x = torch.from_numpy(data["x"].transpose(0, 1, 4, 2, 3).copy())
    model = Model(data).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    self._models[name] = (model, optimizer, x)
    self._data[name] = data
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return {"parameters": count, "versions": {"torch": torch.__version__}}

  def terms(self, name, output):
    """Writes the terms of the file's frames."""
    model, _, x = self._models[name]
    given = self._data[name].get("z")
    with torch.no_grad():
      terms = model(x, None if given is None else torch.from_numpy(given))
    np.savez(output, *[term.numpy() for term in terms])
    return {}

  def time(self, name, calls, threads):
    """Times training steps."""
    torch.set_num_threads(threads)
    model, optimizer, x = self._models[name]
    seconds = []
    for _ in range(calls):
      start = time.perf_counter()
      noisy = x + torch.randn_like(x) / 256
      reconstruction, divergence, logdet = model(noisy)
      loss = (divergence - reconstruction - logdet).mean()
      optimizer.zero_grad()
      loss.backward()
      nn.utils.clip_grad_norm_(model.parameters(), 1.0)
      optimizer.step()
      loss.item()
      seconds.append(time.perf_counter() - start)
    return {"seconds": seconds}


def main():
  peers = Peers()

  def answer(task, **command):
    if task in ("load", "terms"):
      return getattr(peers, task)(**command)
    return peers.time(task, **command)

  serve(answer)


if __name__ == "__main__":
  main()
