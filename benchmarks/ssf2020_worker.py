"""CompressAI's ssf2020, timed on command: runs in the peer's virtual environment.

Reads one JSON object per line from stdin and answers each with one on stdout:

    {"task": "load", "frames": FILE.npy, "clips": FILE.npy}  -> parameters, versions
    {"task": "encode" | "decode" | "train", "threads": n, "bfloat16": bool} -> seconds, cpu

Frames are uint8 [time, height, width, 3], clips (batches to train on) float32 [batch,
time, height, width, 3]. Between commands it waits without using the processor.
"""

import math
import time

import numpy as np
import torch
from serve import serve


def load_compressai():
  """Imports CompressAI and returns (ssf2020's class, version)."""
  # Of torchvision's compiled operators, which need its own PyTorch, these two must be
  # declared for it to import. Nothing calls them. The library lives while referenced.
  load_compressai.library = torch.library.Library("torchvision", "DEF")
  for name in ("nms", "qnms"):
    load_compressai.library.define(
      f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    )
  import compressai
  from compressai.models.video.google import ScaleSpaceFlow

  return ScaleSpaceFlow, compressai.__version__


class Peer:
  """ssf2020 with its input."""

  def __init__(self):
    torch.manual_seed(0)
    model, self._version = load_compressai()
    self._net = model()
    self._net.update(force=True)
    self._trained = model().train()  # Another, so that training changes no bytes.
    main = [p for n, p in self._trained.named_parameters() if "quantiles" not in n]
    self._optimizer = torch.optim.Adam(main, lr=1e-4)
    self._main = main
    self._coded = {}

  def load(self, frames, clips):
    """Prepares tensors [batch, 3, height, width], one per frame."""

    def prepare(images):
      return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))

    self._frames = [prepare(f[None]).float() / 255 for f in np.load(frames)]
    self._clips = [prepare(f) for f in np.load(clips).transpose(1, 0, 2, 3, 4)]
    parameters = {
      name: sum(p.numel() for n, p in self._net.named_parameters() if test(n))
      for name, test in (
        ("total", lambda n: True),
        ("densities", lambda n: "entropy_bottleneck" in n),
      )
    }
    return {
      "parameters": parameters,
      "versions": {"compressai": self._version, "torch": torch.__version__},
    }

  def encode(self, bfloat16):
    """Times coding a group of pictures."""
    start = _clock()
    with torch.no_grad(), _autocast(bfloat16):
      strings, shapes = self._net.eval().compress(self._frames)
    times = _since(start)
    self._coded[bfloat16] = strings, shapes
    return {**times, "bytes": _count(strings)}

  def decode(self, bfloat16):
    """Times decoding the group of pictures that was coded last."""
    start = _clock()
    with torch.no_grad(), _autocast(bfloat16):
      frames = self._net.eval().decompress(*self._coded[bfloat16])
    times = _since(start)
    assert len(frames) == len(self._frames)
    return times

  def train(self, bfloat16):
    """Times a step as in CompressAI's examples/train_video.py.

    Its second optimizer, for the quantiles of the factorised densities, is left out.
    """
    start = _clock()
    self._optimizer.zero_grad()
    with _autocast(bfloat16):
      out = self._trained(self._clips)
    pixels = self._clips[0].numel() / 3
    bits = sum(
      torch.log(likelihood.float()).sum() / -math.log(2)
      for frame in out["likelihoods"]
      for part in frame.values()
      for likelihood in part.values()
    )
    mse = torch.stack(
      [
        torch.nn.functional.mse_loss(x.float(), y)
        for x, y in zip(out["x_hat"], self._clips)
      ]
    ).mean()
    loss = mse + 1.25e-3 * bits / (pixels * len(self._clips))
    loss.backward()
    torch.nn.utils.clip_grad_norm_(self._main, 1.0)
    self._optimizer.step()
    loss = loss.item()
    return {**_since(start), "loss": loss}


def _clock():
  return time.perf_counter(), time.process_time()


def _since(start):
  return {
    "seconds": time.perf_counter() - start[0],
    "cpu": time.process_time() - start[1],
  }


def _autocast(bfloat16):
  return torch.autocast("cpu", torch.bfloat16, enabled=bfloat16)


def _count(strings):
  """Bytes in nested lists and dicts of byte strings."""
  if isinstance(strings, bytes):
    return len(strings)
  return sum(map(_count, strings.values() if isinstance(strings, dict) else strings))


def main():
  peer = Peer()

  def answer(task, threads=None, **command):
    if threads:
      torch.set_num_threads(threads)
    return getattr(peer, task)(**command)

  serve(answer)


if __name__ == "__main__":
  main()
