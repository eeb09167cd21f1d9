"""What stands on top of the page and at its end: how much was measured, what failed, on what, and how to repeat it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from cmrbench.core.names import with_features
from cmrbench.core.runs import STATUSES
from cmrbench.report.site import texts
from cmrbench.report.site.runs import title_of
from cmrbench.report.wording import outcome, plain

RowDict = dict[str, Any]

MOST_FAILURES = 200
MOST_COMMANDS = 60
_MACHINE = ("processor", "cores", "threads", "device", "system")


def summary(runs: Sequence[RowDict], pages: Collection[str]) -> dict[str, Any]:
    """What the page says about the runs as a whole.

    Parameters
    ----------
    runs : sequence of dict
        As `collect.runs_of` gives them.
    pages : collection of str
        Run keys that have a page.

    Returns
    -------
    dict
        Plain texts and numbers for the template.
    """
    statuses = Counter(run["status"] or "?" for run in runs)
    ended = sorted(statuses, key=lambda s: STATUSES.index(s) if s in STATUSES else len(STATUSES))
    dates = sorted(day for run in runs if (day := plain(run["created"] or "")[:10]))
    failed = [run for run in runs if run["status"] != "done"]
    return {
        "runs": len(runs),
        "methods": len({run["method"] for run in runs}),
        "datasets": sorted({plain(with_features(run["dataset"] or "?", run["feature_set"] or "")) for run in runs}),
        "seeds": len({run["seed"] for run in runs}),
        "bits": sorted({run["bits"] for run in runs if run["bits"] is not None}),
        "statuses": [(plain(status), statuses[status]) for status in ended],
        "first": dates[0] if dates else "—",
        "last": dates[-1] if dates else "—",
        "seconds": texts.seconds(sum(run["fit_s"] or 0.0 for run in runs)),
        "failures": [_failure(run, pages) for run in failed[:MOST_FAILURES]],
        "more_failures": max(0, len(failed) - MOST_FAILURES),
        "versions": _versions(runs),
        "machines": _machines(runs),
        "commands": commands(runs),
    }


def _failure(run: RowDict, pages: Collection[str]) -> dict[str, str]:
    key = run["run_key"]
    return {
        "title": title_of(run),
        "what": outcome(run["status"] or "?", run["cause"]),
        "page": f"runs/{key}.html" if key in pages else "",
    }


def _versions(runs: Iterable[RowDict]) -> list[tuple[str, str]]:
    """Every version of the software that the runs name, the one of most runs first."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for run in runs:
        for name, value in run["environment"].items():
            if name not in _MACHINE:
                found[plain(name)][plain(value)] += 1
    return [(name, ", ".join(value for value, _ in counts.most_common())) for name, counts in found.items()]


def _machines(runs: Iterable[RowDict]) -> list[tuple[str, int]]:
    counts = Counter(
        "; ".join(
            f"{part} {plain(run['environment'][part])}" if part in ("cores", "threads", "device") else value
            for part in _MACHINE
            if (value := plain(run["environment"].get(part, "")))
        )
        for run in runs
    )
    return [(machine or "unknown", runs_there) for machine, runs_there in counts.most_common(20)]


def commands(runs: Iterable[RowDict]) -> list[str]:
    """The `cmrbench run` commands that ask for all of the runs, at most `MOST_COMMANDS`."""
    grids: dict[tuple[Any, ...], list[RowDict]] = defaultdict(list)
    for run in runs:
        own = run["method"] if run["params"] not in (None, "", "{}") else ""
        output = "hash" if run["bits"] is not None else "real"
        where = (run["dataset"] or "", run["feature_set"] or "")
        grids[where, output, run["preset"] or "", run["params"] or "", run["dim"] or 0, own].append(run)
    merged: dict[tuple[Any, ...], list[tuple[str, RowDict]]] = defaultdict(list)
    for listed in grids.values():
        by_shape: dict[tuple[str, int], list[str]] = defaultdict(list)
        for method in sorted({run["method"] or "?" for run in listed}):
            mine = [run for run in listed if (run["method"] or "?") == method]
            bits = ",".join(str(b) for b in sorted({run["bits"] for run in mine if run["bits"] is not None}))
            by_shape[bits, max(run["seed"] or 0 for run in mine) + 1].append(method)
        example = listed[0]
        for shape, methods in by_shape.items():
            merged[(*shape, example["dataset"], example["feature_set"])].append((",".join(methods), example))
    made = [
        texts.run_command(example, methods, bits, seeds)
        for (bits, seeds, _, _), asked in sorted(merged.items(), key=lambda item: str(item[0]))
        for methods, example in asked
    ]
    if len(made) > MOST_COMMANDS:
        return [*made[:MOST_COMMANDS], f"# {len(made) - MOST_COMMANDS} more commands: see the pages of the runs"]
    return made
