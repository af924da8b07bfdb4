"""Further programs for make_odd.py, which says how they are made: the same
command writes the same kinds of files. Integers and labels that are moved about,
labels at places, transposed convolutions, recursions written out, nets that share
their parts, sets of parameters.

    python3 tests/ref/make_odd_more.py build/netc [NAME ..]
"""

import numpy as np
import torch
from torch.nn import functional as F

import make_odd
from make_odd import Program, conv, ints, lin, norm, normal, program

FIRST = set(make_odd.PROGRAMS)
SGD = torch.optim.SGD


@program
class grams(Program):
    """Ids that are joined, padded, cut into windows and reckoned with."""
    rows, batch, epochs = 15, 4, 5
    net = """\
layer bag(x: [.., t], n, d) {
  weight E: [n, d] = normal()
  scale  s: [t]    = 1
  sum(E[x] * reshape(s, [t, 1]), axis = rank(x) - 1)
}

net m(x: [5]) {
  tail  = pad(slice(x, 0, 3, 5), 0, 0, 1, 7)
  all   = concat(6 + 0 * slice(x, 0, 0, 1), x, tail)
  grams = window(all, 0, 3, dilation = 2)
  h     = grams -> bag(8, 6) as g
  pairs = reshape(all * 2 + (all == 6), [3, 3])
  k     = pairs -> embedding(16, 4) as e -> max(axis = 1)
  concat(flatten(h), flatten(k)) -> linear(4)
}
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  optimizer = sgd(lr = 0.1)
"""

    def make(self, g):
        return ints(g, 6, self.rows, 5), ints(g, 4, self.rows)

    def loss(self, P, S, x, y, t):
        six = torch.full((len(x), 1), 6)
        a = torch.cat([six, x, x[:, 3:], six + 1], 1)
        grams = torch.stack([a[:, i:i + 5:2] for i in range(5)], 1)
        h = (P["m.g.E"][grams] * P["m.g.s"][:, None]).sum(2)
        k = P["m.e.W"][(a * 2 + (a == 6).long()).reshape(-1, 3, 3)].amax(2)
        z = torch.cat([h.flatten(1), k.flatten(1)], 1)
        return F.cross_entropy(lin(P, "m.linear1", z), y)


@program
class labels(Program):
    """Two labels of different counts, one of them made smaller; a focal loss, and
    a student beside its teacher."""
    net = """\
loss focal(z: [k], label: class[k], gamma = 2) {
  p = log_softmax(z)[label]
  -(1 - exp(p))^gamma * p
}

loss distil(z: [k], teacher: [k], heat = 2) {
  q = softmax(stop_gradient(teacher) / heat)
  heat^2 * kl_divergence(log_softmax(z / heat), q)
}

net body(x: [12])  { x -> linear(10) -> gelu }
net five(h: [10])  { h -> linear(5) }
net three(h: [10]) { h -> linear(3) }
net small(x: [12]) { x -> linear(5, bias = false) }
"""
    train = """\
  loss      = focal(five(body(x)), y[0], gamma = 1.5) +
              0.5 * cross_entropy(three(body(x)), min(y[1], 2)) +
              0.7 * distil(small(x), five(body(x))) - 0.01 * three(body(x))[0]
  optimizer = adam(lr = 0.02)
"""
    lr = 0.02

    def make(self, g):
        i = np.arange(self.rows)
        return normal(g, self.rows, 12), np.stack([i % 5, i % 3], 1).astype(
            np.int32)

    def optimizer(self, params):
        return torch.optim.Adam(params, lr=0.02)

    def loss(self, P, S, x, y, t):
        h = F.gelu(lin(P, "body.linear1", x))
        a, b = lin(P, "five.linear1", h), lin(P, "three.linear1", h)
        c = lin(P, "small.linear1", x)
        p = a.log_softmax(1).gather(1, y[:, :1])[:, 0]
        q = (a.detach() / 2).softmax(1)
        return (-(1 - p.exp())**1.5 * p - 0.01 * b[:, 0] +
                0.5 * F.cross_entropy(b, y[:, 1], reduction="none") +
                2.8 * (q * (q.log() - (c / 2).log_softmax(1))).sum(1)).mean()


