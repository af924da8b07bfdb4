"""Writes the references odd_*: small programs that use the language's parts in
unusual combinations, trained by PyTorch from the weights that netc draws.

    python3 tests/ref/make_odd.py build/netc [NAME ..]   # torch and numpy; root

For each program below it writes tests/ref/odd_NAME.net, the initial weights
odd_NAME_init.safetensors (parameters and layer states, by netc), and
odd_NAME.safetensors: `loss` and `total` of each step in f32 and f64, and all
parameters and layer states after the last one. Data, a few rows in order with a
short last batch, are shared: odd_DATA_x.npy and odd_DATA_y.npy, but for programs
that make their own. In the programs P maps netc's names to tensors; S, of the
run, holds layer states likewise. make_odd_more.py and make_odd_states.py have
further programs.
"""

import json
import os
import struct
import subprocess
import sys

import numpy as np
import torch
from torch.nn import functional as F

from make_refs import write_safetensors

ROOT = os.path.dirname(os.path.abspath(__file__))
ROWS, BATCH, EPOCHS = 22, 6, 5  # 20 steps; the last batch of an epoch has 4
STEPS = EPOCHS * 4


def file(name):
    return os.path.join(ROOT, name)


def make_data(kind):
    g = np.random.default_rng(11)
    if kind == "text":
        return (g.integers(0, 9, (ROWS, 6)).astype(np.int32),
                g.integers(0, 5, ROWS).astype(np.int32))
    shape = (2, 8, 8) if kind == "picture" else (12,)
    x = g.normal(size=(ROWS,) + shape).astype(np.float32)
    flat = x.reshape(ROWS, -1)
    if kind == "number":
        w = g.normal(size=(12, 3)) / 3
        return x, np.tanh(flat @ w).astype(np.float32)
    return x, (np.arange(ROWS) * 3 % 4).astype(np.int32)


def ints(g, high, *shape):
    return g.integers(0, high, shape).astype(np.int32)


def normal(g, *shape):
    return g.normal(size=shape).astype(np.float32)


def lin(P, name, x):
    b = P.get(name + ".b")
    y = x @ P[name + ".W"].T
    return y if b is None else y + b


def conv(P, name, x, **k):
    return F.conv2d(x, P[name + ".W"], P.get(name + ".b"), **k)


def norm(P, S, name, x, train=True):
    return F.batch_norm(x, S[name + ".mean"], S[name + ".var"],
                        P[name + ".g"], P[name + ".b"], train, 0.1, 1e-5)


class Program:
    """Overridden as needed. `t` has step, epoch, progress (numbers)."""
    data = "vector"
    rows, batch, epochs = ROWS, BATCH, EPOCHS  # 20 steps in all
    states = ()  # layer states beside those of batchnorm
    lr = 0.1
    accumulate = 1
    clip = None
    frozen = ()
    init = ""  # what stands in `train` once there is a file of weights

    def make(self, g):
        """The program's own x and y, drawn by g; None: those of `data`."""

    def optimizer(self, params):
        return torch.optim.SGD(params, lr=self.lr)

    def rate(self, t):
        return self.lr

    def penalty(self, P, t):
        return 0.0

    def after(self, P, lr, t):
        pass

    def averaged(self, P, n):
        """After the n-th update (from 0); returns what is saved, or None."""


PROGRAMS = {}


def program(cls):
    PROGRAMS[cls.__name__] = cls
    return cls


@program
class shared(Program):
    """A repeat around one shared stage, a stage inside a chain called again."""
    net = """\
layer cell(x: [n]) { (x -> linear(n) as deep -> tanh) + x }

net m(x: [12]) {
  h = x -> linear(7) as first -> (cell as c -> relu) as pair
  h -> repeat(2) pair -> pair.c -> linear(4, bias = false) as last
}
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  optimizer = sgd(lr = 0.1, momentum = 0.5)
"""

    def optimizer(self, params):
        return torch.optim.SGD(params, lr=0.1, momentum=0.5)

    def loss(self, P, S, x, y, t):
        def c(h):
            return torch.tanh(lin(P, "m.pair.c.deep", h)) + h
        h = lin(P, "m.first", x)
        for _ in range(3):
            h = torch.relu(c(h))
        return F.cross_entropy(lin(P, "m.last", c(h)), y)


@program
class siamese(Program):
    """A net called twice on parts of a row; a loss of one's own; a margin."""
    data = "number"
    net = """\
const margin = 0.8

loss contrast(a: [k], b: [k], same) {
  d = sqrt(sum((a - b) ^ 2) + 1e-6)
  same * d ^ 2 + (1 - same) * max(margin - d, 0) ^ 2
}

net half(x: [6]) { x -> linear(9) -> elu(alpha = 0.7) -> linear(5) }
"""
    train = """\
  loss      = contrast(half(slice(x, 0, 0, 6)), half(slice(x, 0, 6, 12)),
                       if y[0] > y[1] then 1 else 0)
  optimizer = adam(lr = 0.01 * cosine())
"""
    lr = 0.01

    def optimizer(self, params):
        return torch.optim.Adam(params, lr=0.01)

    def rate(self, t):
        return 0.01 * 0.5 * (1 + np.cos(np.pi * t.progress))

    def loss(self, P, S, x, y, t):
        def half(v):
            return lin(P, "half.linear2", F.elu(lin(P, "half.linear1", v), 0.7))
        d = (((half(x[:, :6]) - half(x[:, 6:])) ** 2).sum(1) + 1e-6).sqrt()
        s = (y[:, 0] > y[:, 1]).to(x.dtype)
        return (s * d**2 + (1 - s) * torch.relu(0.8 - d) ** 2).mean()


