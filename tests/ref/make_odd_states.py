"""Further programs for make_odd.py, which says how they are made: the same
command writes the same kinds of files. Optimisers, averages and states of one's
own: definitions that ask for sizes, books and statistics that follow the batch.

    python3 tests/ref/make_odd_states.py build/netc [NAME ..]
"""

import numpy as np
import torch
from torch.nn import functional as F

import make_odd
from make_odd import Program, ints, lin, normal, program

FIRST = set(make_odd.PROGRAMS)
SGD = torch.optim.SGD


class Own(torch.optim.Optimizer):
    """rule(w, g, s, lr, t): t counts from 1, s holds the states of a weight."""

    def __init__(self, params, rule):
        super().__init__(params, dict(lr=1.0))
        self.rule, self.t = rule, 0

    @torch.no_grad()
    def step(self):
        self.t += 1
        for group in self.param_groups:
            for p in group["params"]:
                self.rule(p, p.grad, self.state[p], group["lr"], self.t)


@program
class factored(Program):
    """An optimiser that asks for the sizes of its weight: second moments of rows
    and of columns."""
    net = """\
optimizer factored(w: [m, ..], g, lr = 1e-2, eps = 1e-8) {
  state r = 0
  state c = 0
  state t: [] = 0
  t <- t + 1
  keep = 1 - t^-0.8
  square = reshape(g * g + eps, [m, -1])
  all    = shape(square)
  r <- keep * r + (1 - keep) * whole(mean(square, axis = 1, keep = true), all, w)
  c <- keep * c + (1 - keep) * whole(mean(square, axis = 0, keep = true), all, w)
  u = g / sqrt(r * c / mean(r))
  size = max(1e-3, sqrt(mean(w * w)))
  w <- w - lr * size * u / max(1, sqrt(mean(u * u)))
}

layer whole(x, all, w) = reshape(broadcast(x, all), shape(w))

net m(x: [12]) { x -> linear(11) -> gelu -> linear(4, bias = false) }
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  optimizer = factored(lr = 0.1)
"""

    def optimizer(self, params):
        def rule(p, g, s, lr, t):
            keep = 1 - t**-0.8
            q = (g * g + 1e-8).reshape(p.shape[0], -1)
            s["r"] = keep * s.get("r", 0) + (1 - keep) * q.mean(1, keepdim=True)
            s["c"] = keep * s.get("c", 0) + (1 - keep) * q.mean(0, keepdim=True)
            u = g / (s["r"] * s["c"] / s["r"].mean()).reshape(p.shape).sqrt()
            size = p.pow(2).mean().sqrt().clamp(min=1e-3)
            p.sub_(lr * size * u / u.pow(2).mean().sqrt().clamp(min=1))
        return Own(params, rule)

    def loss(self, P, S, x, y, t):
        h = F.gelu(lin(P, "m.linear1", x))
        return F.cross_entropy(lin(P, "m.linear2", h), y)


@program
class codebook(Program):
    """Vector quantisation: a book of states that follows running sums over the
    batch, an error whose gradient passes the book by."""
    states = ("book", "count", "total")
    net = """\
layer quantise(z: [d], k, keep = 0.9) {
  state book:  [k, d] = 0
  state count: [k]    = 1
  state total: [k, d] = 0.1 * uniform(-1, 1)
  far = sum((reshape(z, [1, d]) - book)^2, axis = 1)
  hit = onehot(argmax(stop_gradient(-far)), k)
  e   = stop_gradient(hit @ book)
  now = reshape(hit, [k, 1]) * stop_gradient(reshape(z, [1, d]))
  count <- keep * count + (1 - keep) * sum(hit, axis = batch)
  total <- keep * total + (1 - keep) * sum(now, axis = batch)
  book  <- total / reshape(max(count, 1e-5), [k, 1])
  concat(z + stop_gradient(e - z), reshape(mean((z - e)^2), [1]))
}

net enc(x: [12]) { x -> linear(4) as code -> quantise(7) as q }
net dec(z: [5])  { slice(z, 0, 0, 4) -> linear(12) }
"""
    train = """\
  loss      = squared_error(dec(enc(x)), x) + 0.25 * enc(x)[4] + 0 * y
  optimizer = sgd(lr = 0.5)
"""
    lr = 0.5

    def loss(self, P, S, x, y, t):
        def enc():
            z, book = lin(P, "enc.code", x), S["enc.q.book"]
            far = ((z[:, None] - book)**2).sum(2).detach()
            hit = F.one_hot(far.argmin(1), 7).to(z.dtype)
            e = (hit @ book).detach()
            S["enc.q.count"] = 0.9 * S["enc.q.count"] + 0.1 * hit.sum(0)
            S["enc.q.total"] = (0.9 * S["enc.q.total"] +
                                0.1 * hit.T @ z.detach())
            S["enc.q.book"] = (S["enc.q.total"] /
                               S["enc.q.count"].clamp(min=1e-5)[:, None])
            return z + (e - z).detach(), ((z - e)**2).mean(1)
        return (F.mse_loss(lin(P, "dec.linear1", enc()[0]), x) +
                0.25 * enc()[1].mean())