@program
class places(Program):
    """A label at each place, all of them and in a row; an overlap loss; a decoder
    that joins what the encoder had."""
    net = """\
layer unit(x: [c, h, w], n) {
  x -> conv(n, 3, pad = 1, bias = false) -> batchnorm(eps = 1e-3) -> relu
}

loss overlap(z: [h, w, k], label: class[k]) {
  p = softmax(z)
  t = onehot(label)
  mean(1 - (2 * sum(p * t, axis = [0, 1]) + 1) / (sum(p + t, axis = [0, 1]) + 1))
}

net m(x: [2, 8, 6]) {
  a  = x -> unit(4) as down1
  b  = a -> maxpool(2) -> unit(6) as down2
  up = b -> maxpool([2, 3]) -> conv_transpose(6, 2, stride = [2, 3], output_padding = [0, 1]) as u
  c  = concat(up, b) -> unit(6) as up2
  d  = concat(a, upsample(c)) -> unit(4) as up1
  permute(d -> conv(3, 1) as out, [1, 2, 0])
}
"""
    train = """\
  loss      = cross_entropy(reshape(m(x), [48, 3]), reshape(y, [48])) +
              0.5 * overlap(m(x), y)
  optimizer = sgd(lr = 0.2, momentum = 0.9)
"""

    def make(self, g):
        x = normal(g, self.rows, 2, 8, 6)
        return x, ((x.sum(1) > 0.3) * 1 + (x[:, 1] > 1)).astype(np.int32)

    def optimizer(self, params):
        return SGD(params, lr=0.2, momentum=0.9)

    rate = staticmethod(lambda t: 0.2)

    def loss(self, P, S, x, y, t):
        def unit(n, v):
            v = conv(P, n + ".conv1", v, padding=1)
            n += ".batchnorm1"
            return torch.relu(F.batch_norm(v, S[n + ".mean"], S[n + ".var"],
                                           P[n + ".g"], P[n + ".b"], True, 0.1,
                                           1e-3))

        def run():
            a = unit("m.down1", x)
            b = unit("m.down2", F.max_pool2d(a, 2))
            up = F.conv_transpose2d(F.max_pool2d(b, (2, 3)), P["m.u.W"],
                                    P["m.u.b"], (2, 3), 0, (0, 1))
            c = unit("m.up2", torch.cat([up, b], 1))
            d = torch.cat([a, F.interpolate(c, scale_factor=2)], 1)
            return conv(P, "m.out", unit("m.up1", d))
        z, p = run(), run().softmax(1)  # each call moves the states
        q = F.one_hot(y, 3).permute(0, 3, 1, 2)
        o = (2 * (p * q).sum((2, 3)) + 1) / ((p + q).sum((2, 3)) + 1)
        return F.cross_entropy(z, y) + 0.5 * (1 - o).mean()


@program
class transposed(Program):
    """Transposed convolutions with groups, gaps, odd steps and paddings; targets
    that are pictures, in two losses."""
    rows, batch, epochs = 13, 4, 5
    net = """\
net gen(x: [6]) {
  x -> linear(8 * 3 * 2) as z -> reshape([8, 3, 2]) -> batchnorm -> relu
    -> conv_transpose(6, [3, 4], stride = [3, 2], pad = [0, 1], groups = 2, bias = false) as t1
    -> leaky_relu(0.2)
    -> conv_transpose(4, 3, stride = [2, 3], dilation = [2, 1], pad = [3, 0],
                      output_padding = [1, 2], groups = 2) as t2
    -> silu -> conv(2, [1, 2], pad = [1, 1]) as last -> slice(2, 0, 14)
}
"""
    train = """\
  loss      = binary_cross_entropy(gen(x), y) +
              0.5 * absolute_error(sigmoid(gen(x)), y)
  optimizer = rmsprop(lr = 1e-3)
"""
    lr = 1e-3

    def make(self, g):
        y = g.uniform(size=(self.rows, 2, 18, 14)).round(1)
        return normal(g, self.rows, 6), y.astype(np.float32)

    def optimizer(self, params):
        return torch.optim.RMSprop(params, lr=1e-3)

    def loss(self, P, S, x, y, t):
        def gen():
            h = lin(P, "gen.z", x).reshape(-1, 8, 3, 2)
            h = torch.relu(norm(P, S, "gen.batchnorm1", h))
            h = F.conv_transpose2d(h, P["gen.t1.W"], None, (3, 2), (0, 1), 0, 2)
            h = F.conv_transpose2d(F.leaky_relu(h, 0.2), P["gen.t2.W"],
                                   P["gen.t2.b"], (2, 3), (3, 0), (1, 2), 2,
                                   (2, 1))
            h = conv(P, "gen.last", F.silu(h), padding=(1, 1))
            return h[..., :14]
        return (F.binary_cross_entropy_with_logits(gen(), y) +
                0.5 * (torch.sigmoid(gen()) - y).abs().mean())


