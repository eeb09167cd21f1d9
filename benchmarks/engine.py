"""The evaluation engine against what the field uses, and against the machine.

    python -m benchmarks.engine [--only W1,W3,limits] [--repeats 5] [--queries N] [--peer-queries N] [--json FILE]
                                [--markdown FILE]

W1-W5: the engine and each peer in turn (A B A B) in this process, CPU seconds of one thread, medians. Slow peers are
timed on one query and on some of the queries, and extrapolated in a straight line to all of them; the engine always
answers all. Every peer's value stands beside the engine's under the same definition for the same queries.
Groups beyond the workloads: limits, memory, threads, start, also (what has no peer), cuda.

Prints one table; exits 1 when a goal is missed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks import workloads
from benchmarks.limits import GROUPS, NOT_MEASURED, Row, Settings, engine, repeated, warm_up
from benchmarks.measuring import Measured, alternate, measured, numerical_threads
from benchmarks.peers import PEERS, Peer
from benchmarks.workloads import Workload

AT_LEAST = {
    "W1": {"DSCMR loop": 15, "numpy, vectorised": 1, "torchmetrics": 5},
    "W2": {"DRCL loop": 12, "numpy, vectorised": 2.5, "torchmetrics": 10},
    "W3": {"DCMH loop": 50, "numpy, vectorised": 40, "torchmetrics": 250},
    "W4": {"DCMH loop": 60, "numpy, vectorised": 60, "faiss IndexBinaryFlat": 1.5},
    "W5": {"DRCL loop": 15, "numpy, vectorised": 4, "torch, vectorised": 7, "torchmetrics": 12, "engine, @all": 1.7},
}
"""Seconds of the peer over seconds of the engine: the goals."""

LIBRARIES = ("numpy", "numba", "torch", "scipy", "scikit-learn", "torchmetrics", "ir_measures", "faiss-cpu")


def against_peers(name: str, settings: Settings, peer_queries: int | None) -> Iterator[Row]:
    """The rows of one workload: the engine, then every peer with the ratio to it."""
    w = workloads.make(name, settings.queries)
    for metrics in (["mAP@all", "mAP@50"], ["mAP@50"]):
        warm_up(w, metrics)
    ours = repeated(w, settings)
    yield Row(name, "engine", ours.seconds, 1.0, ours.peak_mb, _values(ours.value.values), note=_size(w))
    if name == "W5":
        yield _cut_off_against_all(w, settings)
    for peer in PEERS[name]:
        yield _against(peer, w, settings, peer_queries)


def _against(peer: Peer, w: Workload, settings: Settings, peer_queries: int | None) -> Row:
    aim = AT_LEAST[w.name].get(peer.name)
    goal = "" if aim is None else f">= {aim:g}x"
    if not peer.installed:
        note = f"{peer.needs} is not installed: pip install 'cmrbench[bench]'"
        return Row(w.name, peer.name, value=NOT_MEASURED, goal=goal, note=note)
    some = min(peer_queries or peer.queries or w.n_query, w.n_query)
    metrics = peer.metrics or w.metrics
    peer.run(w.first(2))  # imports and first-use set-up are no part of the peer's work
    with numerical_threads(1):  # again: the peer's library may have brought its own threads
        ours, theirs = alternate(
            lambda: measured(lambda: engine(w, metrics)), lambda: all_queries(peer, w, some), settings.repeats
        )
    ratio = theirs.seconds / ours.seconds
    same = engine(w.first(some), list(theirs.value)).values
    notes = [f"from {some} queries"] if some < w.n_query else []
    notes += [f"engine {_values(same)}"] + ([peer.note] if peer.note else [])
    met = None if aim is None else ratio >= aim
    value = _values(theirs.value)
    return Row(w.name, peer.name, theirs.seconds, ratio, theirs.peak_mb, value, goal, met, "; ".join(notes))


def all_queries(peer: Peer, w: Workload, some: int) -> Measured:
    """A peer's seconds for all queries, from those for one query and for `some`."""
    if some >= w.n_query or some < 2:
        return measured(lambda: peer.run(w))
    one = measured(lambda: peer.run(w.first(1)))
    part = measured(lambda: peer.run(w.first(some)))
    each = max(0.0, part.seconds - one.seconds) / (some - 1)
    return Measured(one.seconds + each * (w.n_query - 1), part.peak_mb, part.value)


