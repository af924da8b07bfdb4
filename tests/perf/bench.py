"""Times training and evaluation by netc and by its peers, side by side.

    python3 tests/perf/bench.py [--netc build/netc] [--nets lenet vgg ..]
                                [--batch 4 64 256] [--cores 1 2]
                                [--peers torch jax ..] [--rounds N]
                                [--seconds S] [--urgent] [--fresh]
                                [--publish]

PyTorch and JAX are timed where this Python has them:

    python3 -m venv build/peers
    build/peers/bin/pip install torch jax
    make bench PYTHON=build/peers/bin/python

Each peer runs in a process of its own, pinned to as many cores as it has threads.
The order goes round and round, and of all steps the least time counts, since other
work on a machine only ever adds time; on one core it is the processor's time if
that is less than the clock's. Two cores can be timed on a quiet machine alone, or
with --urgent: whoever is timed goes before all other work meanwhile (needs root).
Data stays in memory; reading and shuffling are not timed. Evaluations are of the
batch that netc evaluates.

    us        of a training step, and of an evaluation (eval us)
    ratio     the time over netc's
    peak      share of the products and sums that so many cores do at best, as
              measured by `netc bench --profile`; counted as the network's own
              forward, by weights, and by inputs but for the first layer
    first     seconds from a made model to the end of its first step: compiling
    memory    of the whole process; netc's own plan stands in the first column

A run may be a part: results are kept in build/perf/bench.json, and bench.txt and
bench.svg beside it show all that are there. --fresh begins anew. The table is for
reading: it gates nothing. --publish puts the table into the README and the picture
into tests/perf: once, at the end of a whole run on a quiet machine.
"""

import argparse
import importlib.metadata
import json
import os
import sys

from chart import svg
from nets import FILES, NETS, OPTIMIZERS, SHAPES, TITLES, flops
from netc import cpu_name, load, peak_of_core, time_netc
from peers import PEERS, Worker

FOLDER = "build/perf"
NAMES = {"torch": "PyTorch", "torch_channels_last": "PyTorch channels last",
         "torch_compile": "PyTorch compiled", "jax": "JAX"}
LEAST, MOST = ("train", "evaluate"), ("first", "memory")


# --- timing -------------------------------------------------------------------


def merge(best, r):
    """The least of times; of the first step and of memory the most, since later
    rounds find warm caches."""
    for key, value in r.items():
        if key in LEAST:
            value = min(value, best.get(key, value))
        elif key in MOST:
            value = max(value, best.get(key, value))
        if key != "text":
            best[key] = value


def peer_round(worker, seconds, urgent):
    r = {}
    for name in LEAST:
        answer = worker.steps(name, seconds, urgent)
        if "missing" in answer:
            return answer
        r[name], r["memory"] = answer["us"], answer["memory"]
    return r


def time_cell(a, net, batch, cores):
    """{"netc": {"train": us ..}, PEER: ..} of one network, batch, cores."""
    first = time_netc(a.netc, FILES[net], batch, cores, ("--no-cache",),
                      urgent=a.urgent)
    test_batch = first.get("evaluate_batch", batch)
    best, workers = {"netc": {}}, {}
    merge(best["netc"], first)
    for peer in a.peers:
        workers[peer] = Worker(peer, cores)
        best[peer] = workers[peer].model(NETS[net], SHAPES[net], batch,
                                         test_batch, OPTIMIZERS[net])
    for n in range(a.rounds):
        if n:
            merge(best["netc"], time_netc(a.netc, FILES[net], batch, cores,
                                          urgent=a.urgent))
        for peer, worker in workers.items():
            if "missing" not in best[peer]:
                merge(best[peer], peer_round(worker, a.seconds, a.urgent))
    for worker in workers.values():
        worker.close()
    best["when"] = load()
    return best


# --- what is shown ------------------------------------------------------------


def key_of(net, batch, cores):
    return "%s %d %d" % (net, batch, cores)