@program
class states(Program):
    """A layer with states of its own, one of them a number; batch statistics
    over the rows that are real."""
    states = ("seen", "centre")
    net = """\
layer whiten(x: [n], keep = 0.8) {
  scale g: [n] = 1
  state centre: [n] = 0
  state seen: [] = 0
  m = mean(x, axis = batch)
  now = if training then stop_gradient(m) else centre
  seen   <- seen + 1
  centre <- if seen == 1 then m else keep * centre + (1 - keep) * m
  g * (x - now) * (1 + 0.01 * seen)
}

net m(x: [12]) { x -> whiten as w -> linear(8) -> whiten(keep = 0.5) -> linear(4) }
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  penalty   = 0.01 * l2(scales)
  optimizer = sgd(lr = 0.2)
"""
    lr = 0.2

    def loss(self, P, S, x, y, t):
        def whiten(name, v, keep):
            m = v.mean(0)
            seen = S[name + ".seen"].item()
            S[name + ".seen"] += 1
            old = S[name + ".centre"]
            S[name + ".centre"] = (m if seen == 0 else
                                   keep * old + (1 - keep) * m).detach()
            return P[name + ".g"] * (v - m.detach()) * (1.01 + 0.01 * seen)
        h = lin(P, "m.linear1", whiten("m.w", x, 0.8))
        h = whiten("m.whiten1", h, 0.5)
        return F.cross_entropy(lin(P, "m.linear2", h), y)

    def penalty(self, P, t):
        return 0.01 * sum((v * v).sum() for k, v in P.items()
                          if k.endswith(".g")) / 2


@program
class sizes(Program):
    """Choices made on sizes and flags; layers of layers; a repeat that widens."""
    data = "picture"
    net = """\
layer unit(x: [c, h, w], out, down = false, norm = c > 2) {
  step = if down then 2 else 1
  y = x -> conv(out, 3, stride = step, pad = 1, bias = not norm)
  z = if norm then y -> groupnorm(2) else y
  way = if out == c and not down then x
        else x -> conv(out, 1, stride = step) as side
  silu(z + way)
}

layer grow(x: [c, ..], k) = concat(x, x -> unit(k))

net m(x: [2, 8, 8]) {
  x -> unit(4) -> repeat(2) grow(2) as g -> unit(8, down = true)
    -> mean(axis = [1, 2]) -> linear(4) as head
}
"""
    train = """\
  loss      = cross_entropy(m(x), y, smooth = 0.2)
  optimizer = sgd(lr = 0.1, momentum = 0.9, nesterov = true, weight_decay = 0.01)
"""

    def optimizer(self, params):
        return torch.optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True,
                               weight_decay=0.01)

    def loss(self, P, S, x, y, t):
        def unit(n, v, out, down=False):
            c = v.shape[1]
            z = conv(P, n + ".conv1", v, stride=2 if down else 1, padding=1)
            if c > 2:
                z = F.group_norm(z, 2, P[n + ".groupnorm1.g"],
                                 P[n + ".groupnorm1.b"])
            way = v if out == c and not down else conv(
                P, n + ".side", v, stride=2 if down else 1)
            return F.silu(z + way)
        h = unit("m.unit1", x, 4)
        for i in (1, 2):
            h = torch.cat([h, unit("m.g%d.unit1" % i, h, 2)], 1)
        h = unit("m.unit2", h, 8, True)
        return F.cross_entropy(lin(P, "m.head", h.mean((2, 3))), y,
                               label_smoothing=0.2)


@program
class instead(Program):
    """Definitions that take the prelude's place; the prelude keeps its own."""
    net = """\
layer sigmoid(x) = 0.5 + 0.25 * max(min(x, 2), -2)
layer relu(x) = max(x, 0.1 * x)
penalty l2(w) = sum(w ^ 4) / 4
init kaiming_uniform(fan) = uniform(-1 / fan, 1 / fan)
schedule cosine(to = 0) = to + (1 - to) * (1 - progress) ^ 2
optimizer sgd(w, g, lr = 0.5) { w <- w - lr * g / (1 + abs(g)) }

layer wide(x: [n], m) {
  weight W: [m, n] = kaiming_uniform(n)
  W @ x
}

net m(x: [12]) {
  x -> wide(9) -> relu -> silu -> wide(6) -> sigmoid -> linear(4)
}
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  penalty   = 0.1 * l2(weights except m.linear1)
  optimizer = sgd(lr = 0.3 * cosine(to = 0.2))
"""

    def optimizer(self, params):
        class Own(torch.optim.Optimizer):
            def __init__(self, p):
                super().__init__(p, dict(lr=0.3))

            def step(self):
                for group in self.param_groups:
                    for p in group["params"]:
                        p.data -= group["lr"] * p.grad / (1 + p.grad.abs())
        return Own(params)

    def rate(self, t):
        return 0.3 * (0.2 + 0.8 * (1 - t.progress) ** 2)

    def loss(self, P, S, x, y, t):
        h = x @ P["m.wide1.W"].T
        h = F.silu(torch.maximum(h, 0.1 * h))
        h = h @ P["m.wide2.W"].T
        h = 0.5 + 0.25 * h.clamp(-2, 2)
        return F.cross_entropy(lin(P, "m.linear1", h), y)

    def penalty(self, P, t):
        return 0.1 * sum((P["m.wide%d.W" % i] ** 4).sum() / 4 for i in (1, 2))


