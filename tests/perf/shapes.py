"""Times networks of unusual shapes in netc and in PyTorch, on one core, and prints
them worst first: what is slower here than there is a defect of the cost model or
of a kernel.

    python3 tests/perf/shapes.py [--netc build/netc] [--only TEXT ..]
                                 [--peers torch ..] [--kernels N] [--out FILE]

`ratio` is the peer's least time of a training step over netc's, `eval` that of an
evaluation (of the batch that netc evaluates): below 1, netc is slower. `peak` is the
share of a core's products and sums, counted as the network's own. With --kernels N
the slowest kernels of the N worst follow. Each network's .net file and its data, two
samples of noise, lie in build/perf/shapes.
"""

import argparse
import os
import random
import struct
import sys

from nets import (BN, FLATTEN, MEAN, RELU, block, conv, conv_bn, dropout, flops,
                  lenet, linear, maxpool, net_text)
from netc import cpu_name, load, peak_of_core, time_netc
from peers import PEERS, Worker

FOLDER = "build/perf/shapes"
HEAD = [MEAN, linear(10)]
LEAST = ("train", "evaluate")


def depthwise(c, k=3, stride=1):
    return conv(c, k, stride, k // 2, groups=c)


def separable(c, out, stride=1):
    return [depthwise(c, 3, stride), BN, RELU, conv(out, 1), BN, RELU]


def mlp(*widths):
    layers = []
    for n in widths:
        layers += [linear(n), RELU]
    return layers + [linear(10)]


# name: layers, shape of a sample, batch
CASES = {
    "lenet-1": (lenet(), (3, 32, 32), 1),
    "lenet-5": (lenet(), (3, 32, 32), 5),
    "lenet-33": (lenet(), (3, 32, 32), 33),
    "mnist-cnn-33": ([conv(10, 5), maxpool(2), RELU, conv(20, 5), maxpool(2),
                      RELU, FLATTEN, linear(50), RELU, linear(10)],
                     (1, 28, 28), 33),
    "odd-3x3-5": ([conv(5, 3), RELU, conv(7, 3), RELU, conv(11, 3), RELU] +
                  HEAD, (3, 17, 17), 5),
    "odd-3x3-33": ([conv(13, 3, pad=1), RELU, conv(29, 3, pad=1), RELU] + HEAD,
                   (3, 23, 19), 33),
    "odd-37-5": ([conv(37, 3, pad=1), RELU, conv(41, 3, pad=1), RELU] + HEAD,
                 (5, 15, 15), 5),
    "stem-7x7-s2-1": ([conv(24, 7, 2, 3), BN, RELU, maxpool(2)] + HEAD,
                      (3, 64, 64), 1),
    "stem-7x7-s2-5": ([conv(24, 7, 2, 3), BN, RELU, maxpool(2)] + HEAD,
                      (3, 64, 64), 5),
    "mid-7x7-5": ([conv(8, 3, pad=1), RELU, conv(16, 7, pad=3), RELU] + HEAD,
                  (3, 28, 28), 5),
    "mid-7x7-s2-33": ([conv(8, 3, pad=1), RELU, conv(16, 7, 2, 3), RELU] + HEAD,
                      (3, 28, 28), 33),
    "alex-11x11-s4-5": ([conv(48, 11, 4, 2), RELU, maxpool(3, 2),
                         conv(64, 5, pad=2), RELU] + HEAD, (3, 67, 67), 5),
    "stride2-5": ([conv(16, 3, 2, 1), RELU, conv(32, 3, 2, 1), RELU,
                   conv(64, 3, 2, 1), RELU] + HEAD, (3, 32, 32), 5),
    "stride2-33": ([conv(16, 3, 2, 1), RELU, conv(32, 3, 2, 1), RELU,
                    conv(64, 3, 2, 1), RELU] + HEAD, (3, 32, 32), 33),
    "stride3-5x5-33": ([conv(12, 3, pad=1), RELU, conv(20, 5, 3, 2), RELU] +
                       HEAD, (3, 31, 31), 33),
    "patch-4x4-s4-33": ([conv(48, 4, 4), RELU, conv(96, 2, 2), RELU] + HEAD,
                        (3, 32, 32), 33),
    "depthwise-1": (conv_bn(32) + separable(32, 64) + separable(64, 64) + HEAD,
                    (3, 32, 32), 1),
    "depthwise-5": (conv_bn(32) + separable(32, 64) + separable(64, 64) + HEAD,
                    (3, 32, 32), 5),
    "depthwise-33": (conv_bn(16) + separable(16, 32) + HEAD, (3, 32, 32), 33),
    "depthwise-s2-5": (conv_bn(32) + separable(32, 64, 2) + HEAD,
                       (3, 32, 32), 5),
    "depthwise-5x5-37-5": (conv_bn(37) + [depthwise(37, 5), RELU] + HEAD,
                           (3, 21, 21), 5),
    "groups-4-5": (conv_bn(32) + [conv(32, 3, pad=1, groups=4), RELU] + HEAD,
                   (3, 24, 24), 5),
    "groups-2-odd-5": (conv_bn(10) + [conv(14, 3, pad=1, groups=2), RELU] +
                       HEAD, (3, 24, 24), 5),
    "1x1-64-5": ([conv(64, 1), RELU, conv(16, 1), RELU, conv(64, 1), RELU] +
                 HEAD, (3, 16, 16), 5),
    "1x1-odd-33": ([conv(19, 1), RELU, conv(47, 1), RELU] + HEAD,
                   (7, 13, 13), 33),
    "1x1-s2-33": ([conv(32, 3, pad=1), RELU, conv(64, 1, 2), RELU] + HEAD,
                  (3, 24, 24), 33),
    "1x1-256-1": ([conv(256, 1), RELU, conv(256, 1), RELU] + HEAD,
                  (32, 8, 8), 1),
    "dilated-2-5": ([conv(16, 3, pad=1), RELU, conv(24, 3, 1, 2, 2), RELU] +
                    HEAD, (3, 28, 28), 5),
    "dilated-3-33": ([conv(12, 3), RELU, conv(24, 3, 1, 0, 3), RELU] + HEAD,
                     (3, 24, 24), 33),
    "rows-20x50-5": ([conv(8, 3), RELU, conv(16, 3), RELU, maxpool(3, 2)] +
                     HEAD, (2, 20, 50), 5),
    "large-128-1": ([conv(8, 3, pad=1), RELU, conv(8, 3, pad=1), RELU,
                     maxpool(2)] + HEAD, (3, 128, 128), 1),
    "deep-256-at-4-5": ([conv(256, 3, pad=1), RELU, conv(256, 3, pad=1), RELU]
                        + HEAD, (64, 4, 4), 5),
    "deep-512-at-2-33": ([conv(512, 3, pad=1), RELU] + HEAD, (128, 2, 2), 33),
    "even-2x2-33": ([conv(16, 2), RELU, conv(32, 2), RELU, maxpool(2)] + HEAD,
                    (3, 20, 20), 33),
    "resblock-1": (conv_bn(32) + [block(32), block(48, 2)] + HEAD,
                   (3, 16, 16), 1),
    "resblock-33": (conv_bn(16) + [block(16), block(24, 2)] + HEAD,
                    (3, 20, 20), 33),
    "one-channel-5": ([conv(1, 3), RELU, conv(1, 5), RELU, FLATTEN,
                       linear(10)], (1, 32, 32), 5),
    "mlp-wide-1": (mlp(4096), (1024,), 1),
    "mlp-wide-5": (mlp(4096), (1024,), 5),
    "mlp-wide-33": (mlp(2048, 1024), (1024,), 33),
    "mlp-narrow-5": (mlp(5, 3), (7,), 5),
    "mlp-narrow-33": (mlp(31, 17), (13,), 33),
    "mlp-deep-33": (mlp(*[64] * 12), (64,), 33),
    "mlp-tall-33": (mlp(3), (3000,), 33),
    "mlp-dropout-33": ([linear(300), RELU, dropout(0.3), linear(100), RELU,
                        dropout(0.3), linear(10)], (500,), 33),
    "mlp-odd-5": (mlp(997, 211), (331,), 5),
}


def write_npy(path, kind, shape, values):
    """values: bytes in row-major order of little-endian numbers."""
    text = ("{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }" %
            (kind, ", ".join(map(str, shape))))
    text += " " * (-(11 + len(text)) % 64) + "\n"
    with open(path, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) +
                text.encode() + values)