def _cut_off_against_all(w: Workload, settings: Settings) -> Row:
    """The engine's mAP@50 alone against its own mAP@all."""
    cut, full = alternate(
        lambda: measured(lambda: engine(w, ["mAP@50"])), lambda: measured(lambda: engine(w)), settings.repeats
    )
    ratio, aim = full.seconds / cut.seconds, AT_LEAST[w.name]["engine, @all"]
    value = _values(cut.value.values)
    note = "ratio: seconds of mAP@all over these"
    return Row(w.name, "engine, @50 alone", cut.seconds, ratio, cut.peak_mb, value, f">= {aim:g}x", ratio >= aim, note)


def _values(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.5f}" for name, value in values.items())


def _size(w: Workload) -> str:
    return f"{w.kind}, {w.n_query:,} x {w.n_gallery:,}, d = {w.query.shape[1]}, {w.inputs_mb:.0f} MB of inputs"


def machine() -> str:
    """Processor, Python and the versions of the libraries that are compared."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = models[0] if models else processor
    parts = [f"{os.cpu_count()} x {processor}", f"Python {platform.python_version()}"]
    for library in LIBRARIES:
        try:
            parts.append(f"{library} {importlib.metadata.version(library)}")
        except importlib.metadata.PackageNotFoundError:
            parts.append(f"no {library}")
    return ", ".join(parts)


HEADERS = ("workload", "implementation", "seconds", "ratio", "peak MB", "value", "goal", "met", "note")
NUMBERS = ("seconds", "ratio", "peak MB")


def cells(row: Row) -> tuple[str, ...]:
    """What the table says in a row, under `HEADERS`."""
    return (
        row.workload,
        row.implementation,
        "" if row.seconds is None else f"{row.seconds:.3f}",
        "" if row.ratio is None else f"{row.ratio:.2f}",
        "" if row.peak_mb is None else f"{row.peak_mb:.0f}",
        row.value,
        row.goal,
        {True: "yes", False: "MISSED", None: NOT_MEASURED if row.goal else ""}[row.met],
        row.note,
    )


def table(rows: list[Row]) -> Table:
    made = Table(title="The evaluation engine", caption=machine())
    for header in HEADERS:
        made.add_column(header, justify="right" if header in NUMBERS else "left")
    for row in rows:
        made.add_row(*map(escape, cells(row)))
    return made


def markdown(rows: list[Row]) -> str:
    """The table as Markdown."""
    lines = [HEADERS, ["--:" if header in NUMBERS else "---" for header in HEADERS]]
    lines += [cells(row) for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 up, got {number}")
    return number


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [*workloads.SHAPES, *GROUPS]
    parser.add_argument("--only", default=",".join(known), help="groups, separated by commas")
    parser.add_argument("--repeats", type=positive, default=5)
    parser.add_argument("--queries", type=positive, help="at most so many queries, for a trial; goals are for all")
    parser.add_argument("--peer-queries", type=positive, help="queries that every peer is timed on")
    parser.add_argument("--json", type=Path, help="write the rows into this file too")
    parser.add_argument("--markdown", type=Path, help="write the table into this file too")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := [name for name in chosen if name not in known]:
        parser.error(f"--only: {unknown[0]!r} is none of {', '.join(known)}")
    settings = Settings(options.repeats, options.queries)
    rows: list[Row] = []
    progress = Console(stderr=True)
    with numerical_threads(1):
        for name in chosen:
            group = GROUPS[name](settings) if name in GROUPS else against_peers(name, settings, options.peer_queries)
            for row in group:
                progress.print(f"{row.workload}: {row.implementation}", highlight=False, markup=False)
                rows.append(row)
    Console(width=None if sys.stdout.isatty() else 220).print(table(rows))
    if options.json:
        found = {"machine": machine(), "settings": asdict(settings), "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(markdown(rows))
    missed = [row for row in rows if row.met is False]
    print(f"{sum(row.met is True for row in rows)} goals met, {len(missed)} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
