"""Seconds, memory and growth of hashing methods, and what they gain over the plain way of computing the same.

    python -m benchmarks.methods                              # from the checkout's root, on an otherwise idle machine
    python -m benchmarks.methods --only linear,encode --methods dch,batch
    python -m benchmarks.methods --only growth --json methods.json

linear   one fit on many items of methods that are linear in their number, with the threads that are given: seconds, and
         memory beyond the items themselves; a fresh process each
encode   items a second through a linear hash function, packed codes
growth   fits at several sizes with one thread: seconds, memory, and the exponent p of seconds ~ n^p
peers    the plain computation of the same steps (benchmarks/hash_peers.py) against the method, one thread, both in
         the same process in turn

Prints one table; exits 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.measuring import alternate, measured, numerical_threads

LINEAR = ("batch", "dch", "scratch", "srlch", "lemon")
GOALS = {"linear seconds": 60.0, "linear MiB": 2048.0, "encode": 1e6}
DIMS = (500, 1000)
CLASSES = 21
SIZES = (500, 1000, 2000, 4000)
SLOW = 60.0
"""Seconds of a fit after which larger sizes are left out."""


@dataclass(frozen=True)
class Line:
    """One measured figure; `goal` None: there is none."""

    part: str
    what: str
    value: float
    unit: str
    goal: float | None = None
    largest: bool = True

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value <= self.goal if self.largest else self.value >= self.goal


def items(n: int, dims: tuple[int, int] = DIMS) -> Mapping[str, Any]:
    """Paired float32 training items with several labels each."""
    from cmrbench.data import make_synthetic

    dataset = make_synthetic(
        n_train=n, n_val=50, n_query=50, n_gallery=50, dims=dims, classes=CLASSES, multilabel=True, density=0.1, seed=1
    )
    return dataset.part("train")


def hashing_methods() -> dict[str, Any]:
    """Every registered hashing method that learns, by name."""
    from cmrbench.registry import load_methods

    table = load_methods()
    classes = {name: table.get(name) for name in table.names()}
    return {n: c for n, c in classes.items() if c.info.output == "hash" and not c.info.reads_labels}


def fit(name: str, train: Mapping[str, Any], bits: int) -> Any:
    from cmrbench.core.training import training_items
    from cmrbench.method import Context

    cls = hashing_methods()[name]
    given, _ = training_items(train, None, supervised=cls.info.supervision == "labels", selects=False)
    return cls().fit(given, None, Context(bits=bits, n_classes=CLASSES))


def _one_fit(name: str, n: int, bits: int, threads: int) -> tuple[float, float]:
    train = items(n)
    fit(name, items(64), min(bits, 16))  # libraries are loaded, and compiled what is compiled
    with numerical_threads(threads):
        found = measured(partial(fit, name, train, bits), clock=time.perf_counter)
    return found.seconds, math.nan if found.peak_mb is None else found.peak_mb


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call in a fresh process, whose memory nobody has used before."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def linear(chosen: tuple[str, ...], n: int, bits: int, threads: int) -> list[Line]:
    lines = []
    for name in chosen or LINEAR:
        seconds, peak = apart(_one_fit, name, n, bits, threads)
        lines.append(Line("linear", f"{name}, n = {n:,}, {bits} bits", seconds, "s", GOALS["linear seconds"]))
        lines.append(Line("linear", f"{name}, memory beyond the items", peak, "MiB", GOALS["linear MiB"]))
    return lines


def encode(n: int, bits: int, threads: int, repeats: int) -> list[Line]:
    from cmrbench_methods.blocks.hashing import HashFunction
    from cmrbench_methods.blocks.maps import Scaled

    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, DIMS[0]), dtype=np.float32)
    x += rng.random(DIMS[0], dtype=np.float32)
    function = HashFunction(Scaled.fit(x), rng.standard_normal((DIMS[0], bits)))
    with numerical_threads(threads):
        function.packed(x[:10000])
        timed = [measured(partial(function.packed, x), time.perf_counter) for _ in range(repeats)]
    rate = n / statistics.median(m.seconds for m in timed)
    return [Line("encode", f"d = {DIMS[0]}, {bits} bits, packed", rate, "items/s", GOALS["encode"], largest=False)]


def growth(chosen: tuple[str, ...], bits: int) -> list[Line]:
    lines = []
    for name in chosen or tuple(hashing_methods()):
        times: list[tuple[int, float]] = []
        for n in SIZES:
            seconds, peak = apart(_one_fit, name, n, bits, 1)
            times.append((n, seconds))
            if seconds > SLOW:
                break
        n, seconds = times[-1]
        lines.append(Line("growth", f"{name}, n = {n:,}, {bits} bits", seconds, "s"))
        lines.append(Line("growth", f"{name}, memory beyond the items", peak, "MiB"))
        # The two largest sizes: small ones are dominated by what does not grow.
        lines.append(Line("growth", f"{name}, exponent", exponent(times[-2:]), ""))
    return lines


def exponent(times: list[tuple[int, float]]) -> float:
    """p of seconds ~ n^p through two sizes; NaN for one."""
    if len(times) < 2:
        return math.nan
    (n, a), (m, b) = times
    return math.log(b / a) / math.log(m / n)


def peers(chosen: tuple[str, ...], repeats: int) -> list[Line]:
    from benchmarks.hash_peers import PEERS

    lines = []
    for peer in PEERS:
        if chosen and peer.method not in chosen:
            continue
        ours, theirs = peer.prepare()
        with numerical_threads(1):
            a, b = alternate(
                partial(measured, ours, time.perf_counter), partial(measured, theirs, time.perf_counter), repeats
            )
        lines.append(Line("peers", f"{peer.what}: ours", a.seconds, "s"))
        plain = b.seconds / peer.share
        lines.append(Line("peers", f"{peer.what}: plain", plain, "s"))
        lines.append(Line("peers", f"{peer.what}: ratio", plain / a.seconds, "x", peer.goal, largest=False))
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="linear,encode,growth,peers")
    parser.add_argument("--methods", default="", help="only these, separated by commas")
    parser.add_argument("--items", type=int, default=200_000, help="of linear")
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of linear and encode")
    parser.add_argument("--repeats", type=int, default=3, help="of encode and peers")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    chosen = tuple(name for name in options.methods.split(",") if name)
    parts: dict[str, Callable[[], list[Line]]] = {
        "linear": lambda: linear(chosen, options.items, options.bits, options.threads),
        "encode": lambda: encode(options.items, options.bits, options.threads, options.repeats),
        "growth": lambda: growth(chosen, options.bits),
        "peers": lambda: peers(chosen, options.repeats),
    }
    lines: list[Line] = []
    for name in options.only.split(","):
        if name not in parts:
            sys.exit(f"--only {name}: there are {', '.join(parts)}")
        lines += parts[name]()
    if options.json:
        options.json.write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n")
    table = Table("part", "what", "measured", "goal", "", title=f"{os.cpu_count()} cores, numpy {np.__version__}")
    for line in lines:
        sign = "<=" if line.largest else ">="
        goal = "" if line.goal is None else f"{sign} {line.goal:,g} {line.unit}"
        state = "" if line.reached is None else "met" if line.reached else "MISSED"
        table.add_row(line.part, line.what, f"{line.value:,.2f} {line.unit}", goal, state)
    Console().print(table)
    return 1 if any(line.reached is False for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