def write_case(name):
    layers, shape, batch = CASES[name]
    file, x = "%s/%s.net" % (FOLDER, name), "%s/%s.x.npy" % (FOLDER, name)
    y, count = FOLDER + "/y.npy", 2
    for d in shape:
        count *= d
    g = random.Random(1)
    write_npy(x, "<f4", (2,) + shape,
              struct.pack("<%df" % count,
                          *(g.gauss(0, 1) for _ in range(count))))
    write_npy(y, "<i4", (2,), struct.pack("<2i", 0, 9))
    data = 'npy("%s", "%s")' % (x, y)
    with open(file, "w") as f:
        f.write(net_text(layers, shape, data, "y", batch))
    return file


# --- timing -------------------------------------------------------------------


def keep_least(best, r):
    for key, value in r.items():
        if key in LEAST:
            value = min(value, best.get(key, value))
        best[key] = value


def time_peer(worker, rounds_s):
    r = {}
    for name in LEAST:
        answer = worker.steps(name, rounds_s)
        r.update({name: answer["us"]} if "us" in answer else answer)
    return r


def time_case(name, netc, workers, rounds, seconds):
    """{"netc": {"train": us, ..}, PEER: ..}, the least of all rounds."""
    layers, shape, batch = CASES[name]
    file = write_case(name)
    best = {"netc": time_netc(netc, file, batch, 1)}
    test_batch = best["netc"].get("evaluate_batch", batch)
    for peer, worker in workers.items():
        best[peer] = worker.model(layers, shape, batch, test_batch)
    for n in range(rounds):
        if n:
            keep_least(best["netc"], time_netc(netc, file, batch, 1))
        for peer, worker in workers.items():
            if "missing" not in best[peer]:
                keep_least(best[peer], time_peer(worker, seconds))
    return best