@program
class spectral(Program):
    """Weights that are divided by their largest singular value, found by a state,
    and weights brought to mean 0 and deviation 1."""
    states = ("u",)
    net = """\
layer narrow(x: [n], m) {
  weight W: [m, n] = xavier_normal(n, m)
  bias   b: [m]    = 0
  state  u: [m]    = 0.3
  v = unit(stop_gradient(W' @ u))
  t = unit(stop_gradient(W @ v))
  u <- t
  x @ (W / sum(t * (W @ v)))' + b
}

layer unit(v) = v / sqrt(sum(v * v) + 1e-12)

layer standard(x: [c, n], m) {
  weight W: [m, c, 3] = normal()
  scale  g: [m]       = 1
  d = W - mean(W, axis = [1, 2], keep = true)
  s = sqrt(mean(d * d, axis = [1, 2], keep = true) + 1e-4)
  einsum("cnk,mck->mn", window(x, 1, 3, stride = 2), d / s) * reshape(g, [m, 1])
}

net m(x: [12]) {
  reshape(x, [2, 6]) -> standard(5) -> flatten -> narrow(9) as s -> leaky_relu(0.1) -> narrow(4)
}
"""
    train = """\
  loss      = hinge(m(x), y, margin = 1.2)
  optimizer = adagrad(lr = 0.05, lr_decay = 0.1, initial_accumulator_value = 0.1)
"""
    lr = 0.05

    def optimizer(self, params):
        return torch.optim.Adagrad(params, lr=0.05, lr_decay=0.1,
                                   initial_accumulator_value=0.1)

    def loss(self, P, S, x, y, t):
        def unit(v):
            return v / (v.pow(2).sum() + 1e-12).sqrt()

        def narrow(n, h):
            w = P[n + ".W"]
            v = unit((w.T @ S[n + ".u"]).detach())
            S[n + ".u"] = u = unit((w @ v).detach())
            return h @ (w / (u @ (w @ v))).T + P[n + ".b"]
        w = P["m.standard1.W"]
        d = w - w.mean((1, 2), keepdim=True)
        w = d / (d.pow(2).mean((1, 2), keepdim=True) + 1e-4).sqrt()
        h = F.conv1d(x.reshape(-1, 2, 6), w, stride=2)
        h = (h * P["m.standard1.g"][:, None]).flatten(1)
        h = F.leaky_relu(narrow("m.s", h), 0.1)
        return F.multi_margin_loss(narrow("m.narrow1", h), y, margin=1.2)


