"""`cmrbench report`: the leaderboards of a results folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cmrbench.cli.console import console, write_output
from cmrbench.cli.parsing import all_names, complete_datasets, complete_tables, known_format, metric_name, names
from cmrbench.core.errors import CmrbenchError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from cmrbench.report import Leaderboard
    from cmrbench.store.store import Store

_FORMATS = ("md", "csv", "tex", "html", "json", "text")
_HEADLINES = "leaderboards"


def report_command(
    results: Path = typer.Option(Path("results"), help="The results folder."),
    format: str | None = typer.Option(
        None,
        "--format",
        metavar="NAME,...",
        help="md, csv, tex, html, json or text; several need a folder as --output. "
        "[default: text on a terminal, else md]",
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
        help="A paper's table: V, VI, VII, VIII or IX of the survey, lcm2, lcm3, lcm5, drcl2, drcl3; codes (balance, "
        "correlation, ties of hash codes); or all.",
        autocompletion=complete_tables,
    ),
    published: bool = typer.Option(
        False, "--published", help="With --table: the published numbers beside ours, and the differences."
    ),
    protocol: str | None = typer.Option(None, help="With --table: only results under this protocol."),
    watch: bool = typer.Option(False, "--watch", help="Follow a running benchmark on the terminal until Ctrl-C."),
    html: Path | None = typer.Option(
        None, "--html", metavar="DIR", help="Write a page with tables, charts and a gallery, and a page for every run."
    ),
    open_: bool = typer.Option(False, "--open", help="The same page, opened in the browser; see --html."),
    output: Path | None = typer.Option(
        None, "--output", "-o", help="Write to this file; a folder gets one file for each table and format."
    ),
    as_json: bool = typer.Option(False, "--json", help="The same as --format json."),
) -> None:
    """Print the leaderboards of everything in the results folder."""
    if html is not None or open_:
        from cmrbench.cli.site import write_site

        if format or as_json or table or metric or all_metrics or span or published or protocol or watch or output:
            raise UsageError("--html and --open make a page of everything: only --results and --dataset go with them")
        write_site(results, html, list(all_names(dataset, "--dataset")), opened=open_)
        return
    formats = _formats(format, as_json)
    if len(formats) > 1 and output is None:
        raise UsageError(
            f"--format {','.join(formats)}: several formats need a folder for their files, --output FOLDER"
        )
    if metric is not None and all_metrics:
        raise UsageError("--metric and --all-metrics exclude each other: give one of them")
    if table is not None and (metric is not None or all_metrics or span):
        raise UsageError(f"--table {table} has its own metric: leave out --metric, --all-metrics and --span")
    if table is None and (published or protocol is not None):
        raise UsageError("--published and --protocol are for the papers' tables: name one with --table, or --table all")
    from cmrbench.report.ranking import tested
    from cmrbench.store.store import Store

    wanted = all_names(dataset, "--dataset")
    store = Store(results)

    def make(found: pa.Table) -> dict[str, list[Leaderboard]]:
        if table is not None:
            made = _tables(found, table, published=published, protocol=protocol, datasets=wanted)
        else:
            from cmrbench.report import leaderboards

            shown = metric_name(metric) if metric else None
            made = {_HEADLINES: leaderboards(found, wanted, shown, all_metrics, spans=span)}
        return {name: tested(boards, store) for name, boards in made.items()}

    columns = _columns(table)
    if watch:
        if formats or output is not None:
            raise UsageError("--watch shows tables on the terminal: leave out --format, --json and --output")
        _watch(store, columns, make)
        return
    made = make(read_results(results, columns, may_be_empty=published))
    if table is not None and not any(made.values()):
        more = "" if published or table == "codes" else "; --published prints what the paper has"
        under = f" under protocol {protocol}" if protocol is not None else ""
        raise CmrbenchError(f"{results} holds no results for table {table}{under}{more}")
    _show(made, formats, output)


def _formats(format: str | None, as_json: bool) -> tuple[str, ...]:
    """The formats that were asked for; none where the output decides."""
    several = [format] if as_json else names(format, "--format")
    return tuple(filter(None, dict.fromkeys(known_format(one, as_json, _FORMATS) for one in several)))


def _columns(table: str | None) -> Sequence[str]:
    from cmrbench.report import COLUMNS, TABLE_COLUMNS

    return COLUMNS if table is None else TABLE_COLUMNS


def _tables(
    found: pa.Table, table: str, *, published: bool, protocol: str | None, datasets: Sequence[str]
) -> dict[str, list[Leaderboard]]:
    """The named tables by the stem of their files' names."""
    from cmrbench.registry import load_methods
    from cmrbench.report import Wish, named_tables

    wish = Wish(published=published, protocol=protocol, datasets=datasets, registered=load_methods().names())
    return {f"table_{name}": boards for name, boards in named_tables(found, table, wish).items()}


def _show(made: Mapping[str, Sequence[Leaderboard]], formats: Sequence[str], output: Path | None) -> None:
    """Print the tables, or write them to a file or a folder."""
    from cmrbench.report import render, write_documents

    if len(formats) > 1 and output is None:
        raise UsageError(
            f"--format {','.join(formats)}: several formats need a folder for their files, --output FOLDER"
        )
    if output is not None and (len(formats) > 1 or output.is_dir()):
        for path in write_documents(made, formats or ("md",), output):
            typer.echo(path)
        return
    boards = [board for listed in made.values() for board in listed]
    if not formats and output is None and sys.stdout.isatty():
        from cmrbench.report.terminal import print_boards

        print_boards(console(least=0), boards)
        return
    write_output(render(boards, formats[0] if formats else "md"), output)


def _watch(store: Store, columns: Sequence[str], make: Callable[[pa.Table], Mapping[str, list[Leaderboard]]]) -> None:
    if not sys.stdout.isatty():
        raise UsageError("--watch needs a terminal, and the output is none: leave it out to print the tables once")
    from cmrbench.report.watch import Follower, follow

    def boards(found: pa.Table) -> list[Leaderboard]:
        return [board for listed in make(found).values() for board in listed]

    follow(console(least=0), Follower(store, columns, boards))


def read_results(results: Path, columns: Sequence[str] | None = None, may_be_empty: bool = False) -> pa.Table:
    """The columns of the store that a leaderboard needs, or those that are named.

    Warns of what makes the results doubtful (`cmrbench.report.faults`), and leaves out what may not share a number.

    Raises
    ------
    CmrbenchError
        If the folder holds no results (exit code 1), unless it `may_be_empty`.
    """
    from cmrbench.report import COLUMNS, faults
    from cmrbench.store.store import Store

    store = Store(results)
    table = store.table(columns=[*(columns or COLUMNS), *faults.COLUMNS])
    if not table.num_rows and not may_be_empty:
        raise CmrbenchError(f"{results} holds no results yet: make some with `cmrbench run --results {results}`")
    return faults.checked(store, table)