@program
class proximal(Program):
    """Two proximal terms, one that is scheduled, beside a common penalty."""
    net = """\
penalty group(w: [m, n]) {
  norm = sqrt(sum(w * w, axis = 1, keep = true))
  prox(t) = w * max(1 - t / max(norm, 1e-12), 0)
  sum(norm)
}

net m(x: [12]) { x -> linear(10) as a -> relu -> linear(6) as b -> tanh -> linear(4) as c }
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  penalty   = prox(0.2 * progress * group(m.a.W)) + prox(0.05 * l1(m.b)) +
              0.01 * l2(m.c.W)
  optimizer = sgd(lr = 0.1, momentum = 0.9)
"""

    def optimizer(self, params):
        return torch.optim.SGD(params, lr=0.1, momentum=0.9)

    def loss(self, P, S, x, y, t):
        h = torch.relu(lin(P, "m.a", x))
        return F.cross_entropy(lin(P, "m.c", torch.tanh(lin(P, "m.b", h))), y)

    def penalty(self, P, t):
        return 0.01 * (P["m.c.W"] ** 2).sum() / 2

    def proximal(self, P, t):
        g = P["m.a.W"].pow(2).sum(1).sqrt().sum()
        return (0.2 * t.progress * g +
                0.05 * (P["m.b.W"].abs().sum() + P["m.b.b"].abs().sum()))

    def after(self, P, lr, t):
        w = P["m.a.W"]
        k = lr * 0.2 * t.progress
        n = w.pow(2).sum(1, keepdim=True).sqrt().clamp(min=1e-12)
        w.mul_((1 - k / n).clamp(min=0))
        for key in ("m.b.W", "m.b.b"):
            w = P[key]
            w.copy_(w.sign() * (w.abs() - lr * 0.05).clamp(min=0))


@program
class counted(Program):
    """An optimiser of one's own with a shared count, and a schedule that calls
    another."""
    net = """\
schedule warm(over = 0.25) =
  if progress < over then progress / over else linear_decay(to = 0.1)

optimizer nadam(w, g, lr = 0.01, beta1 = 0.9, beta2 = 0.99) {
  state m = 0
  state v = 0
  state t: [] = 0
  t <- t + 1
  m <- beta1 * m + (1 - beta1) * g
  v <- beta2 * v + (1 - beta2) * g ^ 2
  ahead = beta1 * m / (1 - beta1 ^ (t + 1)) + (1 - beta1) * g / (1 - beta1 ^ t)
  w <- w - lr * ahead / (sqrt(v / (1 - beta2 ^ t)) + 1e-8)
}

net m(x: [12]) { x -> linear(16) -> gate -> linear(4) }

layer gate(x: [n]) { slice(x, 0, 0, n / 2) * sigmoid(slice(x, 0, 1, n, step = 2)) }
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  optimizer = nadam(lr = 0.02 * warm())
"""
    lr = 0.02

    def optimizer(self, params):
        class Own(torch.optim.Optimizer):
            def __init__(self, p):
                super().__init__(p, dict(lr=0.02))
                self.t = 0

            def step(self):
                self.t += 1
                t = self.t
                for group in self.param_groups:
                    for p in group["params"]:
                        s = self.state[p]
                        if not s:
                            s["m"] = torch.zeros_like(p)
                            s["v"] = torch.zeros_like(p)
                        s["m"] = 0.9 * s["m"] + 0.1 * p.grad
                        s["v"] = 0.99 * s["v"] + 0.01 * p.grad**2
                        ahead = (0.9 * s["m"] / (1 - 0.9 ** (t + 1)) +
                                 0.1 * p.grad / (1 - 0.9**t))
                        v = s["v"] / (1 - 0.99**t)
                        p.data -= group["lr"] * ahead / (v.sqrt() + 1e-8)
        return Own(params)

    def rate(self, t):
        p = t.progress
        return 0.02 * (p / 0.25 if p < 0.25 else 1 - 0.9 * p)

    def loss(self, P, S, x, y, t):
        h = lin(P, "m.linear1", x)
        h = h[:, :8] * torch.sigmoid(h[:, 1::2])
        return F.cross_entropy(lin(P, "m.linear2", h), y)


@program
class several(Program):
    """Updates of three batches with clipping; the count of updates in schedules
    of the rate and of the penalty."""
    net = """\
net m(x: [12]) { x -> linear(11) -> leaky_relu(0.2) -> linear(4) }
"""
    train = """\
  loss       = cross_entropy(m(x), y)
  penalty    = 1e-3 * (1 + step) * l2(parameters)
  optimizer  = adamw(lr = 0.02 * step_decay(at = [0.3, 0.6], factor = 0.5))
  clip       = 0.7
  accumulate = 3
"""
    accumulate = 3
    clip = 0.7
    lr = 0.02

    def optimizer(self, params):
        return torch.optim.AdamW(params, lr=0.02)

    def rate(self, t):
        return 0.02 * 0.5 ** sum(t.progress >= a for a in (0.3, 0.6))

    def loss(self, P, S, x, y, t):
        h = F.leaky_relu(lin(P, "m.linear1", x), 0.2)
        return F.cross_entropy(lin(P, "m.linear2", h), y)

    def penalty(self, P, t):
        return 1e-3 * (1 + t.step) * sum((v * v).sum() for v in P.values()) / 2


@program
class moving(Program):
    """An exponential average of the weights; batch normalisation's states are
    those of the training."""
    data = "picture"
    net = """\
net m(x: [2, 8, 8]) {
  x -> conv(6, 3, stride = 2) -> batchnorm -> relu -> flatten -> linear(4)
}
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  optimizer = sgd(lr = 0.1, momentum = 0.9)
  average   = ema(0.8)
"""

    def optimizer(self, params):
        return torch.optim.SGD(params, lr=0.1, momentum=0.9)

    def loss(self, P, S, x, y, t):
        h = conv(P, "m.conv1", x, stride=2)
        h = torch.relu(norm(P, S, "m.batchnorm1", h)).flatten(1)
        return F.cross_entropy(lin(P, "m.linear1", h), y)

    def averaged(self, P, n):
        if n == 0:
            self.a = {k: v.detach().clone() for k, v in P.items()}
        else:
            for k, v in P.items():
                self.a[k] = 0.8 * self.a[k] + 0.2 * v.detach()
        return self.a


