"""`cmrbench report`: the leaderboards of a results folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cmrbench.cli.console import console, write_output
from cmrbench.cli.parsing import complete_datasets, metric_name, names
from cmrbench.core.errors import CmrbenchError, UnknownNameError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

_FORMATS = ("md", "csv", "tex", "html", "json", "text")


def report_command(
    results: Path = typer.Option(Path("results"), help="The results folder."),
    format: str | None = typer.Option(
        None,
        "--format",
        help="md, csv, tex, html, json or text. [default: text on a terminal, else md]",
        autocompletion=lambda: list(_FORMATS),
    ),
    dataset: list[str] = typer.Option(
        [],
        metavar="NAME,...",
        help="Only these datasets, separated by commas or given several times.",
        autocompletion=complete_datasets,
    ),
    metric: str | None = typer.Option(None, help="This metric instead of the headline (mAP@all)."),
    all_metrics: bool = typer.Option(False, "--all-metrics", help="A table for every metric."),
    span: bool = typer.Option(
        False,
        "--span",
        help="Behind each number of hash codes, what it would be under the worst and the best order of tied items.",
    ),
    table: str | None = typer.Option(
        None,
        "--table",
        help="A table of hashing methods: VII (unsupervised, mAP@50), VIII (supervised, mAP@500), IX (seconds), "
        "codes (balance, correlation, ties).",
    ),
    output: Path | None = typer.Option(None, "--output", "-o", help="Write to this file."),
    as_json: bool = typer.Option(False, "--json", help="The same as --format json."),
) -> None:
    """Print the leaderboards of everything in the results folder."""
    if as_json and format not in (None, "json"):
        raise UsageError(f"--json and --format {format} exclude each other: give one of them")
    if metric is not None and all_metrics:
        raise UsageError("--metric and --all-metrics exclude each other: give one of them")
    if format is not None and format not in _FORMATS:
        raise UnknownNameError("format", format, _FORMATS)
    if table is not None and (metric is not None or all_metrics or span):
        raise UsageError(f"--table {table} has its own metric: leave out --metric, --all-metrics and --span")
    from cmrbench.report import TABLE_COLUMNS, leaderboards, named_table, render

    found = read_results(results, TABLE_COLUMNS if table else None)
    wanted = [name for given in dataset for name in names(given, "--dataset")]
    if table is not None:
        boards = named_table(found, table, wanted)
        if not boards:
            raise CmrbenchError(f"{results} holds no results of hashing methods for table {table}")
    else:
        boards = leaderboards(found, wanted, metric_name(metric) if metric else None, all_metrics, spans=span)
    if format is None and not as_json and output is None and sys.stdout.isatty():
        from cmrbench.report.terminal import print_boards

        print_boards(console(least=0), boards)
        return
    write_output(render(boards, "json" if as_json else format or "md"), output)


def read_results(results: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The columns of the store that a leaderboard needs, or those that are named.

    Raises
    ------
    CmrbenchError
        If the folder holds no results (exit code 1).
    """
    from cmrbench.report import COLUMNS
    from cmrbench.store.store import Store

    table = Store(results).table(columns=list(columns or COLUMNS))
    if not table.num_rows:
        raise CmrbenchError(f"{results} holds no results yet: make some with `cmrbench run --results {results}`")
    return table
