"""`cmrbench data audit`: what is wrong, or worth knowing, about a dataset's splits, features, labels and texts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cmrbench.cli.console import print_json
from cmrbench.cli.data.app import FILES, JSON, MEASURED, app
from cmrbench.cli.data.output import print_tables, table
from cmrbench.core.errors import UsageError

if TYPE_CHECKING:
    from cmrbench.data.audit import Audit

_COLOURS = {"leak": "bold red", "problem": "yellow", "note": "dim"}


@app.command("audit")
def audit_command(
    name: str = MEASURED,
    sample: int | None = typer.Option(
        None,
        metavar="N",
        help="Items of each split that are searched for near-duplicates; 0: all. [default: 200000]",
    ),
    threshold: float = typer.Option(
        0.99, metavar="COSINE", help="Centred cosine from which rows are near-duplicates: 0.5 to below 1."
    ),
    no_save: bool = typer.Option(False, "--no-save", help="Keep no record in the cache folder."),
    as_markdown: bool = typer.Option(False, "--markdown", help="Print Markdown."),
    datasets_file: list[Path] = FILES,
    as_json: bool = JSON,
) -> None:
    """Look for leaks, copies and faults; exit code 1 for a leak.

    The result is kept in the cache folder: `cmrbench data info` shows it, and `cmrbench run` warns of a leak.
    docs/audit.md lists the checks.
    """
    from cmrbench.data import load_catalogue, load_dataset
    from cmrbench.data.audit import AuditOptions, audit_dataset
    from cmrbench.data.audit.stored import save_audit
    from cmrbench.data.audit.view import audit_markdown

    if as_json and as_markdown:
        raise UsageError("--json and --markdown exclude each other")
    try:
        options = AuditOptions(threshold, {None: AuditOptions.sample, 0: None}.get(sample, sample))
    except ValueError as error:
        raise UsageError(f"--{error}") from None
    dataset = load_dataset(name, catalogue=load_catalogue(datasets_file))
    with _progress() as watch:
        audit = audit_dataset(dataset, options, watch)
    path = None if no_save else save_audit(audit)
    if as_json:
        print_json(audit.as_json() | {"stored": str(path) if path else None})
    elif as_markdown:
        typer.echo(audit_markdown(audit), nl=False)
    else:
        _print(audit, path)
    if audit.leaks:
        raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Say on a terminal which check is being made; large data takes minutes."""
    if not sys.stderr.isatty():
        yield lambda check: None
        return
    from rich.console import Console

    with Console(stderr=True).status("audit") as status:
        yield lambda check: status.update(f"audit: {check}")


def _print(audit: Audit, path: Path | None) -> None:
    from rich.markup import escape

    from cmrbench.data.audit.view import lines, summary, unchecked_lines

    made = table("check", "where", "value", "severity", "detail")
    made.columns[1].no_wrap, made.columns[1].max_width = False, 24
    for line in lines(audit.findings):
        examples = f" ({line.examples[0]})" if line.examples and line.severity != "note" else ""
        made.add_row(
            escape(line.check),
            escape(line.where),
            escape(line.shown),
            f"[{_COLOURS[line.severity]}]{line.severity}[/]",
            escape(line.detail + examples),
        )
    print_tables(made)
    for left in unchecked_lines(audit.unchecked):
        typer.echo(f"not checked: {left}")
    typer.echo(summary(audit) + (f"; kept in {path}" if path else ""))