@program
class stochastic(Program):
    """The mean of the weights of every other update of the second half, with
    updates of two batches and a frozen stage."""
    data = "number"
    net = """\
net m(x: [12]) { x -> linear(6) as a -> sigmoid -> linear(5) as b -> linear(3) as c }
"""
    train = """\
  loss       = huber(m(x), y, delta = 0.5)
  optimizer  = adam(lr = 0.02)
  average    = swa(start = 0.5, every = 2)
  accumulate = 2
  freeze     = m.b
"""
    accumulate = 2
    frozen = ("m.b.",)
    lr = 0.02

    def optimizer(self, params):
        return torch.optim.Adam(params, lr=0.02)

    def loss(self, P, S, x, y, t):
        h = lin(P, "m.b", torch.sigmoid(lin(P, "m.a", x)))
        return F.huber_loss(lin(P, "m.c", h), y, delta=0.5)

    def averaged(self, P, n):
        updates = STEPS // 2
        now = {k: v.detach().clone() for k, v in P.items()}
        if n == 0:
            self.count, self.a = 0, now
        turn = n / updates >= 0.5 and (n + 1) % 2 == 0
        if self.count == 0:
            self.a = now
        elif turn:
            self.a = {k: v + (now[k] - v) / (self.count + 1)
                      for k, v in self.a.items()}
        self.count += turn
        return self.a


@program
class attention(Program):
    """Embedding, positions, attention with a mask, weights tied to the input's."""
    data = "text"
    net = """\
layer heads(x: [t, d], count) {
  k = x -> linear(d, bias = false) as key
  q = x -> linear(d, bias = false) as query
  v = x -> linear(d) as value
  size = d / count
  split = [t, count, size]
  logits = einsum("thd,shd->hts", reshape(q, split), reshape(k, split)) / sqrt(size)
  future = iota(t) > reshape(iota(t), [t, 1])
  p = softmax(if future then -1e9 else logits)
  mixed = reshape(einsum("hts,shd->thd", p, reshape(v, split)), [t, d])
  mixed -> linear(d) as out
}

layer block(x: [t, d]) {
  y = x + (x -> layernorm -> heads(2))
  y + (y -> layernorm -> linear(2 * d) -> gelu_tanh -> linear(d))
}

layer gelu_tanh(x) = 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ^ 3)))

layer positions(x: [t, d]) {
  weight P: [t, d] = normal(0, 0.1)
  x + P
}

net lm(x: [6]) {
  h = x -> embedding(9, 8) as emb -> positions -> repeat(2) block -> layernorm
  last = h[5]
  (emb.W @ last) -> slice(0, 2, 7)
}
"""
    train = """\
  loss      = cross_entropy(lm(x), y)
  optimizer = adamw(lr = 0.01, weight_decay = 0.1)
"""
    lr = 0.01

    def optimizer(self, params):
        return torch.optim.AdamW(params, weight_decay=0.1)

    def loss(self, P, S, x, y, t):
        E = P["lm.emb.W"]
        h = E[x] + P["lm.positions1.P"]

        def ln(n, v):
            return F.layer_norm(v, (8,), P[n + ".g"], P[n + ".b"])

        def heads(n, v):
            def cut(u):
                return u.reshape(-1, 6, 2, 4).transpose(1, 2)
            k, q = cut(lin(P, n + ".key", v)), cut(lin(P, n + ".query", v))
            a = q @ k.transpose(2, 3) / 2
            mask = torch.triu(torch.ones(6, 6, dtype=torch.bool), 1)
            p = a.masked_fill(mask, -1e9).softmax(-1)
            o = (p @ cut(lin(P, n + ".value", v))).transpose(1, 2)
            return lin(P, n + ".out", o.reshape(-1, 6, 8))
        for i in (1, 2):
            n = "lm.block%d" % i
            h = h + heads(n + ".heads1", ln(n + ".layernorm1", h))
            u = lin(P, n + ".linear1", ln(n + ".layernorm2", h))
            h = h + lin(P, n + ".linear2", F.gelu(u, approximate="tanh"))
        h = ln("lm.layernorm1", h)[:, 5]
        return F.cross_entropy((h @ E.T)[:, 2:7], y)


@program
class weighted(Program):
    """Class weights of a constant list, two nets in one loss, a stage of one as
    an argument of a layer in the other."""
    net = """\
const rare = [0.5, 2, 1, 3]

net body(x: [12]) { x -> linear(10) as l -> tanh }
net tail(h: [10], x: [12]) { (h -> linear(4) as up) + 0.1 * (body(x) -> linear(4) as again) }
"""
    train = """\
  loss      = cross_entropy(tail(body(x), x), y, class_weights = rare)
  penalty   = 0.01 * l1(body) + 0.05 * l2(tail except tail.again)
  optimizer = rmsprop(lr = 0.01 * exponential(0.8))
"""
    lr = 0.01

    def optimizer(self, params):
        return torch.optim.RMSprop(params, lr=0.01)

    def rate(self, t):
        return 0.01 * 0.8**t.epoch

    def loss(self, P, S, x, y, t):
        h = torch.tanh(lin(P, "body.l", x))
        z = lin(P, "tail.up", h) + 0.1 * lin(P, "tail.again", h)
        w = torch.tensor([0.5, 2, 1, 3], dtype=x.dtype)
        return F.cross_entropy(z, y, weight=w)

    def penalty(self, P, t):
        return (0.01 * sum(v.abs().sum() for k, v in P.items()
                           if k.startswith("body.")) +
                0.05 * sum((P["tail.up." + k] ** 2).sum() for k in "Wb") / 2)


