"""Writes the reference of the suite `maps`: a residual network whose weights
come out of PyTorch under PyTorch's names.

    python3 tests/ref/make_residual.py      # torch and numpy; from the root

It writes tests/ref/residual.net, ResNet-20 at an eighth of its width with
`init = from(.., map = ..)`; residual.safetensors, the state_dict as it is;
residual_x.npy, and residual_y.npy, the logits that PyTorch computes in
evaluation. Running means and variances are drawn, so that they count.

residual_full_y.npy are the logits of ResNet-20 as it is, 16 channels wide. Its
state_dict is not kept: maps.c makes the same weights by the rules of `formula`.
"""

import json
import os
import struct

import numpy as np
import torch
from torch import nn

ROOT = os.path.dirname(os.path.abspath(__file__))
WIDTH, FULL, DEPTH, ROWS = 2, 16, 3, 3


class Block(nn.Module):
    def __init__(self, c, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(c, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.downsample = None
        if stride != 1 or c != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(c, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        c = width
        for stage in range(3):
            out, blocks = width << stage, []
            for i in range(DEPTH):
                blocks.append(Block(c, out, 2 if stage and not i else 1))
                c = out
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(c, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def maps(model):
    pairs = [("conv1", "stem"), ("bn1", "batchnorm1"), ("fc", "head")]
    number = 0
    for stage in (1, 2, 3):
        for i, block in enumerate(getattr(model, f"layer{stage}")):
            number += 1
            theirs, ours = f"layer{stage}.{i}", f"block{number}"
            for k in (1, 2):
                pairs.append((f"{theirs}.conv{k}", f"{ours}.conv{k}"))
                pairs.append((f"{theirs}.bn{k}", f"{ours}.batchnorm{k}"))
            if block.downsample:
                pairs.append((f"{theirs}.downsample.0", f"{ours}.conv3"))
                pairs.append((f"{theirs}.downsample.1", f"{ours}.batchnorm3"))
    return ",\n    ".join(f'"{a}" -> net.{b}' for a, b in pairs)


PROGRAM = """\
# Written by make_residual.py.
const width = %d

layer block(x: [c, h, w], out, stride = 1) {
  y = x -> conv(out, 3, stride = stride, pad = 1, bias = false) -> batchnorm
        -> relu -> conv(out, 3, pad = 1, bias = false) -> batchnorm
  skip = if stride == 1 and c == out then x
         else x -> conv(out, 1, stride = stride, bias = false) -> batchnorm
  relu(y + skip)
}

data npy("tests/ref/residual_x.npy", "tests/ref/residual_labels.npy")

net net(x: [3, 32, 32]) {
  x -> conv(width, 3, pad = 1, bias = false) as stem -> batchnorm -> relu
    -> repeat(3) block(width)
    -> block(2 * width, stride = 2) -> repeat(2) block(2 * width)
    -> block(4 * width, stride = 2) -> repeat(2) block(4 * width)
    -> mean(axis = [1, 2])
    -> linear(10) as head
}

train {
  loss      = cross_entropy(net(x), y)
  optimizer = sgd(lr = 0.1)
  batch     = 2
  epochs    = 1
  init      = from("tests/ref/residual.safetensors", map = [
    %s
  ])
}
"""


def formula(model):
    """Element after element of the state_dict in its order, u = the upper 24
    bits of a linear congruential generator, from 0 to 1; maps.c does the same."""
    state = 1
    for name, v in model.state_dict().items():
        if v.dtype == torch.int64:
            continue
        u = np.empty(v.numel())
        for i in range(u.size):
            state = (state * 1664525 + 1013904223) % 2**32
            u[i] = (state >> 8) / 2**24
        if name.endswith("running_var"):
            u = 0.5 + u
        elif v.dim() == 1 and name.endswith("weight"):  # of a normalisation
            u = 0.75 + 0.5 * u
        elif v.dim() == 1:
            u = (u - 0.5) / 4
        else:
            u = (u - 0.5) * np.sqrt(24 / v[0].numel())  # variance 2 / fan in
        v.copy_(torch.from_numpy(u.astype(np.float32)).reshape(v.shape))


def path(name):
    return os.path.join(ROOT, name)


def save(name, tensors):
    kinds = {torch.float32: "F32", torch.int64: "I64"}
    header, data = {}, b""
    order = sorted(tensors.items(), key=lambda t: (-t[1].element_size(), t[0]))
    for key, v in order:
        raw = v.contiguous().numpy().tobytes()
        header[key] = {"dtype": kinds[v.dtype], "shape": list(v.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path(name), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def main():
    torch.manual_seed(1)
    model = Residual(WIDTH)
    for name, v in model.state_dict().items():
        if "running_mean" in name:
            v.copy_(torch.randn_like(v) * 0.1)
        elif "running_var" in name or ("bn" in name and "weight" in name):
            v.copy_(torch.rand_like(v) + 0.5)
    model.eval()
    x = torch.rand(ROWS, 3, 32, 32)
    with torch.no_grad():
        y = model(x)
    np.save(path("residual_x.npy"), x.numpy())
    np.save(path("residual_y.npy"), y.numpy())
    labels = np.arange(10, dtype=np.int32)[-ROWS:]
    np.save(path("residual_labels.npy"), labels)
    save("residual.safetensors", model.state_dict())
    with open(path("residual.net"), "w") as f:
        f.write(PROGRAM % (WIDTH, maps(model)))
    model = Residual(FULL)
    formula(model)
    model.eval()
    with torch.no_grad():
        np.save(path("residual_full_y.npy"), model(x).numpy())


if __name__ == "__main__":
    main()
