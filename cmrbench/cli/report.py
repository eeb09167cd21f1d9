"""``cmrbench report``: the leaderboards of a results folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cmrbench.core.errors import CmrbenchError, UnknownNameError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

_FORMATS = ("md", "csv", "html", "latex", "json", "text")


def report_command(
    results: Annotated[Path, typer.Option(help="Results folder.")] = Path("results"),
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="md, csv, html, latex, json or text. Default: text on a terminal, else md.",
            autocompletion=lambda: list(_FORMATS),
        ),
    ] = None,
    dataset: Annotated[
        list[str] | None, typer.Option(help="Only this dataset (repeat, or separate by commas).")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="This metric instead of the headline (mAP@all).")] = None,
    all_metrics: Annotated[bool, typer.Option("--all-metrics", help="A table for every metric.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Print the leaderboards of everything in the results folder."""
    if json and format not in (None, "json"):
        raise UsageError(f"--json and --format {format} exclude each other: give one of them")
    if metric is not None and all_metrics:
        raise UsageError("--metric and --all-metrics exclude each other: give one of them")
    if format is not None and format not in _FORMATS:
        raise UnknownNameError("format", format, _FORMATS)
    from cmrbench.report import leaderboards, render

    table = read_results(results)
    names = [name.strip() for given in dataset or [] for name in given.split(",") if name.strip()]
    boards = leaderboards(table, names, metric, all_metrics)
    if format is None and not json and output is None and sys.stdout.isatty():
        from rich.console import Console

        from cmrbench.report.terminal import print_boards

        print_boards(Console(), boards)
        return
    _write(render(boards, "json" if json else format or "md"), output)


def read_results(results: Path) -> pa.Table:
    """The columns of the store that a leaderboard needs.

    Raises
    ------
    CmrbenchError
        If the folder holds no results (exit code 1).
    """
    from cmrbench.report import COLUMNS
    from cmrbench.store.store import Store

    table = Store(results).table(columns=list(COLUMNS))
    if not table.num_rows:
        raise CmrbenchError(f"{results} holds no results yet: make some with `cmrbench run --results {results}`")
    return table


def _write(text: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--output {output} cannot be written: {error.strerror or error}") from error