@program
class renorm(Program):
    """Batch renormalisation: states on both sides of a batch's statistics, a share
    that a counting state sets, updates of three batches."""
    states = ("centre", "spread", "seen")
    accumulate = 3
    net = """\
layer renorm(x: [c, ..], most = 1.5, keep = 0.9) {
  scale g: [c] = 1
  bias  b: [c] = 0
  state centre: [c] = 0
  state spread: [c] = 1
  state seen:   []  = 0
  flat = reshape(x, [c, -1])
  n = size(flat, batch) * size(flat, 1)
  m = sum(flat, axis = [batch, 1]) / n
  s = sqrt(sum((flat - reshape(m, [c, 1]))^2, axis = [batch, 1]) / n + 1e-5)
  r = stop_gradient(max(min(s / spread, most), 1 / most))
  d = stop_gradient(max(min((m - centre) / spread, 0.5), -0.5))
  k = min(keep, 1 - 1 / (seen + 2))
  a = if training then r / s else 1 / spread
  z = if training then d - m * a else -centre * a
  seen   <- seen + 1
  centre <- k * centre + (1 - k) * stop_gradient(m)
  spread <- k * spread + (1 - k) * stop_gradient(s)
  reshape(flat * reshape(a * g, [c, 1]) + reshape(z * g + b, [c, 1]), shape(x))
}

net m(x: [12]) {
  reshape(x, [4, 3]) -> conv1d(6, 2, groups = 2) -> renorm -> relu -> flatten
    -> linear(7) -> renorm(most = 2) -> tanh -> linear(4)
}
"""
    train = """\
  loss       = cross_entropy(m(x), y)
  optimizer  = sgd(lr = 0.1, momentum = 0.9)
  accumulate = 3
"""

    def optimizer(self, params):
        return SGD(params, lr=0.1, momentum=0.9)

    def loss(self, P, S, x, y, t):
        def renorm(n, v, most):
            f = v.reshape(*v.shape[:2], -1)
            m = f.mean((0, 2))
            s = ((f - m[:, None])**2).mean((0, 2)).add(1e-5).sqrt()
            c, sp, k = S[n + ".centre"], S[n + ".spread"], S[n + ".seen"].item()
            k = min(0.9, 1 - 1 / (k + 2))
            r = (s / sp).clamp(1 / most, most).detach()
            d = ((m - c) / sp).clamp(-0.5, 0.5).detach()
            S[n + ".seen"] = S[n + ".seen"] + 1
            S[n + ".centre"] = k * c + (1 - k) * m.detach()
            S[n + ".spread"] = k * sp + (1 - k) * s.detach()
            y = (f - m[:, None]) / s[:, None] * r[:, None] + d[:, None]
            return (y * P[n + ".g"][:, None] +
                    P[n + ".b"][:, None]).reshape(v.shape)
        h = F.conv1d(x.reshape(-1, 4, 3), P["m.conv1d1.W"], P["m.conv1d1.b"],
                     groups=2)
        h = torch.relu(renorm("m.renorm1", h, 1.5)).flatten(1)
        h = torch.tanh(renorm("m.renorm2", lin(P, "m.linear1", h), 2))
        return F.cross_entropy(lin(P, "m.linear2", h), y)


@program
class averaged(Program):
    """An average of one's own, clipping by value and by the norm, a rule that
    changes after some steps; all rows in one batch."""
    rows, batch, epochs = 33, 64, 20
    clip = 0.8
    net = """\
optimizer own(w: [.., n], g, lr = 0.1, limit = 0.02, momentum = 0.9, centre = false) {
  state m = 0
  mid = if centre and rank(w) > 1 then g - mean(g, axis = rank(w) - 1, keep = true) else g
  c   = max(min(mid, limit), -limit) + 0.01 / n * w
  m  <- momentum * m + c
  w  <- w - lr * (if step < 4 then 0.01 * sign(c) else m)
}

optimizer fading(a, w, k) {
  state seen: [] = 0
  seen <- seen + 1
  a    <- if seen == 1 then w else a + (w - a) * (1 - k) / (1 - k^seen)
}

net m(x: [12]) { x -> linear(8) -> relu6 -> linear(4) }
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  optimizer = own(lr = 0.5 * polynomial(2), centre = true)
  average   = fading(0.6)
  clip      = 0.8
"""

    def make(self, g):
        return (normal(g, self.rows, 12),
                (np.arange(self.rows) * 3 % 4).astype(np.int32))

    def rate(self, t):
        return 0.5 * (1 - t.progress)**2

    def optimizer(self, params):
        def rule(p, g, s, lr, t):
            mid = g - g.mean(-1, keepdim=True) if p.dim() > 1 else g
            c = mid.clamp(-0.02, 0.02) + 0.01 / p.shape[-1] * p
            s["m"] = 0.9 * s.get("m", 0) + c
            p.sub_(lr * (torch.sign(c) * 0.01 if t <= 4 else s["m"]))
        return Own(params, rule)

    def loss(self, P, S, x, y, t):
        h = F.relu6(lin(P, "m.linear1", x))
        return F.cross_entropy(lin(P, "m.linear2", h), y)

    def averaged(self, P, n):
        now = {k: v.detach().clone() for k, v in P.items()}
        share = 0.4 / (1 - 0.6**(n + 1))
        self.a = now if n == 0 else {k: v + (now[k] - v) * share
                                     for k, v in self.a.items()}
        return self.a


