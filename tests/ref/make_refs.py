"""Writes the references of the suite `ref`: trainings by PyTorch that netc must
reproduce number by number.

    python3 tests/ref/make_refs.py          # torch and numpy; from the root

For each row of VARIANTS it writes tests/ref/NAME.net and NAME.safetensors:
`loss` and `total`, f64 [steps, 2]: of each step, computed in f32 and in f64
(their distance says what f32 can promise), and every STRIDE-th element of each
parameter after the last step, from the f32 run, under the parameter's name.
Inputs, which all variants of a net share: NET_x.npy, NET_y.npy and the initial
weights NET_init.safetensors. The data are few rows, cycled in order, so that
all of it stays small. Uses PyTorch's own layers and optimisers; penalties are
autograd's, on weights alone. Does not test netc: ref.c does.
"""

import json
import os
import struct

import numpy as np
import torch
from torch import nn

ROOT = os.path.dirname(os.path.abspath(__file__))
ROWS, BATCH, EPOCHS, STRIDE = 20, 4, 10, 7  # 50 steps


class LeNet(nn.Module):
    NET = """\
net lenet(x: [3, 32, 32]) {
  x -> conv(6, 5)  as conv1 -> relu -> maxpool(2)
    -> conv(16, 5) as conv2 -> relu -> maxpool(2)
    -> flatten
    -> linear(120) as fc1 -> relu
    -> linear(84)  as fc2 -> relu
    -> linear(10)  as fc3
}
"""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2 = nn.Linear(400, 120), nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = torch.max_pool2d(torch.relu(self.conv2(x)), 2)
        x = torch.relu(self.fc1(x.flatten(1)))
        return self.fc3(torch.relu(self.fc2(x)))


class Mlp(nn.Module):
    NET = """\
net mlp(x: [13]) {
  x -> linear(31) as fc1 -> tanh -> linear(17) as fc2 -> relu
    -> linear(OUT) as fc3
}
"""

    def __init__(self, outputs=3):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(13, 31), nn.Linear(31, 17)
        self.fc3 = nn.Linear(17, outputs)

    def forward(self, x):
        return self.fc3(torch.relu(self.fc2(torch.tanh(self.fc1(x)))))


def mlp_classes():
    return Mlp(3)


def mlp_values():
    return Mlp(2)


# net: (name in the language, maker, .net text of the net)
NETS = {
    "lenet": ("lenet", LeNet, LeNet.NET),
    "mlp": ("mlp", mlp_classes, Mlp.NET.replace("OUT", "3")),
    "square": ("mlp", mlp_values, Mlp.NET.replace("OUT", "2")),
}

SGD, ADAM, ADAMW = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW

# name: net, optimizer, its arguments, then a dictionary of
#   l1, l2: factors of the penalties   clip: the largest norm
#   drop:   [at, factor] of step_decay   smooth: label smoothing
VARIANTS = {
    "lenet_sgd": ("lenet", SGD, dict(lr=0.05), {}),
    "lenet_momentum": ("lenet", SGD, dict(lr=0.02, momentum=0.9), {}),
    # At lr = 0.02 this one blows up from step 28 on: a rounding of 1e-7 may then
    # grow to 3 % of the loss in 20 steps.
    "lenet_nesterov": (
        "lenet", SGD, dict(lr=0.01, momentum=0.9, nesterov=True), {}),
    "lenet_decay": (
        "lenet", SGD, dict(lr=0.02, momentum=0.9, weight_decay=0.02), {}),
    "lenet_adam": ("lenet", ADAM, dict(lr=0.0005), {}),
    "lenet_adam_decay": (
        "lenet", ADAM, dict(lr=0.0005, weight_decay=0.01), {}),
    "lenet_adamw": ("lenet", ADAMW, dict(lr=0.0005, weight_decay=0.1), {}),
    "lenet_l1": ("lenet", SGD, dict(lr=0.05), dict(l1=0.0002)),
    "lenet_l2": ("lenet", SGD, dict(lr=0.05), dict(l2=0.05)),
    "lenet_l1_l2": (
        "lenet", SGD, dict(lr=0.02, momentum=0.9), dict(l1=0.0005, l2=0.01)),
    "lenet_clip": ("lenet", SGD, dict(lr=0.1), dict(clip=0.3)),
    "lenet_drop": (
        "lenet", SGD, dict(lr=0.1), dict(drop=[[0.3, 0.75], 0.1])),
    "lenet_smooth": ("lenet", SGD, dict(lr=0.05), dict(smooth=0.1)),
    "mlp_sgd": ("mlp", SGD, dict(lr=0.1), {}),
    "mlp_nesterov": (
        "mlp", SGD, dict(lr=0.01, momentum=0.9, nesterov=True), {}),
    "mlp_adam": ("mlp", ADAM, dict(lr=0.002, betas=[0.9, 0.99]), dict(l2=0.01)),
    "mlp_adamw": ("mlp", ADAMW, dict(lr=0.002), dict(l1=0.001)),
    "square_sgd": ("square", SGD, dict(lr=0.05), {}),
    "square_adam": ("square", ADAM, dict(lr=0.005), dict(l1=0.001, l2=0.01)),
}