def cells_of(results):
    """(net, batch, cores, cell) in the order of the table."""
    for net in NETS:
        for key, cell in sorted(results["cells"].items(),
                                key=lambda k: [int(n) for n in
                                               k[0].split()[:0:-1]]):
            name, batch, cores = key.split()
            if name == net:
                yield net, int(batch), int(cores), cell


def systems(cell):
    return {n: r for n, r in cell.items() if isinstance(r, dict)}


def ratio(cell, what):
    """Of the best peer to netc, and the peer's name."""
    mine = cell["netc"].get(what)
    peers = [(r[what], n) for n, r in systems(cell).items()
             if n != "netc" and what in r]
    return (min(peers)[0] / mine, min(peers)[1]) if mine and peers else None


def share(results, net, batch, cores, us):
    return 100 * flops(NETS[net], SHAPES[net])[0] * batch / us / 1e3 / (
        results["peak"] * cores)


def detail(results):
    for net, batch, cores, cell in cells_of(results):
        yield ""
        yield "%s, batch %d, %d core%s (%s)" % (
            TITLES[net], batch, cores, "s" if cores > 1 else "", cell["when"])
        yield "%-20s %11s %6s %5s %11s %6s %8s %8s" % (
            "", "us", "ratio", "peak", "eval us", "ratio", "first, s",
            "MB")
        base = cell["netc"]
        for name, r in systems(cell).items():
            if "train" not in r:
                yield "%-20s %s" % (name, r.get("missing", "-")[:70])
                continue
            over = [("%.2f" % (r[k] / base[k])) if k in base else "-"
                    for k in LEAST]
            yield "%-20s %11.1f %6s %4.0f%% %11.1f %6s %8.2f %8.1f" % (
                name, r["train"], over[0],
                share(results, net, batch, cores, r["train"]),
                r.get("evaluate", 0), over[1], r.get("first", 0),
                r.get("memory", 0) / 1e6)


def summary(results):
    yield "%-32s %5s %5s %11s %6s %5s %6s %8s %7s  %s" % (
        "", "batch", "cores", "netc us", "ratio", "peak", "eval", "first, s",
        "plan MB", "best peer")
    for net, batch, cores, cell in cells_of(results):
        r = cell["netc"]
        if "train" not in r:
            yield "%-32s %5d %5d  %s" % (TITLES[net], batch, cores,
                                         r.get("missing"))
            continue
        train, test = ratio(cell, "train"), ratio(cell, "evaluate")
        yield "%-32s %5d %5d %11.1f %6s %4.0f%% %6s %8.2f %7.2f  %s" % (
            TITLES[net], batch, cores, r["train"],
            "%.2f" % train[0] if train else "-",
            share(results, net, batch, cores, r["train"]),
            "%.2f" % test[0] if test else "-", r.get("first", 0),
            r.get("plan", 0) / 1e6, train[1] if train else "")


def plural(cores):
    return "1 core" if cores == 1 else "%d cores" % cores


def picture(results):
    panels, names = [], []
    for net, batch, cores, cell in cells_of(results):
        base = cell["netc"].get("train")
        if not base:
            continue
        dots = {NAMES[n]: r["train"] / base for n, r in systems(cell).items()
                if n != "netc" and "train" in r}
        names += [n for n in dots if n not in names]
        if not panels or panels[-1][0] != TITLES[net]:
            panels.append((TITLES[net], []))
        panels[-1][1].append(("batch %d, %s" % (batch, plural(cores)), dots))
    return svg("A step of training, in netc's time", machine(results), panels,
               names)


def machine(results):
    return "%s, %.0f GFLOP/s a core; %s" % (
        results["cpu"], results["peak"],
        ", ".join("%s %s" % v for v in results.get("versions", {}).items()))


# --- what the README shows ----------------------------------------------------


def duration(us):
    return "%.0f us" % us if us < 1e4 else "%.1f ms" % (us / 1e3)


