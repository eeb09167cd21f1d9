"""`cmrbench published`: the ledger of the numbers that papers print."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from cmrbench.cli.console import console, write_output
from cmrbench.cli.parsing import (
    all_names,
    complete_datasets,
    complete_papers,
    complete_published_methods,
    complete_published_tables,
    known_format,
)
from cmrbench.core.errors import CmrbenchError, UnknownNameError

_FORMATS = ("text", "md", "csv", "json")


def published_command(
    method: list[str] = typer.Option(
        [],
        metavar="NAME,...",
        help="Only these methods, registered or as printed (DSCMR, 2S-DSCMR).",
        autocompletion=complete_published_methods,
    ),
    dataset: list[str] = typer.Option(
        [], metavar="NAME,...", help="Only these datasets.", autocompletion=complete_datasets
    ),
    paper: list[str] = typer.Option(
        [], metavar="NAME,...", help="Only these papers: survey, lcm, drcl.", autocompletion=complete_papers
    ),
    table: list[str] = typer.Option(
        [],
        metavar="NAME,...",
        help="Only these tables: 2 or VII, or with the paper, lcm2.",
        autocompletion=complete_published_tables,
    ),
    everything: bool = typer.Option(False, "--all", help="Every number, where nothing is named."),
    format: str | None = typer.Option(
        None,
        "--format",
        help="text, md, csv or json. [default: text on a terminal, else md]",
        autocompletion=lambda: list(_FORMATS),
    ),
    output: Path | None = typer.Option(None, "--output", "-o", metavar="FILE", help="Write to this file."),
    as_json: bool = typer.Option(False, "--json", help="The same as --format json."),
) -> None:
    """Print the numbers that papers print, with what is known to be wrong or contradicted.

    Without a method, dataset, paper or table: an overview. CSV always has every number.
    """
    asked_for = known_format(format, as_json, _FORMATS)
    from cmrbench.cli import published_output
    from cmrbench.published.ledger import ledger, narrowed
    from cmrbench.published.overview import overview

    shown = asked_for or ("text" if output is None and sys.stdout.isatty() else "md")
    named = {
        "methods": all_names(method, "--method"),
        "datasets": tuple(map(_dataset, all_names(dataset, "--dataset"))),
        "papers": all_names(paper, "--paper"),
        "tables": all_names(table, "--table"),
    }
    if not any(named.values()) and not everything and shown != "csv":
        if shown == "text" and output is None:
            published_output.print_overview(console(), overview())
        else:
            write_output(published_output.overview_document(overview(), shown), output)
        return
    try:
        entries = narrowed(*named.values()) if any(named.values()) else ledger()
    except UnknownNameError as error:
        if error.kind != "method" or not _is_registered(error.name):
            raise
        entries = ()
    if not entries:
        asked = " ".join(f"--{k.removesuffix('s')} {','.join(v)}" for k, v in named.items() if v)
        raise CmrbenchError(f"no number is printed for {asked}; `cmrbench published` says what there is")
    if shown == "text" and output is None:
        published_output.print_entries(console(), entries)
    else:
        write_output(published_output.document(entries, shown), output)


def _is_registered(name: str) -> bool:
    from cmrbench.registry import load_methods

    return name in load_methods().names()


def _dataset(name: str) -> str:
    """The registered name of a dataset that is typed by name, alias or as a table's heading."""
    from cmrbench.data import load_catalogue
    from cmrbench.published.ledger import plain_name, printed_datasets

    catalogue = load_catalogue()
    try:
        found = catalogue.resolve(name)
    except UnknownNameError:
        headed = printed_datasets().get(plain_name(name))
        if headed is None:
            raise
        return headed
    if note := catalogue.note(name):
        typer.echo(f"note: {note}", err=True)
    return found
