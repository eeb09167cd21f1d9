"""`cmrbench gate`: fail when mAP drops, or when something that was measured once is no longer measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cmrbench.cli.console import console
from cmrbench.cli.parsing import complete_datasets, complete_methods, metric_name, names

if TYPE_CHECKING:
    import pyarrow as pa

    from cmrbench.gate import Change, GateReport, Selection

_MOST_NEW = 20


def gate_command(
    baseline: Path = typer.Option(Path("results/baseline.parquet"), help="The baseline file."),
    results: Path = typer.Option(Path("results"), help="The results folder."),
    max_drop: float = typer.Option(
        0.005, help="The largest drop of a metric (of a rank such as MedR: the largest rise) that passes."
    ),
    update: bool = typer.Option(False, "--update", help="Rewrite the baseline from the results."),
    methods: str | None = typer.Option(
        None, help="Only these methods, separated by commas.", autocompletion=complete_methods
    ),
    datasets: str | None = typer.Option(
        None, help="Only these datasets, separated by commas.", autocompletion=complete_datasets
    ),
    metric: list[str] = typer.Option(
        [], metavar="NAME", help="Only this metric; may be given several times. [default: every mAP]"
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON on standard output."),
) -> None:
    """Compare the results with a baseline; exit 1 on a drop beyond the tolerance or a missing row, 2 on bad input."""
    from cmrbench import gate
    from cmrbench.store.store import Store

    select = gate.Selection(names(methods, "--methods"), names(datasets, "--datasets"), tuple(map(metric_name, metric)))
    if update:
        _update(Store(results).table(columns=list(gate.COLUMNS)), baseline, select, as_json)
        return
    expected = gate.read_baseline(baseline)
    report = gate.compare(Store(results).table(columns=list(gate.COLUMNS)), expected, max_drop, select)
    if as_json:
        _print_json(_as_dict(report))
    else:
        _print_report(report, baseline)
    if not report.passed:
        raise typer.Exit(1)


def _update(table: pa.Table, path: Path, select: Selection, as_json: bool) -> None:
    from cmrbench.gate import baseline_of, write_baseline

    made, update = baseline_of(table, select)
    write_baseline(made, path)
    if as_json:
        left_out = [{"asked": _asked(row), "cause": cause} for row, cause in update.left_out]
        _print_json({"baseline": str(path), "rows": update.rows, "left_out": left_out})
        return
    for row, cause in update.left_out:
        typer.echo(f"warning: {_run_title(row)} is not in the baseline: {cause}", err=True)
    typer.echo(f"{path}: {update.rows} rows")


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def _as_dict(report: GateReport) -> dict[str, Any]:
    changes = [
        {
            "kind": c.kind,
            **_asked(c.asked),
            "direction": c.asked["direction"],
            "before": c.before,
            "now": c.now,
            "cause": c.cause,
        }
        for c in report.changes
    ]
    return {"passed": report.passed, "max_drop": report.max_drop, "changes": changes}


def _asked(row: Any) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name in _ASKED}


_ASKED = (
    *("dataset", "feature_set", "method", "preset", "params", "dim", "bits", "seed", "protocol"),
    *("protocol_fingerprint", "gallery_codes", "retrieval", "metric", "spec_key"),
)


def _print_report(report: GateReport, baseline: Path) -> None:
    from rich.text import Text

    out = console()
    new = report.of("new")
    shown = [c for kind in ("drop", "missing", "lower", "rise") for c in report.of(kind)] + new[:_MOST_NEW]
    causes = {text: i for i, text in enumerate(dict.fromkeys(c.cause for c in shown if c.cause), start=1)}
    if shown:
        out.print(_table(shown, causes))
    for text, i in causes.items():
        out.print(Text(f"[{i}] {text}"))
    if len(new) > _MOST_NEW:
        out.print(Text(f"... and {len(new) - _MOST_NEW} more new values (--json lists all)"))
    counts = ", ".join(f"{len(report.of(kind))} {word}" for kind, word in _WORDS.items())
    verdict = "passed" if report.passed else "failed"
    out.print(Text(f"gate {verdict} against {baseline}: {counts}"), soft_wrap=True)


_WORDS = {
    "drop": "dropped",
    "missing": "missing",
    "lower": "lower within the tolerance",
    "rise": "risen",
    "same": "unchanged",
    "new": "new",
}
_STYLES = {"drop": "bold red", "missing": "bold red", "lower": "yellow", "rise": "green", "new": "dim"}


def _table(changes: Sequence[Change], causes: Mapping[str, int]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from cmrbench.report.wording import plain

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
    table.add_column("Change", no_wrap=True)
    for head in ("Run", "Measured"):
        table.add_column(head, overflow="fold")
    for head in ("Before", "Now", "Difference"):
        table.add_column(head, justify="right", no_wrap=True)
    for c in changes:
        asked = c.asked
        kind = f"{c.kind} [{causes[c.cause]}]" if c.cause else c.kind
        learned = ", learned codes" if asked["gallery_codes"] == "learned" else ""
        better = " (smaller is better)" if c.smaller_is_better else ""
        measured = f"{asked['direction']} {asked['metric']}{better}, {asked['protocol']}, {asked['retrieval']}{learned}"
        numbers = [_number(c.before), _number(c.now), "" if c.difference is None else f"{c.difference:+.4f}"]
        texts = [_run_title(asked), plain(measured), *numbers]
        table.add_row(Text(kind, style=_STYLES[c.kind]), *map(Text, texts))
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _run_title(row: Any) -> str:
    from cmrbench.core.names import with_features
    from cmrbench.report.wording import plain, setting

    what = setting(row["params"], row["preset"], row["dim"])
    bits = f"{row['bits']} bits" if row["bits"] else ""
    where = with_features(row["dataset"], row["feature_set"])
    named = " ".join(part for part in (row["method"], what, bits) if part)
    return plain(f"{named} on {where}, seed {row['seed']}")
