"""The peers of netc: the networks of nets.py in PyTorch and JAX, each with the
training step that a user of it would write, and its evaluation.

Run as `python3 tests/perf/peers.py PEER CORES` it is a worker. It answers lines
with lines of JSON: to a network (JSON too) it makes the model and tells what the
first step took; to `train SECONDS` and `evaluate SECONDS` it runs steps for so long
and tells the least time of one; a third word, `urgent`, has it run before other work
meanwhile. The class Worker is the other end.
"""

import json
import os
import resource
import subprocess
import sys
import time

LR, MOMENTUM, CLASSES = 0.001, 0.9, 10
BETAS, EPS, DECAY, CLIP = (0.9, 0.999), 1e-8, 0.01, 1  # of AdamW
URGENT = -20  # as `nice` counts
SHORT = 1e-3  # seconds: of shorter steps some pass undisturbed


# --- PyTorch ------------------------------------------------------------------


def torch_layers(layers, shape):
    import torch
    from torch import nn

    from nets import block_layers, out_shape

    class Lambda(nn.Module):
        def __init__(self, f):
            super().__init__()
            self.f = f

        def forward(self, x):
            return self.f(x)

    class Block(nn.Module):
        def __init__(self, through, around):
            super().__init__()
            self.through, self.around = through, around

        def forward(self, x):
            return nn.functional.relu(self.through(x) + self.around(x))

    class Position(nn.Module):
        def __init__(self, places, n):
            super().__init__()
            self.P = nn.Parameter(0.02 * torch.randn(places, n))

        def forward(self, x):
            return x + self.P

    class Attend(nn.Module):
        def __init__(self, n, heads, p):
            super().__init__()
            self.heads = heads
            self.norm1, self.norm2 = nn.LayerNorm(n), nn.LayerNorm(n)
            self.qkv, self.out = nn.Linear(n, 3 * n), nn.Linear(n, n)
            self.rest = nn.Sequential(nn.Linear(n, 4 * n), nn.GELU(),
                                      nn.Linear(4 * n, n), nn.Dropout(p))
            self.dropout = nn.Dropout(p)

        def forward(self, x):
            b, t, n = x.shape
            q, k, v = (self.qkv(self.norm1(x))
                       .view(b, t, 3, self.heads, n // self.heads)
                       .permute(2, 0, 3, 1, 4))
            y = nn.functional.scaled_dot_product_attention(q, k, v,
                                                           is_causal=True)
            y = self.out(y.transpose(1, 2).reshape(b, t, n))
            x = x + self.dropout(y)
            return x + self.rest(self.norm2(x))

    modules = []
    for l in layers:
        op, out = l["op"], l.get("out")
        if op == "conv":
            modules.append(nn.Conv2d(shape[0], out, l["k"], l["stride"],
                                     l["pad"], l["dilation"], l["groups"],
                                     l["bias"]))
        elif op == "block":
            ways = [torch_layers(w, shape) for w in block_layers(l, shape)]
            modules.append(Block(*ways))
        elif op == "linear":
            modules.append(nn.Linear(shape[-1], out))
        elif op == "embedding":
            modules.append(nn.Embedding(l["k"], out))
        elif op == "position":
            modules.append(Position(*shape))
        elif op == "attend":
            modules.append(Attend(shape[-1], l["heads"], l["p"]))
        elif op == "layernorm":
            modules.append(nn.LayerNorm(shape[-1]))
        elif op == "mean":
            modules.append(Lambda(lambda x: x.mean((2, 3))))
        elif op == "first":
            modules.append(Lambda(lambda x, n=l["n"]: x[:, :n]))
        else:
            modules.append({
                "relu": lambda: nn.ReLU(),
                "batchnorm": lambda: nn.BatchNorm2d(shape[0]),
                "flatten": lambda: nn.Flatten(),
                "dropout": lambda: nn.Dropout(l["p"]),
                "maxpool": lambda: nn.MaxPool2d(l["k"], l["stride"]),
            }[op]())
        shape = out_shape(l, shape)
    return nn.Sequential(*modules)


def torch_steps(layers, shape, batch, test_batch, cores, optimizer,
                compiled=False, channels_last=False):
    import torch

    from nets import out_shape

    torch.set_num_threads(cores)
    torch.manual_seed(1)
    model = torch_layers(layers, shape)
    form = torch.contiguous_format
    if channels_last and len(shape) == 3:
        form = torch.channels_last
        model = model.to(memory_format=form)
    text = layers[0]["op"] == "embedding"
    if text:
        x, tx = (torch.randint(0, layers[0]["k"], (n,) + shape)
                 for n in (batch, test_batch))
        y, ty = x.flatten(), tx.flatten()
    else:
        x, tx = (torch.randn(n, *shape).contiguous(memory_format=form)
                 for n in (batch, test_batch))
        y, ty = (torch.randint(0, CLASSES, (n,)) for n in (batch, test_batch))
    weights = list(model.parameters())
    clips = optimizer == "adamw"
    if clips:
        optimizer = torch.optim.AdamW(weights, lr=LR, weight_decay=DECAY)
    else:
        optimizer = torch.optim.SGD(weights, lr=LR, momentum=MOMENTUM)
    entropy = torch.nn.CrossEntropyLoss()

    def criterion(z, y):  # of each place of a text
        return entropy(z.reshape(-1, z.shape[-1]), y)

    forward = torch.compile(model) if compiled else model

    def train():
        model.train()
        optimizer.zero_grad()
        loss = criterion(forward(x), y)
        loss.backward()
        if clips:
            torch.nn.utils.clip_grad_norm_(weights, CLIP)
        optimizer.step()
        return loss.item()

    def evaluate():
        model.eval()
        with torch.no_grad():
            z = forward(tx)
            return criterion(z, ty).item(), z.argmax(-1).sum().item()

    return train, evaluate


# --- JAX: pictures are (n, h, w, c), as its convolutions like them -----------


def jax_init(layers, shape, g):
    """Parameters, a list that follows the layers, and states likewise."""
    import jax.numpy as jnp

    from nets import block_layers, out_shape

    params, states = [], []
    for l in layers:
        p, s = (), ()
        if l["op"] == "block":
            ways = [jax_init(w, shape, g) for w in block_layers(l, shape)]
            p, s = [w[0] for w in ways], [w[1] for w in ways]
        elif l["op"] == "conv":
            size = (l["k"], l["k"], shape[0] // l["groups"], l["out"])
            fan = size[0] * size[1] * size[2]
            p = [jnp.asarray(g.uniform(-1, 1, size) / fan**0.5, jnp.float32)]
            p += [jnp.zeros(l["out"])] if l["bias"] else []
        elif l["op"] == "embedding":
            p = [jnp.asarray(g.normal(size=(l["k"], l["out"])), jnp.float32)]
        elif l["op"] == "position":
            p = [jnp.asarray(0.02 * g.normal(size=shape), jnp.float32)]
        elif l["op"] == "layernorm":
            p = [jnp.ones(shape[-1]), jnp.zeros(shape[-1])]
        elif l["op"] == "attend":
            p = jax_attend_init(shape[-1], g)
        elif l["op"] == "linear":
            size = (shape[-1], l["out"])
            p = [jnp.asarray(g.uniform(-1, 1, size) / size[0]**0.5,
                             jnp.float32), jnp.zeros(l["out"])]
        elif l["op"] == "batchnorm":
            p = [jnp.ones(shape[0]), jnp.zeros(shape[0])]
            s = [jnp.zeros(shape[0]), jnp.ones(shape[0])]
        params.append(p)
        states.append(s)
        shape = out_shape(l, shape)
    return params, states


def jax_attend_init(n, g):
    import jax.numpy as jnp

    def line(a, b):
        return [jnp.asarray(g.uniform(-1, 1, (a, b)) / a**0.5, jnp.float32),
                jnp.zeros(b)]

    def norm():
        return [jnp.ones(n), jnp.zeros(n)]

    return [norm(), line(n, 3 * n), line(n, n), norm(), line(n, 4 * n),
            line(4 * n, n)]


def jax_layernorm(p, x):
    import jax.numpy as jnp

    d = x - x.mean(-1, keepdims=True)
    return d / jnp.sqrt((d * d).mean(-1, keepdims=True) + 1e-5) * p[0] + p[1]


def jax_dropout(p, x, key, train):
    import jax.numpy as jnp
    from jax import random

    if not train:
        return x
    return jnp.where(random.bernoulli(key, 1 - p, x.shape), x / (1 - p), 0)


def jax_attend(l, p, x, keys, train):
    import jax
    import jax.numpy as jnp

    b, t, n = x.shape
    heads = l["heads"]
    y = jax_layernorm(p[0], x) @ p[1][0] + p[1][1]
    q, k, v = jnp.moveaxis(y.reshape(b, t, 3, heads, n // heads), 2, 0)
    scores = jnp.einsum("bthd,bshd->bhts", q / (n / heads) ** 0.5, k)
    scores = jnp.where(jnp.tril(jnp.ones((t, t), bool)), scores, -jnp.inf)
    y = jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(scores), v)
    y = y.reshape(b, t, n) @ p[2][0] + p[2][1]
    x = x + jax_dropout(l["p"], y, keys[0], train)
    y = jax.nn.gelu(jax_layernorm(p[3], x) @ p[4][0] + p[4][1],
                    approximate=False)
    return x + jax_dropout(l["p"], y @ p[5][0] + p[5][1], keys[1], train)


def jax_adamw(params, grads, moments):
    """New weights and moments (m, v, step), the norm of the gradient clipped."""
    import jax
    import jax.numpy as jnp

    m, v, step = moments
    norm = jnp.sqrt(sum((d * d).sum() for d in jax.tree.leaves(grads)))
    share = jnp.minimum(1, CLIP / (norm + 1e-6))
    grads = jax.tree.map(lambda d: d * share, grads)
    step = step + 1
    m = jax.tree.map(lambda m, d: BETAS[0] * m + (1 - BETAS[0]) * d, m, grads)
    v = jax.tree.map(lambda v, d: BETAS[1] * v + (1 - BETAS[1]) * d * d, v,
                     grads)
    a, b = 1 - BETAS[0] ** step, 1 - BETAS[1] ** step
    params = jax.tree.map(
        lambda w, m, v: w * (1 - LR * DECAY) -
        LR * (m / a) / (jnp.sqrt(v / b) + EPS), params, m, v)
    return params, (m, v, step)


def jax_sgd(params, grads, velocity):
    import jax

    velocity = jax.tree.map(lambda v, d: MOMENTUM * v + d, velocity, grads)
    return jax.tree.map(lambda w, v: w - LR * v, params, velocity), velocity


def jax_conv(l, p, x):
    from jax import lax

    pad = (l["pad"], l["pad"])
    y = lax.conv_general_dilated(
        x, p[0], (l["stride"],) * 2, (pad, pad),
        rhs_dilation=(l["dilation"],) * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=l["groups"])
    return y + p[1] if l["bias"] else y


def jax_batchnorm(p, s, x, train):
    import jax.numpy as jnp

    mean, var = s
    if train:
        m, v = x.mean((0, 1, 2)), x.var((0, 1, 2))
        n = x.size // x.shape[-1]
        s = [0.9 * mean + 0.1 * m, 0.9 * var + 0.1 * v * n / (n - 1)]
        mean, var = m, v
    return (x - mean) / jnp.sqrt(var + 1e-5) * p[0] + p[1], s


def jax_apply(layers, params, states, x, key, train):
    import jax
    import jax.numpy as jnp
    from jax import lax, random

    new = []
    for l, p, s in zip(layers, params, states):
        op = l["op"]
        if op == "conv":
            x = jax_conv(l, p, x)
        elif op == "batchnorm":
            x, s = jax_batchnorm(p, s, x, train)
        elif op == "relu":
            x = jax.nn.relu(x)
        elif op == "maxpool":
            x = lax.reduce_window(x, -jnp.inf, lax.max,
                                  (1, l["k"], l["k"], 1),
                                  (1, l["stride"], l["stride"], 1), "VALID")
        elif op == "dropout" and train:
            key, now = random.split(key)
            keep = random.bernoulli(now, 1 - l["p"], x.shape)
            x = jnp.where(keep, x / (1 - l["p"]), 0)
        elif op == "flatten":
            x = x.reshape(x.shape[0], -1)
        elif op == "first":
            x = x[:, :l["n"]]
        elif op == "mean":
            x = x.mean((1, 2))
        elif op == "linear":
            x = x @ p[0] + p[1]
        elif op == "embedding":
            x = p[0][x]
        elif op == "position":
            x = x + p[0]
        elif op == "layernorm":
            x = jax_layernorm(p, x)
        elif op == "attend":
            key, *now = random.split(key, 3)
            x = jax_attend(l, p, x, now, train)
        elif op == "block":
            shape = (x.shape[3], x.shape[1], x.shape[2])
            x, s = jax_block(l, shape, p, s, x, key, train)
        new.append(s)
    return x, new


def jax_block(layer, shape, p, s, x, key, train):
    import jax

    from nets import block_layers

    through, around = block_layers(layer, shape)
    y, s0 = jax_apply(through, p[0], s[0], x, key, train)
    z, s1 = jax_apply(around, p[1], s[1], x, key, train)
    return jax.nn.relu(y + z), [s0, s1]


def jax_steps(layers, shape, batch, test_batch, cores, optimizer):
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax import random

    g = np.random.default_rng(1)
    params, states = jax_init(layers, shape, g)
    zeros = jax.tree.map(jnp.zeros_like, params)
    adamw = optimizer == "adamw"
    move = jax_adamw if adamw else jax_sgd
    moments = (zeros, jax.tree.map(jnp.zeros_like, params),
               jnp.zeros(())) if adamw else zeros
    picture = (shape[1], shape[2], shape[0]) if len(shape) == 3 else shape
    if layers[0]["op"] == "embedding":
        x, tx = (jnp.asarray(g.integers(0, layers[0]["k"], (n,) + shape))
                 for n in (batch, test_batch))
        y, ty = x, tx
    else:
        x, tx = (jnp.asarray(g.normal(size=(n,) + picture), jnp.float32)
                 for n in (batch, test_batch))
        y, ty = (jnp.asarray(g.integers(0, CLASSES, n))
                 for n in (batch, test_batch))

    def loss_of(params, states, x, y, key, train):
        z, states = jax_apply(layers, params, states, x, key, train)
        logs = jax.nn.log_softmax(z)
        picked = jnp.take_along_axis(logs, y[..., None], -1)
        return -picked.mean(), (z, states)

    def update(params, moments, states, key):
        key, now = random.split(key)
        (loss, (_, states)), grads = jax.value_and_grad(
            loss_of, has_aux=True)(params, states, x, y, now, True)
        params, moments = move(params, grads, moments)
        return params, moments, states, key, loss

    def test(params, states, key):
        loss, (z, _) = loss_of(params, states, tx, ty, key, False)
        return loss, z.argmax(-1).sum()

    jitted = jax.jit(update, donate_argnums=(0, 1, 2, 3))
    tested = jax.jit(test)
    state = [params, moments, states, random.key(1)]

    def train():
        *state[:], loss = jitted(*state)
        return float(loss)

    def evaluate():
        loss, right = tested(state[0], state[2], state[3])
        return float(loss), int(right)

    return train, evaluate


PEERS = {
    "torch": lambda *a: torch_steps(*a),
    "torch_channels_last": lambda *a: torch_steps(*a, channels_last=True),
    "torch_compile": lambda *a: torch_steps(*a, compiled=True),
    "jax": lambda *a: jax_steps(*a),
}


# --- the worker ---------------------------------------------------------------


def timed(step, alone):
    """Seconds of a step by the clock; of longer ones on one core the processor's
    time if it is less, since other work on the machine lengthens the clock's."""
    wall, processor = time.perf_counter(), time.process_time()
    step()
    processor = time.process_time() - processor
    wall = time.perf_counter() - wall
    return min(wall, processor) if alone and wall > SHORT else wall


def least(step, alone, seconds):
    end, best, n = time.perf_counter() + seconds, 1e30, 0
    while n < 3 or time.perf_counter() < end:
        best = min(best, timed(step, alone))
        n += 1
    return best


def make(peer, cores, line):
    """The steps of the network that a line describes, and the answer to it."""
    what = json.loads(line)
    train, evaluate = PEERS[peer](what["layers"], tuple(what["shape"]),
                                  what["batch"], what["test_batch"],
                                  cores, what["optimizer"])
    first = timed(train, cores == 1)
    return {"train": train, "evaluate": evaluate}, {"first": first}


def set_priority(nice):
    """Of all threads of this process."""
    for thread in os.listdir("/proc/self/task"):
        os.setpriority(os.PRIO_PROCESS, int(thread), nice)


def run_steps(steps, cores, line):
    name, seconds, *urgent = line.split()
    if urgent:
        set_priority(URGENT)
    us = least(steps[name], cores == 1, float(seconds)) * 1e6
    if urgent:
        set_priority(0)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"us": us, "memory": memory}


def serve(peer, cores):
    # What libraries print goes elsewhere: stdout is for the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    steps = {}
    for line in sys.stdin:
        try:
            if line.startswith("{"):
                steps, answer = make(peer, cores, line)
            else:
                answer = run_steps(steps, cores, line)
        except Exception as e:  # told to who asked, whatever it is
            answer = {"missing": "%s: %s" % (type(e).__name__, e)}
        print(json.dumps(answer), file=answers)


def environment(cores):
    """Of a process that may use so many cores."""
    e = dict(os.environ, OMP_NUM_THREADS=str(cores),
             MKL_NUM_THREADS=str(cores), OPENBLAS_NUM_THREADS=str(cores))
    e.setdefault("JAX_PLATFORMS", "cpu")
    e.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
    if cores == 1:
        e["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return e


def pin(cores, urgent=False):
    """Keeps this process to the last cores of those that it may use."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    if urgent:
        os.setpriority(os.PRIO_PROCESS, 0, URGENT)


class Worker:
    """A peer in a process of its own, which waits while others are timed."""

    def __init__(self, peer, cores):
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), peer, str(cores)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=environment(cores),
            preexec_fn=lambda: pin(cores))

    def ask(self, line):
        try:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        except (OSError, ValueError):
            return {"missing": "the peer ended"}

    def model(self, layers, shape, batch, test_batch, optimizer="sgd"):
        return self.ask(json.dumps({"layers": layers, "shape": shape,
                                    "batch": batch, "test_batch": test_batch,
                                    "optimizer": optimizer}))

    def steps(self, name, seconds, urgent=False):
        return self.ask("%s %s%s" % (name, seconds,
                                     " urgent" if urgent else ""))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