def markdown(results):
    yield "On %s:" % machine(results)
    yield ""
    yield ("| Step of training | cores | netc | best peer | times faster | "
           "peak | evaluation | first step | memory |")
    yield "|---|--:|--:|---|--:|--:|--:|---|---|"
    for net, batch, cores, cell in cells_of(results):
        mine, train = cell["netc"], ratio(cell, "train")
        if "train" not in mine or not train:
            continue
        test, peer = ratio(cell, "evaluate"), cell[train[1]]
        yield ("| %s, batch %d | %d | %s | %s %s | %.2f | %.0f %% | %s | "
               "%.2f s; %.1f s | %.0f MB; %.0f MB |" % (
                   TITLES[net], batch, cores, duration(mine["train"]),
                   NAMES[train[1]], duration(peer["train"]), train[0],
                   share(results, net, batch, cores, mine["train"]),
                   "%.2f" % test[0] if test else "-", mine.get("first", 0),
                   peer.get("first", 0), mine.get("memory", 0) / 1e6,
                   peer.get("memory", 0) / 1e6))


def publish(results):
    """The table between the marks of the README, and the picture beside this."""
    begin, end = "<!-- bench: begin -->\n", "<!-- bench: end -->\n"
    with open("README.md") as f:
        before, rest = f.read().split(begin)
    with open("README.md", "w") as f:
        f.write(before + begin + "\n".join(markdown(results)) + "\n" + end +
                rest.split(end)[1])
    with open("tests/perf/bench.svg", "w") as f:
        f.write(picture(results))


def versions():
    """Of the packages whose peers are timed."""
    found = {}
    for name, package in (("PyTorch", "torch"), ("JAX", "jax")):
        try:
            found[name] = importlib.metadata.version(package).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            pass
    return found


def write_all(results):
    for name, text in (
            ("bench.json", json.dumps(results, indent=1)),
            ("bench.txt", "\n".join(
                [machine(results), ""] +
                list(summary(results)) + list(detail(results))) + "\n"),
            ("bench.svg", picture(results))):
        with open(os.path.join(FOLDER, name), "w") as f:
            f.write(text)


def read_old(fresh):
    try:
        with open(os.path.join(FOLDER, "bench.json")) as f:
            old = json.load(f)
            if not fresh and old["cpu"] == cpu_name():
                return old
    except (OSError, ValueError, KeyError):
        pass
    return {"cpu": cpu_name(), "peak": 0, "cells": {}}


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--netc", default="build/netc")
    p.add_argument("--nets", nargs="+", default=list(NETS), choices=NETS)
    p.add_argument("--batch", type=int, nargs="+", default=[4, 64, 256])
    p.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    p.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=1.0,
                   help="of each peer's steps in a round")
    p.add_argument("--urgent", action="store_true",
                   help="go before all other work (needs root)")
    p.add_argument("--fresh", action="store_true",
                   help="forget the results of earlier runs")
    p.add_argument("--publish", action="store_true",
                   help="write README.md's table and tests/perf/bench.svg")
    a = p.parse_args()
    os.makedirs(FOLDER, exist_ok=True)
    results = read_old(a.fresh)
    results["peak"] = max(results["peak"], peak_of_core(a.netc)) or 1
    results["versions"] = versions()
    for cores in a.cores:
        if cores > len(os.sched_getaffinity(0)):
            print("no %d cores here" % cores, file=sys.stderr)
            continue
        for net in a.nets:
            for batch in a.batch:
                cell = results["cells"].setdefault(
                    key_of(net, batch, cores), {})
                cell.update(time_cell(a, net, batch, cores))
                write_all(results)
                print(list(summary({**results, "cells": {
                    key_of(net, batch, cores): cell}}))[-1], file=sys.stderr)
    write_all(results)
    if a.publish:
        publish(results)
    with open(os.path.join(FOLDER, "bench.txt")) as f:
        print(f.read(), end="")


if __name__ == "__main__":
    main()