@program
class windows(Program):
    """Grouped and dilated convolution, odd paddings, windows by hand, average
    pooling that counts its padding."""
    data = "picture"
    net = """\
layer blur(x: [c, h, w], k) {
  weight K: [k] = normal(0, 0.5)
  wide = pad(x, 2, k - 1, 0, 0.5)
  sum(window(wide, 2, k) * K, axis = 3)
}

net m(x: [2, 8, 8]) {
  x -> conv(4, 3, groups = 2, dilation = 2, pad = 2) -> blur(3)
    -> avgpool(3, stride = 2, pad = 1) -> tanh -> conv(6, 2, stride = 2, pad = 1)
    -> maxpool(2, stride = 1) -> flatten -> linear(4)
}
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  optimizer = sgd(lr = 0.1, weight_decay = 0.02)
  clip      = 1.5
"""
    clip = 1.5

    def optimizer(self, params):
        return torch.optim.SGD(params, lr=0.1, weight_decay=0.02)

    def loss(self, P, S, x, y, t):
        h = conv(P, "m.conv1", x, groups=2, dilation=2, padding=2)
        h = F.pad(h, (2, 0), value=0.5).unfold(3, 3, 1)
        h = (h * P["m.blur1.K"]).sum(4)
        h = torch.tanh(F.avg_pool2d(h, 3, 2, 1))
        h = conv(P, "m.conv2", h, stride=2, padding=1)
        h = F.max_pool2d(h, 2, 1).flatten(1)
        return F.cross_entropy(lin(P, "m.linear1", h), y)


@program
class primitive(Program):
    """Operations that few layers use: indices, comparisons, floor, argmax, a
    step whose gradient passes, a logarithm of a sum by hand."""
    net = """\
layer step_through(x) = x + stop_gradient(floor(2 * x) / 2 - x)

layer pick(x: [n]) {
  best = argmax(stop_gradient(abs(x)))
  x * (1 + onehot(best, n)) - x[best] * (iota(n) < 3)
}

loss own(z: [k], label: class[k]) {
  big = max(z)
  s = stop_gradient(big)
  log(sum(exp(z - s))) + s - z[label] + 0.01 * (big - min(z)) ^ 2
}

net m(x: [12]) {
  h = x -> linear(9) -> step_through -> pick
  g = cos(h) * sign(h) + sin(0.5 * h) ^ 3 + 2 ^ (h / 4)
  reshape(g, [3, 3])' @ g[permute(reshape(iota(9), [3, 3]), [1, 0])]
    -> flatten -> linear(4)
}
"""
    train = """\
  loss      = own(m(x), y)
  optimizer = sgd(lr = 0.02)
"""
    lr = 0.02

    def optimizer(self, params):
        return torch.optim.SGD(params, lr=0.02)

    def loss(self, P, S, x, y, t):
        h = lin(P, "m.linear1", x)
        h = h + (torch.floor(2 * h) / 2 - h).detach()
        best = h.detach().abs().argmax(1)
        low = (torch.arange(9) < 3).to(x.dtype)
        h = (h * (1 + F.one_hot(best, 9)) -
             h.gather(1, best[:, None]) * low)
        g = torch.cos(h) * torch.sign(h) + torch.sin(0.5 * h) ** 3 + 2 ** (h / 4)
        a = g.reshape(-1, 3, 3).transpose(1, 2)
        z = lin(P, "m.linear2", (a @ a).flatten(1))
        big, small = z.amax(1), z.amin(1)
        s = big.detach()
        hit = z.gather(1, y[:, None])[:, 0]
        v = (z - s[:, None]).exp().sum(1).log() + s - hit
        return (v + 0.01 * (big - small) ** 2).mean()


@program
class multitask(Program):
    """Two losses in one, rows that are weighted, an argument with a default that
    depends on another, a definition in an imported file."""
    data = "number"
    imported = """\
# Written by make_odd.py: a part of the program odd_multitask.net.

const size = 7

layer bottle(x: [n], mid = n / 2, act = 2) {
  h = x -> linear(mid) as narrow
  z = if act == 1 then h -> relu else if act == 2 then h -> softplus else h
  z -> linear(n) as wide
}
"""
    net = """\
import "bottle.net"

net encode(x: [12]) { x -> bottle(act = 1) -> bottle(size) as b -> layernorm }
net decode(h: [12]) { h -> bottle(mid = 3) }
net score(h: [12])  { h -> linear(3) }
"""
    train = """\
  loss      = weighted(0.7 * squared_error(decode(encode(x)), x) +
                       0.3 * absolute_error(score(encode(x)), y),
                       1 + abs(y[0]))
  optimizer = sgd(lr = 0.05, momentum = 0.9, weight_decay = 0.001)
"""
    lr = 0.05

    def optimizer(self, params):
        return torch.optim.SGD(params, lr=0.05, momentum=0.9,
                               weight_decay=0.001)

    def loss(self, P, S, x, y, t):
        def bottle(n, v, act):
            return lin(P, n + ".wide", act(lin(P, n + ".narrow", v)))
        h = bottle("encode.bottle1", x, torch.relu)
        h = bottle("encode.b", h, F.softplus)
        h = F.layer_norm(h, (12,), P["encode.layernorm1.g"],
                         P["encode.layernorm1.b"])
        d = bottle("decode.bottle1", h, F.softplus)
        s = lin(P, "score.linear1", h)
        v = (0.7 * ((d - x) ** 2).mean(1) + 0.3 * (s - y).abs().mean(1))
        w = 1 + y[:, 0].abs()
        return (w * v).sum() / w.sum()


