"""What reports cost: leaderboards of a store of 20,000 runs with 100 million values of single queries.

    python -m benchmarks.report --folder FOLDER          # from the checkout's root, on an otherwise idle machine
    python -m benchmarks.report --folder FOLDER --methods 5 --repeats 1      # a trial

The store is generated (benchmarks/report_store.py) and kept in FOLDER for the next time. Every command is a process of
its own, as a user runs it; its seconds and its peak of resident memory are those of that process.

(a) `cmrbench report` with the index of the store in place, and one that has to make it first;
(b) `cmrbench report --table VIII`;
(c) peers in the same session, in turn with (a): the columns of a leaderboard of all runs, and the values of queries
    of one metric, by pyarrow.dataset from the same files, with nothing done to them.

Prints one table; exits 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.report_store import METRICS, Size, results_folder

CMRBENCH = shutil.which("cmrbench", path=str(Path(sys.executable).parent)) or "cmrbench"
GOALS = {"seconds": 10.0, "GiB": 1.0}

PEER = """
import sys
from pathlib import Path
import pyarrow.compute as pc
import pyarrow.dataset as ds
from cmrbench.report import COLUMNS
from cmrbench.store.schema import SCHEMA
files = sorted(str(p) for p in Path(sys.argv[1]).glob("[!.]*.parquet"))
found = ds.dataset(files, schema=SCHEMA, format="parquet")
found.to_table(columns=list(dict.fromkeys(COLUMNS)))
values = 0
for batch in found.to_batches(columns=["run_key", "per_query"], filter=pc.field("metric") == sys.argv[2]):
    values += pc.sum(pc.list_value_length(batch.column("per_query"))).as_py() or 0
print(len(files), values)
"""


@dataclass(frozen=True)
class Cost:
    """Wall seconds, CPU seconds and peak resident memory in bytes of a process."""

    seconds: float
    cpu: float
    peak: int


@dataclass(frozen=True)
class Line:
    """One measured figure; `goal` None: there is none."""

    what: str
    value: float
    unit: str
    goal: float | None = None

    @property
    def reached(self) -> bool | None:
        return None if self.goal is None else self.value <= self.goal


def cost(command: list[str]) -> Cost:
    """Run a command and measure its process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with exit code {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def middle(costs: list[Cost]) -> Cost:
    """Medians of the times, largest of the peaks."""
    return Cost(
        statistics.median(c.seconds for c in costs), statistics.median(c.cpu for c in costs), max(c.peak for c in costs)
    )


def lines(what: str, measured: Cost, goals: bool = True) -> list[Line]:
    return [
        Line(what, measured.seconds, "s", GOALS["seconds"] if goals else None),
        Line("  CPU", measured.cpu, "s"),
        Line("  peak resident memory", measured.peak / 2**30, "GiB", GOALS["GiB"] if goals else None),
    ]


def measure(folder: Path, repeats: int) -> list[Line]:
    report = [CMRBENCH, "report", "--results", str(folder)]
    index = folder / "runs" / ".index.parquet"
    index.unlink(missing_ok=True)
    cold = cost(report)
    warm, table, peer = [], [], []
    for _ in range(repeats):
        warm.append(cost(report))
        peer.append(cost([sys.executable, "-c", PEER, str(folder / "runs"), METRICS[0]]))
        table.append(cost([*report, "--table", "VIII"]))
    ratio = middle(peer).seconds / middle(warm).seconds
    return [
        *lines("cmrbench report", middle(warm)),
        *lines("cmrbench report, index to be made", cold, goals=False),
        Line("  index", index.stat().st_size / 2**20, "MiB"),
        *lines("cmrbench report --table VIII", middle(table)),
        *lines("pyarrow.dataset, reading alone", middle(peer), goals=False),
        Line("  ratio", ratio, "x"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where the store is made and kept (1.5 GB)")
    parser.add_argument("--methods", type=int, default=Size.methods)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    size = Size(methods=options.methods)
    start = time.perf_counter()
    folder = results_folder(options.folder, size, os.cpu_count() or 1)
    made = time.perf_counter() - start
    found = [Line(f"{size.runs:,} runs, {size.values:,} values: made in", made, "s"), *measure(folder, options.repeats)]
    if options.json:
        options.json.write_text(json.dumps([asdict(line) for line in found], indent=1) + "\n")
    load = os.getloadavg()[0]
    title = f"{os.cpu_count()} cores, load {load:.1f}, Python {sys.version.split()[0]}"
    table = Table("what", "measured", "goal", "", title=title)
    for line in found:
        goal = "" if line.goal is None else f"<= {line.goal:g} {line.unit}"
        state = "" if line.reached is None else "met" if line.reached else "MISSED"
        table.add_row(line.what, f"{line.value:,.2f} {line.unit}", goal, state)
    Console().print(table)
    return 1 if any(line.reached is False for line in found) else 0


if __name__ == "__main__":
    sys.exit(main())