@program
class chain(Program):
    """A conditional random field: sums over all paths by a recursion, a table
    that one label indexes after the other."""
    rows, batch, epochs = 10, 3, 5
    net = """\
layer all_paths(z: [a, b]) {
  top = stop_gradient(max(z, axis = 1, keep = true))
  reshape(top, [a]) + log(sum(exp(z - top), axis = 1))
}

layer steps(k) { weight T: [k, k] = normal(0, 0.3); T }

loss field(e: [t, k], y: class[k]) {
  T    = steps(k)
  a1   = all_paths(T + e[0]) + e[1]
  a2   = all_paths(T + a1) + e[2]
  a3   = all_paths(T + a2) + e[t - 1]
  path = sum(onehot(y) * e) + T[y[1]][y[0]] + T[y[2]][y[1]] + T[y[3]][y[2]]
  all_paths(reshape(a3, [1, k]))[0] - path
}

net m(x: [4, 5]) { x -> linear(3) as emit }
"""
    train = """\
  loss      = field(m(x), y)
  optimizer = sgd(lr = 0.1, momentum = 0.5)
"""

    def make(self, g):
        y = ints(g, 3, self.rows, 4)
        y[0, 0] = 2
        return normal(g, self.rows, 4, 5), y

    def optimizer(self, params):
        return SGD(params, lr=0.1, momentum=0.5)

    def loss(self, P, S, x, y, t):
        e = lin(P, "m.emit", x)
        T = next(v for k, v in P.items() if k.endswith(".T"))
        a = e[:, 0]
        for i in (1, 2, 3):
            a = torch.logsumexp(T + a[:, None, :], 2) + e[:, i]
        path = e.gather(2, y[:, :, None]).sum((1, 2))
        path = path + sum(T[y[:, i], y[:, i - 1]] for i in (1, 2, 3))
        return (torch.logsumexp(a, 1) - path).mean()


@program
class ranks(Program):
    """The largest, the median and the order of values, from comparisons; parts
    that an argmax chooses."""
    net = """\
layer largest(x: [t, n], k) {
  rank = sum(reshape(x, [t, 1, n]) < reshape(x, [1, t, n]), axis = 1)
  sum(reshape(x, [1, t, n]) * (reshape(rank, [1, t, n]) == reshape(iota(k), [k, 1, 1])), axis = 1)
}

layer median(x: [t, n]) {
  all = largest(x, t)
  0.5 * (all[t / 2] + all[t / 2 - 1])
}

net m(x: [12]) {
  h    = reshape(x, [4, 3]) -> linear(7) as l
  best = h[argmax(sum(h, axis = 1))]
  back = mean(h[3 - iota(4)] * 0.1, axis = 0)
  concat(flatten(h -> largest(2)), h -> median, best + back, argmax(h, axis = 1) / 7) -> linear(4)
}
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  optimizer = sgd(lr = 0.05)
"""
    lr = 0.05

    def loss(self, P, S, x, y, t):
        h = lin(P, "m.l", x.reshape(-1, 4, 3))
        s = h.sort(1, descending=True)[0]
        best = h[torch.arange(len(x)), h.sum(2).argmax(1)]
        v = torch.cat([s[:, :2].flatten(1), 0.5 * (s[:, 2] + s[:, 1]),
                       best + 0.1 * h.mean(1), h.argmax(2).to(x.dtype) / 7], 1)
        return F.cross_entropy(lin(P, "m.linear1", v), y)