@program
class again(Program):
    """A recurrence over three parts of the input: a stage that is called again
    with another state, and with other arguments in each of the ways."""
    net = """\
layer gru(h: [d], x: [n], gate) {
  z = sigmoid((x -> linear(d) as xz) + (h -> linear(d, bias = false) as hz))
  c = tanh((x -> linear(d) as xc) + z * (h -> linear(d) as hc))
  gate * ((1 - z) * h + z * c)
}

net m(x: [12]) {
  s1 = 0 * slice(x, 0, 0, 8) -> gru(slice(x, 0, 0, 4), 0.9) as cell
  s2 = s1 -> cell(slice(x, 0, 4, 8))
  s3 = cell(s2, slice(x, 0, 8, 12), gate = 1.5)
  cell(s3, x = slice(x, 0, 1, 5)) -> linear(4) as out
}
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  optimizer = sgd(lr = 0.2, momentum = 0.5)
"""
    lr = 0.2

    def optimizer(self, params):
        return torch.optim.SGD(params, lr=0.2, momentum=0.5)

    def loss(self, P, S, x, y, t):
        h = 0 * x[:, :8]
        for begin, gate in ((0, 0.9), (4, 0.9), (8, 1.5), (1, 0.9)):
            v = x[:, begin:begin + 4]
            z = torch.sigmoid(lin(P, "m.cell.xz", v) + lin(P, "m.cell.hz", h))
            c = torch.tanh(lin(P, "m.cell.xc", v) + z * lin(P, "m.cell.hc", h))
            h = gate * ((1 - z) * h + z * c)
        return F.cross_entropy(lin(P, "m.out", h), y)


@program
class recurrent(Program):
    """A recurrence written with shared stages, whose input is a slice; a state
    that goes on; the last value of a list of numbers as a size."""
    net = """\
const sizes = [5, 8]

layer gru(h: [d], x: [n]) {
  z = sigmoid((x -> linear(d) as xz) + (h -> linear(d, bias = false) as hz))
  c = tanh((x -> linear(d) as xc) + z * (h -> linear(d) as hc))
  (1 - z) * h + z * c
}

net m(x: [12]) {
  s1 = 0 * slice(x, 0, 0, 8) -> gru(slice(x, 0, 0, 4)) as cell
  s2 = s1 -> linear(sizes[1]) as link -> relu
  (s2 -> link) * s1 -> linear(sizes[0]) -> log_softmax -> linear(4)
}
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  penalty   = 0.001 * l2(weights) * (1 + epoch) + 0.01 * l1(biases except m.link)
  optimizer = adam(lr = 0.02, betas = [0.8, 0.95], eps = 1e-6, weight_decay = 0.01)
"""
    lr = 0.02

    def optimizer(self, params):
        return torch.optim.Adam(params, lr=0.02, betas=(0.8, 0.95), eps=1e-6,
                                weight_decay=0.01)

    def loss(self, P, S, x, y, t):
        h, v = 0 * x[:, :8], x[:, :4]
        z = torch.sigmoid(lin(P, "m.cell.xz", v) + lin(P, "m.cell.hz", h))
        c = torch.tanh(lin(P, "m.cell.xc", v) + z * lin(P, "m.cell.hc", h))
        s1 = (1 - z) * h + z * c
        s2 = torch.relu(lin(P, "m.link", s1))
        h = (lin(P, "m.link", s2) * s1)
        h = lin(P, "m.linear1", h).log_softmax(1)
        return F.cross_entropy(lin(P, "m.linear2", h), y)

    def penalty(self, P, t):
        w = sum((v * v).sum() for k, v in P.items() if k.endswith(".W")) / 2
        b = sum(v.abs().sum() for k, v in P.items()
                if k.endswith(".b") and not k.startswith("m.link"))
        return 0.001 * w * (1 + t.epoch) + 0.01 * b


@program
class standing(Program):
    """Batch normalisation of vectors and pictures with other momentum and eps,
    twice through one instance, and L1 on its scales by a proximal step."""
    data = "picture"
    net = """\
net m(x: [2, 8, 8]) {
  h = x -> conv(5, 3, pad = 1, bias = false) -> batchnorm(momentum = 0.3) as n
  g = -h -> n -> avgpool(4) -> flatten -> linear(6)
  g -> batchnorm(eps = 0.01) -> tanh -> linear(4)
}
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  penalty   = prox(0.02 * l1(scales))
  optimizer = sgd(lr = 0.1)
"""

    def loss(self, P, S, x, y, t):
        def bn(n, v, momentum, eps):
            return F.batch_norm(v, S[n + ".mean"], S[n + ".var"], P[n + ".g"],
                                P[n + ".b"], True, momentum, eps)
        h = bn("m.n", conv(P, "m.conv1", x, padding=1), 0.3, 1e-5)
        g = bn("m.n", -h, 0.3, 1e-5)
        g = lin(P, "m.linear1", F.avg_pool2d(g, 4).flatten(1))
        g = torch.tanh(bn("m.batchnorm1", g, 0.1, 0.01))
        return F.cross_entropy(lin(P, "m.linear2", g), y)

    def proximal(self, P, t):
        return 0.02 * sum(v.abs().sum() for k, v in P.items()
                          if k.endswith(".g"))

    def after(self, P, lr, t):
        for k, w in P.items():
            if k.endswith(".g"):
                w.copy_(w.sign() * (w.abs() - lr * 0.02).clamp(min=0))


