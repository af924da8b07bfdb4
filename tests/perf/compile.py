"""How compile time grows with a network.

    python3 tests/perf/compile.py [--netc build/netc] [--layers 5 10 25 50 100]
                                  [--kind equal distinct residual]

Compiles networks of so many layers, all equal or each of another width, or of so
many residual blocks with batch normalisation, and prints what each pass takes (as
`-v` tells), what all takes, and that for a kernel, in milliseconds by the clock, so
on a quiet machine. Nothing comes from the object cache. A last column that stays,
or falls, is linear growth.
"""

import argparse
import os
import re
import subprocess
import tempfile

HEAD = "data shapes(train = 64, test = 16)\n\n"
TRAIN = """
train {
  loss      = cross_entropy(model(image), label)
  optimizer = sgd(lr = 0.01, momentum = 0.9)
  batch     = 8
}
"""
BLOCK = """layer block(x: [c, h, w]) {
  x + (x -> conv(c, 3, pad = 1) -> batchnorm -> relu)
}

"""


def equal(n):
    return HEAD + ("net model(x: [3, 32, 32]) {\n  x -> flatten -> linear(64)\n"
                   "    -> repeat(%d) (linear(64) -> relu)\n"
                   "    -> linear(10)\n}\n" % n) + TRAIN


def distinct(n):
    layers = "".join("\n    -> linear(%d) -> relu" % (33 + 2 * i)
                     for i in range(n))
    return HEAD + ("net model(x: [3, 32, 32]) {\n  x -> flatten%s\n"
                   "    -> linear(10)\n}\n" % layers) + TRAIN


def residual(n):
    return HEAD + BLOCK + (
        "net model(x: [3, 32, 32]) {\n  x -> conv(8, 3)\n"
        "    -> repeat(%d) block\n    -> flatten -> linear(10)\n}\n" %
        n) + TRAIN


KINDS = {"equal": equal, "distinct": distinct, "residual": residual}
PASSES = ("lower", "grad", "simplify", "fuse", "schedule", "plan", "codegen")
LINE = re.compile(r"^(\w+) +([\d.]+) ms$", re.M)


def run(command):
    p = subprocess.Popen(command, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True)
    out, err = p.communicate()
    if p.returncode:
        raise SystemExit("%s\n%s" % (" ".join(command), err))
    return out, err


def measure(netc, path, rounds):
    """({pass: ms}, kernels of the training step): of each pass the least."""
    least = {}
    for _ in range(rounds):
        _, err = run([netc, "build", "--emit=obj", "-v", path, "-o",
                      os.path.join(os.path.dirname(path), "net.o")])
        for name, ms in LINE.findall(err):
            least[name] = min(float(ms), least.get(name, float(ms)))
    plan, _ = run([netc, "dump", "--stage=plan", path])
    return least, len(re.findall(r"^  kernel ", plan, re.M))


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--netc", default="build/netc")
    p.add_argument("--layers", type=int, nargs="+",
                   default=[5, 10, 25, 50, 100])
    p.add_argument("--kind", nargs="+", default=list(KINDS), choices=KINDS)
    p.add_argument("--rounds", type=int, default=3)
    a = p.parse_args()
    print("%-9s %6s %7s " % ("", "layers", "kernels") +
          " ".join("%8s" % name for name in PASSES) +
          " %9s %9s" % ("all, ms", "a kernel"))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "net.net")
        for kind in a.kind:
            for n in a.layers:
                with open(path, "w") as f:
                    f.write(KINDS[kind](n))
                ms, kernels = measure(a.netc, path, a.rounds)
                times = [ms.get(name, 0) for name in PASSES]
                print("%-9s %6d %7d " % (kind, n, kernels) +
                      " ".join("%8.1f" % t for t in times) +
                      " %9.1f %9.2f" % (sum(times), sum(times) / kernels))


if __name__ == "__main__":
    main()