@program
class rotary(Program):
    """Text: positions as rotations, causal attention without biases, gated
    layers; weights of the classes at each place, smoothed; updates that are
    themselves averaged."""
    rows, batch, epochs = 17, 4, 4
    clip = 1.0
    net = """\
layer gated(x: [t, n], m) {
  a = x -> linear(m, bias = false) as gate -> silu
  b = x -> linear(m, bias = false) as up
  a * b -> linear(n, bias = false) as down
}

layer turned(x: [t, n]) {
  a = reshape(iota(t), [t, 1]) * exp(-iota(n / 2) * (log(100) / (n / 2)))
  u = slice(x, 1, 0, n, 2)
  v = slice(x, 1, 1, n, 2)
  p = reshape(u * cos(a) - v * sin(a), [t, n / 2, 1])
  q = reshape(u * sin(a) + v * cos(a), [t, n / 2, 1])
  reshape(concat(p, q, axis = 2), [t, n])
}

layer block(x: [t, n], heads) {
  y = x + (x -> rmsnorm -> turned -> attention(heads, causal = true, bias = false))
  y + (y -> rmsnorm -> gated(n + 3))
}

optimizer own(w, g, lr = 1e-3, decay = 0.1, beta1 = 0.9, beta2 = 0.95) {
  state m = 0
  state v = 0
  state a = 0
  state t: [] = 0
  t <- t + 1
  m <- m + (1 - beta1) * (g - m)
  v <- beta2 * v + (1 - beta2) * g^2
  u = m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + 1e-8)
  a <- 0.5 * a + 0.5 * u
  w <- w * (1 - lr * decay) - lr * (0.5 * u + 0.5 * a / (1 - 0.5^t))
}

net lm(x: [7]) {
  h = x -> embedding(6, 8) as emb -> repeat(2) block(4) as b -> rmsnorm(eps = 1e-6)
  h @ emb.W'
}
"""
    train = """\
  loss      = cross_entropy(lm(x), y, smooth = 0.1, class_weights = [1, 2, 1, 0.5, 3, 0.25])
  optimizer = own(lr = 3e-3 * linear_decay(to = 0.2))
  clip      = 1
"""

    def make(self, g):
        s = ints(g, 6, self.rows, 8)
        s[0] = 5
        return s[:, :-1].copy(), s[:, 1:].copy()

    def rate(self, t):
        return 3e-3 * (1 - 0.8 * t.progress)

    def optimizer(self, params):
        def rule(p, g, s, lr, t):
            s["m"] = s.get("m", 0) + 0.1 * (g - s.get("m", 0))
            s["v"] = 0.95 * s.get("v", 0) + 0.05 * g**2
            v = s["v"] / (1 - 0.95**t)
            u = s["m"] / (1 - 0.9**t) / (v.sqrt() + 1e-8)
            s["a"] = 0.5 * s.get("a", 0) + 0.5 * u
            p.copy_(p * (1 - lr * 0.1) -
                    lr * (0.5 * u + 0.5 * s["a"] / (1 - 0.5**t)))
        return Own(params, rule)

    def loss(self, P, S, x, y, t):
        E = P["lm.emb.W"]
        i = torch.arange(4, dtype=E.dtype)
        a = torch.arange(7, dtype=E.dtype)[:, None] * torch.exp(
            -i * (np.log(100) / 4))
        later = torch.ones(7, 7, dtype=torch.bool).triu(1)

        def rms(n, v, eps=1.1920929e-7):
            return v / (v.pow(2).mean(2, keepdim=True) + eps).sqrt() * P[n + ".g"]

        def turned(v):
            u, v = v[..., 0::2], v[..., 1::2]
            return torch.stack([u * a.cos() - v * a.sin(),
                                u * a.sin() + v * a.cos()], 3).flatten(2)

        def attend(n, v):
            q, k, v = ((v @ w.T).reshape(-1, 7, 4, 2).transpose(1, 2)
                       for w in P[n + ".W"].chunk(3))
            s = (q @ k.transpose(2, 3) / 2**0.5).masked_fill(later, -torch.inf)
            return (s.softmax(3) @ v).transpose(1, 2).flatten(2) @ P[
                n + ".W_out"].T
        h = E[x]
        for n in ("lm.b1", "lm.b2"):
            h = h + attend(n + ".attention1", turned(rms(n + ".rmsnorm1", h)))
            v, g = rms(n + ".rmsnorm2", h), n + ".gated1"
            h = h + lin(P, g + ".down", F.silu(lin(P, g + ".gate", v)) *
                        lin(P, g + ".up", v))
        z = rms("lm.rmsnorm1", h, 1e-6) @ E.T
        w = torch.tensor([1, 2, 1, 0.5, 3, 0.25], dtype=z.dtype)
        return F.cross_entropy(z.reshape(-1, 6), y.reshape(-1), weight=w,
                               label_smoothing=0.1)