def write_safetensors(path, tensors):
    """The header is padded to 8 bytes; wide types come first, then by name."""
    names = sorted(tensors, key=lambda k: (-tensors[k].itemsize, k))
    header, at = {}, 0
    for name in names:
        a = tensors[name]
        dtype = {"float32": "F32", "float64": "F64"}[a.dtype.name]
        header[name] = {"dtype": dtype, "shape": list(a.shape),
                        "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            f.write(np.ascontiguousarray(tensors[name]).tobytes())


def file(name):
    return os.path.join(ROOT, name)


def make_data(net):
    """Rows around a mean for each class, so that there is much to learn."""
    g = np.random.default_rng(7)
    if net == "lenet":
        y = (np.arange(ROWS) * 7 % 10).astype(np.int32)
        coarse = g.normal(size=(10, 3, 8, 8)).repeat(4, 2).repeat(4, 3)
        x = 0.5 * coarse[y] + 0.5 * g.normal(size=(ROWS, 3, 32, 32))
    else:
        y = (np.arange(ROWS) * 7 % 3).astype(np.int32)
        x = g.normal(size=(3, 13))[y] + 0.7 * g.normal(size=(ROWS, 13))
    x = x.astype(np.float32)
    if net == "square":
        y = np.tanh(x @ g.normal(size=(13, 2)) / 3).astype(np.float32)
    return x, y


def argument(value):
    return str(value).lower() if isinstance(value, bool) else repr(value)


def net_file(name):
    """The same training as a .net file."""
    net, kind, args, more = VARIANTS[name]
    instance, _, text = NETS[net]
    lr = repr(args["lr"])
    if "drop" in more:
        lr += " * step_decay(at = %r, factor = %r)" % tuple(more["drop"])
    rest = "".join(", %s = %s" % (k, argument(v))
                   for k, v in args.items() if k != "lr")
    smooth = ", smooth = %r" % more["smooth"] if "smooth" in more else ""
    loss = ("squared_error(%s(x), y)" if net == "square" else
            "cross_entropy(%s(x), y" + smooth + ")") % instance
    out = "# Written by make_refs.py: the training of %s.safetensors.\n" % name
    out += '\ndata npy("tests/ref/%s_x.npy", "tests/ref/%s_y.npy")\n\n' % (
        net, net)
    out += text + "\ntrain {\n  loss      = %s\n" % loss
    terms = ["%r * %s(weights)" % (more[k], k) for k in ("l1", "l2")
             if k in more]
    if terms:
        out += "  penalty   = %s\n" % " + ".join(terms)
    out += "  optimizer = %s(lr = %s%s)\n" % (kind.__name__.lower(), lr, rest)
    if "clip" in more:
        out += "  clip      = %r\n" % more["clip"]
    out += "  batch     = %d\n  epochs    = %d\n" % (BATCH, EPOCHS)
    return out + "  shuffle   = false\n}\n"


def train(name, dtype, init, x, y):
    """Returns losses and totals of the steps, and the last parameters."""
    net, kind, args, more = VARIANTS[name]
    model = NETS[net][1]()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in init.items()})
    model.to(dtype)
    x, y = torch.from_numpy(x).to(dtype), torch.from_numpy(y)
    y = y.to(dtype) if net == "square" else y.long()
    optimizer = kind(model.parameters(), **args)
    criterion = (nn.MSELoss() if net == "square" else
                 nn.CrossEntropyLoss(label_smoothing=more.get("smooth", 0.0)))
    weights = [p for k, p in model.named_parameters() if k.endswith("weight")]
    steps = EPOCHS * ROWS // BATCH
    rows = []
    for step in range(steps):
        if "drop" in more:
            at, factor = more["drop"]
            passed = sum(step / steps >= a for a in at)
            optimizer.param_groups[0]["lr"] = args["lr"] * factor**passed
        b = slice(step * BATCH % ROWS, step * BATCH % ROWS + BATCH)
        loss = criterion(model(x[b]), y[b])
        l1 = sum(w.abs().sum() for w in weights)
        l2 = sum((w * w).sum() for w in weights) / 2
        total = loss + more.get("l1", 0) * l1 + more.get("l2", 0) * l2
        optimizer.zero_grad()
        total.backward()
        if "clip" in more:
            nn.utils.clip_grad_norm_(model.parameters(), more["clip"])
        optimizer.step()
        rows.append((loss.item(), total.item()))
    return np.array(rows), {k: v.detach().numpy()
                            for k, v in model.named_parameters()}


def netc_name(instance, key):
    stage, kind = key.split(".")
    return "%s.%s.%s" % (instance, stage, {"weight": "W", "bias": "b"}[kind])


def main():
    torch.set_num_threads(1)
    inits, data = {}, {}
    for net, (instance, maker, _) in NETS.items():
        torch.manual_seed(1)
        inits[net] = {k: v.detach().numpy().copy()
                      for k, v in maker().named_parameters()}
        write_safetensors(
            file(net + "_init.safetensors"),
            {netc_name(instance, k): v for k, v in inits[net].items()})
        data[net] = make_data(net)
        np.save(file(net + "_x.npy"), data[net][0])
        np.save(file(net + "_y.npy"), data[net][1])
    for name, (net, _, _, _) in VARIANTS.items():
        r32, w32 = train(name, torch.float32, inits[net], *data[net])
        r64, w64 = train(name, torch.float64, inits[net], *data[net])
        tensors = {"loss": np.stack([r32[:, 0], r64[:, 0]], 1),
                   "total": np.stack([r32[:, 1], r64[:, 1]], 1)}
        for k, w in w32.items():
            key = netc_name(NETS[net][0], k)
            tensors[key] = w.reshape(-1)[::STRIDE].copy()
        write_safetensors(file(name + ".safetensors"), tensors)
        with open(file(name + ".net"), "w") as f:
            f.write(net_file(name))
        far = max(np.abs(w32[k] - w64[k]).max() for k in w32)
        print("%-18s loss %.4f -> %.4f  f32 from f64: loss %.1e, weights %.1e" %
              (name, r64[0, 0], r64[-1, 0],
               (np.abs(r32 - r64) / r64).max(), far))


if __name__ == "__main__":
    main()