@program
class targets(Program):
    """Labels that are compared with one part of the logits, a margin, a loss
    that calls two others, an `if` element by element on the label."""
    net = """\
loss hinge(z: [k], label: class[k], margin = 1) {
  gap = z - z[label] + margin
  sum(if onehot(label) == 1 then 0 else max(gap, 0)) / k
}

loss both(z: [k], label: class[k], share) {
  easy = label == 0 or label == 3
  if easy then hinge(z, label) else share * cross_entropy(z, label) + hinge(z, label, 0.5)
}

net m(x: [12]) { x -> linear(8) -> softmax -> linear(4) as out }
"""
    train = """\
  loss      = both(m(x), y, 0.5 + 0.5 * progress)
  penalty   = 0.1 * l2(m.out.W - 1)
  optimizer = sgd(lr = 0.5)
"""
    lr = 0.5

    def optimizer(self, params):
        return torch.optim.SGD(params, lr=0.5)

    def loss(self, P, S, x, y, t):
        z = lin(P, "m.out", lin(P, "m.linear1", x).softmax(1))

        def hinge(margin):
            gap = torch.relu(z - z.gather(1, y[:, None]) + margin)
            return (gap * (1 - F.one_hot(y, 4))).sum(1) / 4
        ce = F.cross_entropy(z, y, reduction="none")
        easy = (y == 0) | (y == 3)
        share = 0.5 + 0.5 * t.progress
        return torch.where(easy, hinge(1), share * ce + hinge(0.5)).mean()

    def penalty(self, P, t):
        return 0.1 * ((P["m.out.W"] - 1) ** 2).sum() / 2


@program
class axes(Program):
    """Any number of axes, integers as indices, broadcasting that both sides need,
    means over the batch in the middle of a net."""
    data = "picture"
    net = """\
layer centre(x: [.., n]) = x - mean(x, axis = [batch, 0])

layer mix(x: [.., n], m) {
  weight A: [n, m] = xavier_uniform(n, m)
  bias   b: [m] = 0.1
  x @ A + b
}

net m(x: [2, 8, 8]) {
  h = permute(x, [1, 0, 2]) -> mix(6) -> centre -> tanh
  rows = max(h, axis = 1)
  columns = mean(h, axis = 0, keep = true)
  both = reshape(rows, [8, 1, 6]) * columns
  flip = both[7 - iota(8)]
  sum(both - 0.5 * flip ^ 2, axis = [0, 1]) / 8 -> mix(4)
}
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  optimizer = sgd(lr = 0.1, momentum = 0.9)
"""

    def optimizer(self, params):
        return torch.optim.SGD(params, lr=0.1, momentum=0.9)

    def loss(self, P, S, x, y, t):
        h = x.permute(0, 2, 1, 3) @ P["m.mix1.A"] + P["m.mix1.b"]
        h = torch.tanh(h - h.mean((0, 1)))
        both = h.amax(2)[:, :, None, :] * h.mean(1, keepdim=True)
        v = (both - 0.5 * both.flip(1) ** 2).sum((1, 2)) / 8
        return F.cross_entropy(v @ P["m.mix2.A"] + P["m.mix2.b"], y)


@program
class mapped(Program):
    """Weights under PyTorch's names, through a map."""
    data = "picture"
    net = """\
layer block(x: [c, h, w], out, stride = 1) {
  y = x -> conv(out, 3, stride = stride, pad = 1, bias = false) -> batchnorm as bn1
        -> relu -> conv(out, 3, pad = 1, bias = false) as conv2 -> batchnorm as bn2
  skip = if stride == 1 then x
         else x -> (conv(out, 1, stride = stride) as a -> batchnorm as b) as shortcut
  relu(y + skip)
}

net resnet(x: [2, 8, 8]) {
  x -> conv(4, 3, pad = 1, bias = false) as stem -> batchnorm -> relu
    -> repeat(2) block(4) as first -> block(6, stride = 2)
    -> mean(axis = [1, 2]) -> linear(4) as head
}
"""
    train = """\
  loss      = cross_entropy(resnet(x), y)
  optimizer = sgd(lr = 0.05, momentum = 0.9)
"""
    init = """\
  init      = from("tests/ref/odd_mapped_init.safetensors",
                   map = ["module.conv1" -> resnet.stem,
                          "module.bn1"   -> resnet.batchnorm1,
                          "module.layer1.0" -> resnet.first1,
                          "module.layer1.1" -> resnet.first2,
                          "module.layer2.0" -> resnet.block1,
                          "module.layer2.0.shortcut.0" -> resnet.block1.shortcut.a,
                          "module.layer2.0.shortcut.1" -> resnet.block1.shortcut.b,
                          "module.fc" -> resnet.head])
"""
    lr = 0.05
    # netc's names, as they are in PyTorch's state_dict
    names = [("resnet.stem", "module.conv1"), ("resnet.batchnorm1", "module.bn1"),
             ("resnet.first1", "module.layer1.0"),
             ("resnet.first2", "module.layer1.1"),
             ("resnet.block1.shortcut.a", "module.layer2.0.shortcut.0"),
             ("resnet.block1.shortcut.b", "module.layer2.0.shortcut.1"),
             ("resnet.block1", "module.layer2.0"), ("resnet.head", "module.fc")]

    def optimizer(self, params):
        return torch.optim.SGD(params, lr=0.05, momentum=0.9)

    def loss(self, P, S, x, y, t):
        def block(n, v, stride=1):
            h = conv(P, n + ".conv1", v, stride=stride, padding=1)
            h = torch.relu(norm(P, S, n + ".bn1", h))
            h = norm(P, S, n + ".bn2", conv(P, n + ".conv2", h, padding=1))
            if stride > 1:
                v = norm(P, S, n + ".shortcut.b",
                         conv(P, n + ".shortcut.a", v, stride=stride))
            return torch.relu(h + v)
        h = conv(P, "resnet.stem", x, padding=1)
        h = torch.relu(norm(P, S, "resnet.batchnorm1", h))
        h = block("resnet.first2", block("resnet.first1", h))
        h = block("resnet.block1", h, 2)
        return F.cross_entropy(lin(P, "resnet.head", h.mean((2, 3))), y)


