"""Times one training step of LeNet with dropout (forward, backward, SGD with
momentum) by netc and by its peers, side by side, on one core.

    python3 tests/perf/bench.py [--netc build/netc] [--batch 4 64]
                                [--peers torch_eager jax] [--json FILE]

Each peer runs in a process of its own, pinned to one core, with one thread; the
order goes round ROUNDS times, and the best round counts, since other work on a
machine only ever adds time. A round is the median of steps over SECONDS.
`first` is the time from a made model to the end of its first step: what
compiling costs. Data stays in memory; reading and shuffling are not timed. Peers that are
not installed are left out. The table is for reading: it gates nothing.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time

ROUNDS, SECONDS = 3, 1.0
MODEL = "models/lenet.net"


def netc_command(netc, batch):
    """How netc is timed; prints `train N us ..` and `compile N us`."""
    return [netc, "bench", MODEL, "--batch", str(batch), "--threads", "1"]


def time_netc(netc, batch):
    try:
        r = subprocess.run(netc_command(netc, batch), capture_output=True,
                           text=True)
    except FileNotFoundError:
        return {"missing": "not built"}
    us = {name: float(n) for name, n in
          re.findall(r"^(\w+) +([\d.]+) us", r.stdout, re.M)}
    if r.returncode or "train" not in us:
        return {"missing": (r.stderr.strip().splitlines() or ["no time"])[0]}
    return {"us": us["train"], "first": us.get("compile", 0) / 1e6}


# --- peers: each returns a function that does one step, to its end ------------


def torch_model(p=0.5):
    from torch import nn

    conv = lambda i, o: [nn.Conv2d(i, o, 5), nn.Dropout(p), nn.ReLU(),
                         nn.MaxPool2d(2)]
    return nn.Sequential(*conv(3, 6), *conv(6, 16), nn.Flatten(),
                         nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84),
                         nn.ReLU(), nn.Linear(84, 10))


def torch_step(batch, compiled=False, channels_last=False):
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1)
    model, x = torch_model(), torch.randn(batch, 3, 32, 32)
    y = torch.randint(0, 10, (batch,))
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9)
    criterion = torch.nn.CrossEntropyLoss()
    forward = torch.compile(model) if compiled else model

    def step():
        optimizer.zero_grad()
        loss = criterion(forward(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_eager(batch):
    return torch_step(batch)


def torch_channels_last(batch):
    return torch_step(batch, channels_last=True)


def torch_compile(batch):
    return torch_step(batch, compiled=True)


def jax_jit(batch):
    import jax
    import jax.numpy as jnp
    import numpy as np
    from jax import lax, random

    g = np.random.default_rng(1)
    shapes = [(6, 3, 5, 5), (16, 6, 5, 5), (400, 120), (120, 84), (84, 10)]
    params = []
    for s in shapes:
        fan = np.prod(s[1:]) if len(s) == 4 else s[0]
        out = s[0] if len(s) == 4 else s[1]
        params.append((jnp.asarray(g.uniform(-1, 1, s) / fan**0.5, jnp.float32),
                       jnp.zeros(out, jnp.float32)))
    velocity = jax.tree.map(jnp.zeros_like, params)
    x = jnp.asarray(g.normal(size=(batch, 3, 32, 32)), jnp.float32)
    y = jnp.asarray(g.integers(0, 10, batch))

    def net(params, x, key, p=0.5):
        for (w, b), k in zip(params[:2], random.split(key)):
            x = lax.conv_general_dilated(x, w, (1, 1), "VALID")
            x = x + b[:, None, None]
            keep = random.bernoulli(k, 1 - p, x.shape)
            x = jax.nn.relu(jnp.where(keep, x / (1 - p), 0))
            x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2),
                                  (1, 1, 2, 2), "VALID")
        x = x.reshape(batch, -1)
        for i, (w, b) in enumerate(params[2:]):
            x = x @ w + b
            x = jax.nn.relu(x) if i < 2 else x
        return x

    def loss_of(params, key):
        z = jax.nn.log_softmax(net(params, x, key))
        return -jnp.take_along_axis(z, y[:, None], 1).mean()

    def update(params, velocity, key):
        key, now = random.split(key)
        loss, grads = jax.value_and_grad(loss_of)(params, now)
        velocity = jax.tree.map(lambda v, d: 0.9 * v + d, velocity, grads)
        params = jax.tree.map(lambda w, v: w - 0.001 * v, params, velocity)
        return params, velocity, key, loss

    jitted = jax.jit(update, donate_argnums=(0, 1, 2))
    state = [params, velocity, random.key(1)]

    def step():
        *state[:], loss = jitted(*state)
        return float(loss)

    return step


PEERS = {
    "torch_eager": torch_eager,
    "torch_channels_last": torch_channels_last,
    "torch_compile": torch_compile,
    "jax_jit": jax_jit,
}


def worker(name, batch):
    """One round of a peer, in this process; prints JSON."""
    start = time.perf_counter()
    try:
        step = PEERS[name](batch)
    except ImportError as e:
        print(json.dumps({"missing": str(e)}))
        return
    start = time.perf_counter()
    step()
    first = time.perf_counter() - start
    for _ in range(20):
        step()
    times, end = [], time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    print(json.dumps({"us": statistics.median(times) * 1e6, "first": first}))


def time_peer(name, batch):
    command = [sys.executable, os.path.abspath(__file__), "--worker", name,
               "--batch", str(batch)]
    r = subprocess.run(command, capture_output=True, text=True)
    if r.returncode:
        return {"missing": (r.stderr.strip().splitlines() or ["failed"])[-1]}
    return json.loads(r.stdout.splitlines()[-1])


def cpu_name():
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return "unknown"


def table(batch, results):
    base = results["netc"].get("us")
    print("\nLeNet with dropout, batch %d" % batch)
    print("%-22s %12s %10s %12s" % ("", "us a step", "to netc", "first, s"))
    for name, r in results.items():
        if "us" not in r:
            print("%-22s %s" % (name, r["missing"][:60]))
            continue
        ratio = "%.2f" % (r["us"] / base) if base else "-"
        print("%-22s %12.1f %10s %12.2f" % (name, r["us"], ratio, r["first"]))


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--netc", default="build/netc")
    p.add_argument("--batch", type=int, nargs="+", default=[4, 64])
    p.add_argument("--peers", nargs="*", default=list(PEERS))
    p.add_argument("--json", help="write the numbers here as well")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    a = p.parse_args()
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    if a.worker:
        worker(a.worker, a.batch[0])
        return
    print("%s, one core; best of %d rounds" % (cpu_name(), ROUNDS))
    numbers = {}
    for batch in a.batch:
        best = {}
        for _ in range(ROUNDS):
            for name in ["netc"] + a.peers:
                r = (time_netc(a.netc, batch) if name == "netc" else
                     time_peer(name, batch))
                old = best.get(name, r)
                # the longest first step: later rounds find a warm cache
                first = max(r.get("first", 0), old.get("first", 0))
                best[name] = min(r, old, key=lambda v: v.get("us", 1e30))
                best[name]["first"] = first
        table(batch, best)
        numbers[batch] = best
    if a.json:
        with open(a.json, "w") as f:
            json.dump({"cpu": cpu_name(), "batches": numbers}, f, indent=1)


main()