@program
class passed(Program):
    """A net as the argument of a layer, defaults that name other arguments, and a
    net whose weights are another one's."""
    net = """\
const width = 6
const flags = [true, false]

layer again(x, f, times = 2) {
  y = x -> f
  if times > 1 then y -> f else y
}

layer normed(x, kind = "layer") = if kind == "layer" then x -> layernorm else x -> rmsnorm(eps = 1e-5)

layer inner(x: [n], m = n, act = m > n) {
  h = x -> linear(m, bias = flags[0]) -> normed(kind = if act then "layer" else "rms")
  if act then tanh(h) else h
}

net left(x: [12])   { x -> inner(width * 2, act = true) -> inner as keep }
net square(x: [12]) { x -> linear(12) as s -> silu }
net back(h: [4])    { tanh(h @ m.last.W + 0.5 * m.skip.b) @ square.s.W }

net m(x: [12]) {
  a = left(x) -> again(square)
  (max(a, -a / 2) -> linear(12) as skip) -> linear(4, bias = flags[1]) as last
}
"""
    train = """\
  loss      = cross_entropy(m(x), y) + squared_error(back(m(x)), x)
  optimizer = sgd(lr = 0.05)
"""
    lr = 0.05

    def loss(self, P, S, x, y, t):
        g = "left.inner1.normed1.layernorm1."
        h = lin(P, "left.inner1.linear1", x)
        h = torch.tanh(F.layer_norm(h, (12,), P[g + "g"], P[g + "b"]))
        h = lin(P, "left.keep.linear1", h)
        h = (h / (h.pow(2).mean(1, keepdim=True) + 1e-5).sqrt() *
             P["left.keep.normed1.rmsnorm1.g"])
        for _ in range(2):
            h = F.silu(lin(P, "square.s", h))
        z = lin(P, "m.last", lin(P, "m.skip", torch.maximum(h, -h / 2)))
        r = torch.tanh(z @ P["m.last.W"] + 0.5 * P["m.skip.b"])
        return F.cross_entropy(z, y) + F.mse_loss(r @ P["square.s.W"], x)


@program
class graph(Program):
    """A learned graph, scores of all pairs, values beside constants; penalties of
    a list of stages, also in what is frozen."""
    net = """\
layer near(x: [n, f], out) {
  weight A: [n, n] = uniform(0, 1)
  same = iota(n) == reshape(iota(n), [n, 1])
  adj  = (A + A') / 2 * (not same) + (if same then 1 else 0)
  deg  = sum(adj, axis = 1)
  ((adj / sqrt(reshape(deg, [n, 1]) * deg)) @ x) -> linear(out)
}

layer look(x: [n, f], slope = 0.2) {
  weight a: [2 * f] = normal(0, 0.5)
  l = x @ slice(a, 0, 0, f)
  r = x @ slice(a, 0, f, 2 * f)
  softmax(leaky_relu(reshape(l, [n, 1]) + r, slope)) @ x
}

net m(x: [12]) {
  h = reshape(x, [4, 3]) -> near(5) as in -> relu -> look -> near(4) as out
  concat(max(h, axis = 0), flatten((h @ h')^2), [0.5, 1]) -> linear(4) as head
}
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  penalty   = 0.02 * l1(m.in.A) + 0.01 * l2([m.look1, m.out.linear1.W]) +
              0.1 * elastic(weights except [m.in, m.out, m.look1.a])
  freeze    = [m.out, m.head.b]
  optimizer = sgd(lr = 0.05, momentum = 0.9)
"""
    lr = 0.05
    frozen = ("m.out.", "m.head.b")

    def optimizer(self, params):
        return SGD(params, lr=0.05, momentum=0.9)

    def loss(self, P, S, x, y, t):
        def near(n, v):
            eye = torch.eye(4, dtype=v.dtype)
            adj = (P[n + ".A"] + P[n + ".A"].T) / 2 * (1 - eye) + eye
            d = adj.sum(1)
            return lin(P, n + ".linear1", (adj / (d[:, None] * d).sqrt()) @ v)
        h = torch.relu(near("m.in", x.reshape(-1, 4, 3)))
        a = P["m.look1.a"]
        s = F.leaky_relu((h @ a[:5])[:, :, None] + (h @ a[5:])[:, None, :], 0.2)
        h = near("m.out", s.softmax(2) @ h)
        c = torch.tensor([0.5, 1], dtype=h.dtype).expand(len(x), 2)
        v = [h.amax(1), ((h @ h.transpose(1, 2))**2).flatten(1), c]
        return F.cross_entropy(lin(P, "m.head", torch.cat(v, 1)), y)

    def penalty(self, P, t):
        w = P["m.head.W"]
        return (0.02 * P["m.in.A"].abs().sum() +
                0.005 * sum((P[k]**2).sum()
                            for k in ("m.look1.a", "m.out.linear1.W")) +
                0.05 * sum(v.abs().sum() + (v * v).sum() / 2
                           for v in (w,)))