# --- the table ----------------------------------------------------------------


def ratio(best, what):
    """Of the best peer to netc."""
    mine = best["netc"].get(what)
    peers = [r[what] for n, r in best.items() if n != "netc" and what in r]
    if not mine or not peers:
        return None
    return min(peers) / mine


def worst(best):
    return min(ratio(best, what) or 0 for what in LEAST)


def row(name, best, peak):
    layers, shape, batch = CASES[name]
    r = best["netc"]
    if "missing" in r:
        return "%-20s %s" % (name, r["missing"])
    cells = [best[p].get("train") for p in best if p != "netc"]
    both = ratio(best, "train"), ratio(best, "evaluate")
    return ("%-20s %6s %9.1f %s %5.0f%% %8s %9.1f" % (
        name, "%.2f" % both[0] if both[0] else "-", r["train"],
        " ".join("%9.1f" % c if c else "%9s" % "-" for c in cells),
        flops(layers, shape)[0] * batch / r["train"] / 10 / peak,
        "%.2f" % both[1] if both[1] else "-", r.get("evaluate", 0)))


def heading(peers):
    return "%-20s %6s %9s %s %6s %8s %9s" % (
        "", "ratio", "netc us", " ".join("%9s" % p[:9] for p in peers), "peak",
        "eval", "netc us")


def slowest_kernels(netc, name, entry, n=6):
    r = time_netc(netc, "%s/%s.net" % (FOLDER, name), CASES[name][2], 1,
                  ("--profile", "--entry=" + entry))
    lines = r.get("text", r.get("missing", "")).split("\n%s: " % entry)[-1]
    return lines.splitlines()[:n + 2]


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--netc", default="build/netc")
    p.add_argument("--only", nargs="+", default=[""],
                   help="networks whose names hold one of these texts")
    p.add_argument("--peers", nargs="*", default=["torch"], choices=PEERS)
    p.add_argument("--rounds", type=int, default=2)
    p.add_argument("--seconds", type=float, default=0.3)
    p.add_argument("--kernels", type=int, default=0, metavar="N",
                   help="show the slowest kernels of the N worst")
    p.add_argument("--out", help="write the table here as well")
    a = p.parse_args()
    os.makedirs(FOLDER, exist_ok=True)
    peak = peak_of_core(a.netc) or 1
    workers = {peer: Worker(peer, 1) for peer in a.peers}
    done = {}
    for name in CASES:
        if any(text in name for text in a.only):
            done[name] = time_case(name, a.netc, workers, a.rounds, a.seconds)
            print(row(name, done[name], peak), file=sys.stderr)
    for worker in workers.values():
        worker.close()
    order = sorted(done, key=lambda n: worst(done[n]))
    lines = ["%s, one core, %.1f GFLOP/s; %s" % (cpu_name(), peak, load()),
             heading(a.peers)] + [row(n, done[n], peak) for n in order]
    for name in order[:a.kernels]:
        for entry in LEAST:
            lines += ["", name + ", " + entry]
            lines += slowest_kernels(a.netc, name, entry)
    print("\n".join(lines))
    if a.out:
        with open(a.out, "w") as f:
            f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
