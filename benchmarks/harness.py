"""What the harness itself costs: start-up, overhead of a run, the quick suite.

    python benchmarks/harness.py [--repeats 5] [--skip-suite]

(a) start-up of ``cmrbench --help`` against ``python -c "import typer, rich"``, alternating, medians;
(b) wall time of a run minus fit, encode and evaluate inside it, for a numpy and for a torch method: the median of
    several runs in one call, and of a call of one run (where the libraries are loaded for that run alone);
(c) wall time and peak memory of ``cmrbench run --suite quick`` into an empty folder.

Prints one table; exits 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

CMRBENCH = shutil.which("cmrbench", path=str(Path(sys.executable).parent)) or "cmrbench"
GOALS = {"start": 2.0, "numpy": 0.5, "torch": 1.5, "suite seconds": 120.0, "suite GiB": 2.0}


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def start_up(repeats: int) -> tuple[float, float]:
    ours, theirs = [], []
    for _ in range(repeats):
        theirs.append(seconds([sys.executable, "-c", "import typer, rich"]))
        ours.append(seconds([CMRBENCH, "--help"]))
    return statistics.median(ours), statistics.median(theirs)


def overhead(method: str, seeds: int) -> list[float]:
    """Seconds of every run that are neither fit, encode nor evaluate."""
    import cmrbench

    with tempfile.TemporaryDirectory() as folder:
        command = [CMRBENCH, "run", "--methods", method, "--datasets", "emoji", "--seeds", str(seeds), "--jobs", "1"]
        start = time.perf_counter()
        subprocess.run([*command, "--results", folder], check=True, capture_output=True)
        wall = time.perf_counter() - start
        stages = ("fit_s", "encode_s", "evaluate_s")
        rows = cmrbench.results(folder, columns=["run_key", "total_s", *stages]).to_pylist()
    runs = {r["run_key"]: r for r in rows}.values()
    if seeds == 1:
        return [wall - sum(r[s] for s in stages) for r in runs]
    return [r["total_s"] - sum(r[s] for s in stages) for r in runs]


class PeakMemory(threading.Thread):
    """Samples the resident memory of a process and all it started."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.peak = 0

    def run(self) -> None:
        while True:
            try:
                total = 0
                for p in [self.process, *self.process.children(recursive=True)]:
                    try:
                        total += p.memory_full_info().pss
                    except psutil.Error:
                        continue
            except psutil.Error:
                return
            if total == 0:
                return
            self.peak = max(self.peak, total)
            time.sleep(0.1)


def suite() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        process = subprocess.Popen(
            [CMRBENCH, "run", "--suite", "quick", "--results", folder],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        memory = PeakMemory(process.pid)
        memory.start()
        code = process.wait()
        wall = time.perf_counter() - start
    if code:
        sys.exit(f"the quick suite ended with exit code {code}")
    return wall, memory.peak / 2**30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--skip-suite", action="store_true")
    options = parser.parse_args()
    subprocess.run([CMRBENCH, "--help"], check=True, capture_output=True)  # compile, warm the file cache
    rows: list[tuple[str, str, str, bool | None]] = []

    def add(what: str, value: float, unit: str, goal: float | None) -> None:
        reached = None if goal is None else value <= goal
        rows.append((what, f"{value:.2f} {unit}", "" if goal is None else f"<= {goal:g} {unit}", reached))

    ours, theirs = start_up(options.repeats)
    add("cmrbench --help", ours, "s", None)
    add("python -c 'import typer, rich'", theirs, "s", None)
    add("  ratio", ours / theirs, "x", GOALS["start"])
    for kind, method in (("numpy", "random"), ("torch", "dscmr")):
        add(
            f"overhead of a {kind} run ({method})",
            statistics.median(overhead(method, options.repeats + 1)),
            "s",
            GOALS[kind],
        )
        add(f"  a call of one {kind} run, start-up included", overhead(method, 1)[0], "s", None)
    if not options.skip_suite:
        wall, memory = suite()
        add("quick suite, wall", wall, "s", GOALS["suite seconds"])
        add("quick suite, peak memory (proportional set size)", memory, "GiB", GOALS["suite GiB"])
    table = Table("what", "measured", "goal", "", title=f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    for what, value, goal, reached in rows:
        table.add_row(what, value, goal, "" if reached is None else "met" if reached else "MISSED")
    Console().print(table)
    return 1 if any(reached is False for *_, reached in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