def renamed(cls, init):
    """The tensors under PyTorch's names, if the program has a map."""
    words = {"W": "weight", "g": "weight", "b": "bias", "mean": "running_mean",
             "var": "running_var"}
    if not hasattr(cls, "names"):
        return init
    out = {}
    for key, value in init.items():
        stage, word = key.rsplit(".", 1)
        ours, theirs = next((a, b) for a, b in cls.names
                            if stage == a or stage.startswith(a + "."))
        out["%s.%s" % (theirs + stage[len(ours):], words[word])] = value
    return out


class Time:
    def __init__(self, step, per_epoch):
        self.step, self.epoch = step, step // per_epoch
        self.progress = step / STEPS


def net_file(name, init):
    cls = PROGRAMS[name]
    out = "# Written by make_odd.py: the training of odd_%s.safetensors.\n" % name
    out += '\ndata npy("tests/ref/odd_%s_x.npy", "tests/ref/odd_%s_y.npy")\n\n' % (
        (data_of(name)[2],) * 2)
    out += cls.net + "\ntrain {\n" + cls.train + init
    return out + "  batch = %d; epochs = %d; shuffle = false\n}\n" % (
        cls.batch, cls.epochs)


def data_of(name):
    """x, y and the name of their files."""
    p = PROGRAMS[name]()
    own = p.make(np.random.default_rng(11))
    x, y = own or make_data(p.data)
    return x, y, name if own else p.data


def read_safetensors(path):
    with open(path, "rb") as f:
        text = f.read()
    n = struct.unpack("<Q", text[:8])[0]
    header = json.loads(text[8:8 + n])
    kinds = {"F32": np.float32, "F64": np.float64}
    out = {}
    for k, v in header.items():
        if k != "__metadata__":
            a, b = v["data_offsets"]
            out[k] = np.frombuffer(text[8 + n + a:8 + n + b],
                                   kinds[v["dtype"]]).reshape(v["shape"])
    return out


def is_state(cls, name):
    return name.split(".")[-1] in ("mean", "var") + cls.states


def train(cls, dtype, init, x, y):
    p = cls()
    P = {k: torch.tensor(v, dtype=dtype, requires_grad=True)
         for k, v in init.items() if not is_state(cls, k)}
    S = {k: torch.tensor(v, dtype=dtype) for k, v in init.items()
         if is_state(cls, k)}
    moving = {k: v for k, v in P.items()
              if not any(k.startswith(f) for f in p.frozen)}
    optimizer = p.optimizer(list(moving.values()))
    x = torch.tensor(x, dtype=torch.long if x.dtype == np.int32 else dtype)
    y = torch.tensor(y, dtype=torch.long if y.dtype == np.int32 else dtype)
    rows, saved, per_epoch = [], None, -(-p.rows // p.batch)
    assert p.epochs * per_epoch == STEPS
    for step in range(STEPS):
        first = step // p.accumulate * p.accumulate  # of the update's batches
        t = Time(first, per_epoch)
        t.step, t.epoch = step // p.accumulate, step // per_epoch
        b = slice(step % per_epoch * p.batch, (step % per_epoch + 1) * p.batch)
        loss = p.loss(P, S, x[b], y[b], t)
        total = loss + p.penalty(P, t)
        more = p.proximal(P, t) if hasattr(p, "proximal") else 0
        rows.append((loss.item(), (total + more).item()))
        (total / p.accumulate).backward()
        if (step + 1) % p.accumulate:
            continue
        if p.clip:
            torch.nn.utils.clip_grad_norm_(list(moving.values()), p.clip)
        lr = p.rate(t)
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
        with torch.no_grad():
            p.after(P, lr, t)
        saved = p.averaged(P, t.step)
        for v in P.values():
            v.grad = None
    last = dict(saved if saved else P)
    last.update(S)
    return np.array(rows), {k: v.detach().numpy() for k, v in last.items()}


def main(names):
    netc, names = sys.argv[1], sys.argv[2:] or names
    torch.set_num_threads(1)
    for name in names:
        x, y, kind = data_of(name)
        np.save(file("odd_%s_x.npy" % kind), x)
        np.save(file("odd_%s_y.npy" % kind), y)
        cls, base = PROGRAMS[name], file("odd_" + name)
        if hasattr(cls, "imported"):
            with open(file("bottle.net"), "w") as f:
                f.write(cls.imported)
        with open(base + ".net", "w") as f:
            f.write(net_file(name, ""))
        if subprocess.run([netc, "run", base + ".net", "--epochs", "0", "--quiet",
                           "--save", base + "_init.safetensors"],
                          stdout=subprocess.DEVNULL).returncode:
            continue
        with open(base + ".net", "w") as f:
            f.write(net_file(name, cls.init))
        init = read_safetensors(base + "_init.safetensors")
        write_safetensors(base + "_init.safetensors", renamed(cls, init))
        r32, w32 = train(cls, torch.float32, init, x, y)
        r64, _ = train(cls, torch.float64, init, x, y)
        tensors = {"loss": np.stack([r32[:, 0], r64[:, 0]], 1),
                   "total": np.stack([r32[:, 1], r64[:, 1]], 1)}
        tensors.update({k: np.ascontiguousarray(w.astype(init[k].dtype))
                        for k, w in w32.items()})
        write_safetensors(base + ".safetensors", tensors)
        print(name, r32[0], r32[-1], abs(r32 - r64).max())


if __name__ == "__main__":
    main(list(PROGRAMS))
