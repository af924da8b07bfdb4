"""Runs `netc bench` and reads what it prints, for the scripts beside this one."""

import os
import re
import subprocess
import time

from peers import pin

LINE = re.compile(r"^(train|evaluate) .* a step of (\d+) samples "
                  r"\(at best ([\d.]+);", re.M)


def time_netc(netc, file, batch, cores, extra=(), urgent=False):
    """{"train": us, "evaluate": us, "evaluate_batch", "first": s of compiling,
    "plan": bytes, "memory": of the process} or {"missing": why}. With --profile
    among `extra` also "peak", in GFLOP/s, and "text"."""
    command = [netc, "bench", file, "--batch", str(batch), "--threads",
               str(cores), *extra]
    try:
        p = subprocess.Popen(command, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True,
                             preexec_fn=lambda: pin(cores, urgent))
    except FileNotFoundError:
        return {"missing": "not built"}
    out, err = p.stdout.read(), p.stderr.read()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = status
    r = {"memory": usage.ru_maxrss * 1024, "text": out}
    for name, n, us in LINE.findall(out):
        r[name] = float(us)
        r[name + "_batch"] = int(n)
    if status or not any(n in r for n in ("train", "evaluate")):
        lines = err.strip().splitlines() or ["no time"]
        return {"missing": "netc: " + lines[0]}
    for name, pattern, unit in (("first", r"^compile +(\d+) us", 1e-6),
                                ("plan", r"^memory +([\d.]+) MB", 1e6),
                                ("peak", r"a core does ([\d.]+) GFLOP", 1)):
        m = re.search(pattern, out, re.M)
        if m:
            r[name] = float(m.group(1)) * unit
    return r


def peak_of_core(netc):
    """GFLOP/s of products and sums that one core does, measured by netc."""
    r = time_netc(netc, "models/lenet.net", 4, 1,
                  ("--profile", "--entry=evaluate", "--steps=1"))
    return r.get("peak", 0)


def cpu_name():
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return "unknown"


def load():
    """How many programs want to run, and the date: for the heading."""
    return "%s, load %.1f" % (time.strftime("%Y-%m-%d %H:%M"),
                              os.getloadavg()[0])
