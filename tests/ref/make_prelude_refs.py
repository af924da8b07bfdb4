"""Writes the references of the suite `prelude`: for each definition of
frontend/prelude.net a small training by PyTorch that netc must reproduce.

    python3 tests/ref/make_prelude_refs.py      # torch and numpy; from the root

For each training in prelude_cases.py it writes, in tests/ref/prelude/:

    NAME.net                 the training
    start_NAME.safetensors   the initial weights, which nets of one shape share
    FIELD.npy                the data
    references.safetensors   of each training, as NAME/KEY:
        loss, total   f64 [STEPS, 2], computed in f32 and in f64 (their distance
                      says what f32 can promise)
        test          f64 [2], the loss over all rows after the last step, as in
                      evaluation
        net.a.W ..    up to 16 elements of each parameter and state after the
                      last step

The last batch of each epoch has 2 rows instead of 4. prelude.c reads all this.
"""

import copy
import os

import numpy as np
import torch
from torch import nn

from make_refs import write_safetensors
from prelude_cases import BATCH, CASES, EPOCHS, ROWS, SHAPES, Attention

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "prelude")
KEPT = 16


def make_data():
    g = np.random.default_rng(3)
    label = np.arange(ROWS) * 7 % 3
    means = g.normal(size=(3, 6))
    rows = means[label] + 0.5 * g.normal(size=(ROWS, 6))
    share = g.random(size=(ROWS, 3))
    share[::4, 1] = 0
    field = {
        "row": rows,
        "picture": g.normal(size=(ROWS, 4, 7, 6)) + means[label][:, None, None],
        "signal": g.normal(size=(ROWS, 4, 9)) + 0.5 * label[:, None, None],
        "words": g.normal(size=(ROWS, 5, 6)) + means[label][:, None],
        "pair": np.tanh(rows @ g.normal(size=(6, 2)) / 2) * 2,
        "bits": (g.random(size=(ROWS, 2)) < 0.5),
        "shares": share / share.sum(1, keepdims=True),
    }
    field = {k: v.astype(np.float32) for k, v in field.items()}
    field["label"] = label.astype(np.int32)
    field["ids"] = g.integers(0, 7, size=(ROWS, 5)).astype(np.int32)
    field["tags"] = ((field["ids"] * 3 + 1) % 7 % 4).astype(np.int32)
    return field


# -- the .net file

def net_file(name):
    c = CASES[name]
    out = "# Written by make_prelude_refs.py.\n"
    out += '\ndata npy("tests/ref/prelude/%s.npy", "tests/ref/prelude/%s.npy")\n' % (
        c["x"], c["y"])
    out += "\n%snet net(x: %s) {\n  %s\n}\n" % (c["before"], SHAPES[c["x"]],
                                             c["text"].replace(" -> flatten",
                                             "\n    -> flatten"))
    out += "\ntrain {\n  loss      = %s\n" % c["loss"][0]
    for key in ("penalty", "prox"):
        if c[key]:
            out += "  penalty   = %s\n" % c[key][0]
    out += "  optimizer = %s\n" % c["opt"][0]
    if c["average"]:
        out += "  average   = %s\n" % c["average"][0]
    out += "  batch     = %d\n  epochs    = %d\n  shuffle   = false\n" % (
        BATCH, EPOCHS)
    out += '  init      = "tests/ref/prelude/start_%s.safetensors"\n}\n' % (
        c["start"])
    return out


# -- PyTorch's names in netc

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.LayerNorm, nn.RMSNorm, nn.GroupNorm)


def names_of(module):
    """netc's name of each parameter and state, and its tensor."""
    out = {}
    for path, m in module.named_modules():
        stage = "net.%s." % path.split(".")[-1]
        if isinstance(m, Attention):
            a = m.att
            out[stage + "W"] = a.in_proj_weight
            out[stage + "W_out"] = a.out_proj.weight
            if a.in_proj_bias is not None:
                out[stage + "b"] = a.in_proj_bias
                out[stage + "b_out"] = a.out_proj.bias
        elif isinstance(m, NORMS):
            out[stage + "g"] = m.weight
            if getattr(m, "bias", None) is not None:
                out[stage + "b"] = m.bias
            if hasattr(m, "running_mean"):
                out[stage + "mean"] = m.running_mean
                out[stage + "var"] = m.running_var
        elif isinstance(m, nn.PReLU):
            out[stage + "a"] = m.weight
        elif isinstance(m, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding,
                            nn.ConvTranspose2d)) and "att" not in path:
            out[stage + "W"] = m.weight
            if getattr(m, "bias", None) is not None:
                out[stage + "b"] = m.bias
    return out