@program
class zeros(Program):
    """Weights that begin as 0: what the derivatives are just where the parts of
    an activation, a loss or a maximum meet."""
    data = "number"
    net = """\
layer still(x: [n], m) {
  weight W: [m, n] = 0
  x @ W'
}

net logits(x: [12]) { x -> still(3) }

net m(x: [12]) {
  h = x -> still(4) as s
  smooth = concat(h -> softplus, h -> softplus(3), h -> mish, h -> elu(0.5))
  bent   = concat(h -> selu, h -> leaky_relu(0.2), h -> prelu, h -> relu6)
  larger = concat(max(0, h), max(h, -2 * h), min(h, 3 * h), max(min(h, 1), 0))
  concat(smooth, bent, larger) -> linear(3)
}
"""
    train = """\
  loss      = squared_error(m(x), y) +
              binary_cross_entropy(logits(x), if y > 0 then 1 else 0, pos_weight = 3)
  optimizer = sgd(lr = 0.1)
"""

    def loss(self, P, S, x, y, t):
        h = x @ P["m.s.W"].T
        z = torch.cat([F.softplus(h), F.softplus(h, 3), F.mish(h),
                       F.elu(h, 0.5), F.selu(h), F.leaky_relu(h, 0.2),
                       F.prelu(h, P["m.prelu1.a"]), F.relu6(h), torch.relu(h),
                       torch.maximum(h, -2 * h), torch.minimum(h, 3 * h),
                       F.hardtanh(h, 0, 1)], 1)
        p = x @ P["logits.still1.W"].T
        three = torch.tensor(3, dtype=x.dtype)
        return (F.mse_loss(lin(P, "m.linear1", z), y) +
                F.binary_cross_entropy_with_logits(
                    p, (y > 0).to(x.dtype), pos_weight=three))


@program
class blended(Program):
    """Losses with weights of classes and of rows in sums, and times numbers that
    vary."""
    net = """\
const rare = [0.5, 2, 1, 3]

loss sure(z: [k], label: class[k]) = weighted(hinge(z, label), 1 + abs(z[0]))

net m(x: [12]) { x -> linear(9) -> tanh -> linear(4) }
"""
    train = """\
  loss      = 0.5 * cosine() * cross_entropy(m(x), y, class_weights = rare) +
              sure(m(x), y) / 2 - 0.1 * (-cross_entropy(m(x), y) + step / 100)
  optimizer = sgd(lr = 0.1)
"""

    def loss(self, P, S, x, y, t):
        z = lin(P, "m.linear2", torch.tanh(lin(P, "m.linear1", x)))
        w = torch.tensor([0.5, 2, 1, 3], dtype=x.dtype)
        h = F.multi_margin_loss(z, y, reduction="none")
        share = 0.5 * 0.5 * (1 + np.cos(np.pi * t.progress))
        k = 1 + z[:, 0].abs()
        return (share * F.cross_entropy(z, y, weight=w) +
                (k * h).sum() / k.sum() / 2 + 0.1 * F.cross_entropy(z, y) -
                t.step / 1000)


if __name__ == "__main__":
    make_odd.main([name for name in make_odd.PROGRAMS if name not in FIRST])