@program
class triangle(Program):
    """Attention without a softmax and a decaying memory, both as products with
    triangular matrices; one row a batch."""
    rows, batch, epochs = 5, 1, 4
    net = """\
layer linear_attention(x: [t, n], d) {
  q = relu(x -> linear(d, bias = false) as q) + 1e-2
  k = relu(x -> linear(d, bias = false) as k) + 1e-2
  v = x -> linear(d, bias = false) as v
  a = (q @ k') * (iota(t) <= reshape(iota(t), [t, 1]))
  (a / sum(a, axis = 1, keep = true)) @ v
}

layer fade(x: [t, n]) {
  weight l: [n] = uniform(-1, 1)
  gap  = reshape(iota(t), [t, 1]) - iota(t)
  past = reshape(gap, [t, t, 1])
  keep = if past >= 0 then reshape(sigmoid(l), [1, 1, n])^max(past, 0) else 0
  einsum("tsn,sn->tn", keep, x)
}

net m(x: [12]) {
  reshape(x, [6, 2]) -> fade as first -> linear_attention(5) -> fade -> max(axis = 0) -> linear(4)
}
"""
    train = """\
  loss      = cross_entropy(m(x), y)
  optimizer = sgd(lr = 0.05, momentum = 0.9)
"""
    lr = 0.05

    def make(self, g):
        return normal(g, self.rows, 12), np.array([3, 0, 2, 1, 3], np.int32)

    def optimizer(self, params):
        return SGD(params, lr=0.05, momentum=0.9)

    def loss(self, P, S, x, y, t):
        def fade(n, v):
            h, out = 0 * v[:, 0], []
            for i in range(6):
                h = h * torch.sigmoid(P[n + ".l"]) + v[:, i]
                out.append(h)
            return torch.stack(out, 1)
        h, n = fade("m.first", x.reshape(-1, 6, 2)), "m.linear_attention1"
        q, k, v = (h @ P["%s.%s.W" % (n, c)].T for c in "qkv")
        a = ((torch.relu(q) + 1e-2) @ (torch.relu(k) + 1e-2).transpose(1, 2))
        a = a.tril()
        h = fade("m.fade1", (a / a.sum(2, keepdim=True)) @ v)
        return F.cross_entropy(lin(P, "m.linear1", h.amax(1)), y)


if __name__ == "__main__":
    make_odd.main([name for name in make_odd.PROGRAMS if name not in FIRST])