# -- the training

def objective(c, module, loss):
    weights = [w for k, w in names_of(module).items() if k.endswith(".W")]
    if c["penalty"]:
        _, f, factor = c["penalty"]
        return loss + factor * sum(f(w) for w in weights)
    return loss


def after_step(c, module, lr):
    if c["prox"]:
        _, _, rule, factor = c["prox"]
        with torch.no_grad():
            for k, w in names_of(module).items():
                if k.endswith(".W"):
                    w.copy_(rule(w, lr * factor))


def as_tensor(a, dtype):
    t = torch.from_numpy(a)
    return t.to(dtype) if t.is_floating_point() else t.long()


def train(c, start, dtype, data):
    module = copy.deepcopy(start).to(dtype)
    x, y = as_tensor(data[c["x"]], dtype), as_tensor(data[c["y"]], dtype)
    opt = c["opt"][1](list(module.parameters()))
    make, each = c["schedule"] or (lambda o: None, None)
    scheduler = make(opt)
    rows, average = [], c["average"] and c["average"][1](module)
    for epoch in range(EPOCHS):
        losses = 0
        for at in range(0, ROWS, BATCH):
            part = slice(at, at + BATCH)
            loss = c["loss"][1](module(x[part]), y[part])
            total = objective(c, module, loss)
            if c["prox"]: # counts with the weights before the step
                shown = loss + c["prox"][3] * sum(
                    c["prox"][1](w) for k, w in names_of(module).items()
                    if k.endswith(".W"))
            else:
                shown = total
            opt.zero_grad()
            total.backward()
            opt.step()
            after_step(c, module, opt.param_groups[0]["lr"])
            if average and len(rows) >= c["average"][2]:
                average.update_parameters(module)
            losses += loss.item() * len(x[part])
            if each == "step":
                scheduler.step()
            rows.append((loss.item(), shown.item()))
        if each == "epoch":
            scheduler.step()
        if each == "loss":
            scheduler.step(losses / ROWS)
    if average:
        module = average.module
    module.eval()
    with torch.no_grad():
        test = c["loss"][1](module(x), y).item()
    return np.array(rows), test, {k: v.detach().numpy().astype(np.float64)
                                  for k, v in names_of(module).items()}


def start_of(c, starts):
    torch.manual_seed(len(c["start"]))
    module = c["module"]()
    if c["start"] in starts:
        before = starts[c["start"]]
        for k, v in names_of(module).items():
            v.data.copy_(before[k].data)
    else:
        starts[c["start"]] = names_of(module)
        with torch.no_grad():
            for k, v in names_of(module).items():
                if k.endswith((".b", ".b_out")): # PyTorch's are often 0
                    v.add_(0.1 * torch.randn_like(v))
        write_safetensors(
            os.path.join(ROOT, "start_%s.safetensors" % c["start"]),
            {k: v.detach().numpy() for k, v in names_of(module).items()})
    return module


def reference(name, data, starts, tensors):
    c = CASES[name]
    start = start_of(c, starts)
    r32, t32, w32 = train(c, start, torch.float32, data)
    r64, t64, w64 = train(c, start, torch.float64, data)
    tensors[name + "/loss"] = np.stack([r32[:, 0], r64[:, 0]], 1)
    tensors[name + "/test"] = np.array([t32, t64])
    if c["penalty"] or c["prox"]:
        tensors[name + "/total"] = np.stack([r32[:, 1], r64[:, 1]], 1)
    for k, w in w32.items():
        w = w.reshape(-1)
        tensors["%s/%s" % (name, k)] = w[::-(-w.size // KEPT)].astype(
            np.float32)
    with open(os.path.join(ROOT, name + ".net"), "w") as f:
        f.write(net_file(name))
    far = max((np.abs(w32[k] - w64[k]).max() / max(np.abs(w64[k]).max(), 1e-9))
              for k in w32)
    return "%-26s loss %.4f -> %.4f  f32 from f64: loss %.1e, weights %.1e" % (
        name, r64[0, 0], r64[-1, 0], (np.abs(r32 - r64) / np.abs(r64)).max(),
        far)


def main():
    torch.set_num_threads(1)
    os.makedirs(ROOT, exist_ok=True)
    data = make_data()
    for field in {c[k] for c in CASES.values() for k in "xy"}:
        np.save(os.path.join(ROOT, field + ".npy"), data[field])
    starts, tensors = {}, {}
    for name in CASES:
        print(reference(name, data, starts, tensors))
    write_safetensors(os.path.join(ROOT, "references.safetensors"), tensors)


if __name__ == "__main__":
    main()
