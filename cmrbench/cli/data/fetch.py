"""`cmrbench data fetch`: download datasets from their homes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cmrbench.cli.console import print_json
from cmrbench.cli.data.app import FILES, JSON, app
from cmrbench.cli.parsing import complete_datasets

if TYPE_CHECKING:
    from cmrbench.data.catalogue import Catalogue
    from cmrbench.data.fetching.download import Listener
    from cmrbench.data.fetching.fetch import Fetched


@app.command("fetch")
def fetch_command(
    names: list[str] = typer.Argument(
        metavar="NAME",
        help="Names or aliases; NAME/FEATURE_SET for the files of one feature set.",
        autocompletion=complete_datasets,
    ),
    accept_licence: bool = typer.Option(
        False, "--accept-licence", help="The licences are known and accepted: do not ask."
    ),
    attachments: bool = typer.Option(
        False, "--attachments", help="Also files that are not read for features, such as pictures and notices."
    ),
    datasets_file: list[Path] = FILES,
    as_json: bool = JSON,
) -> None:
    """Download datasets, and check what came.

    The terms are shown and asked for once. The same command goes on where a cut download stopped.
    """
    from cmrbench.core.errors import UsageError
    from cmrbench.core.names import DatasetName
    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.fetching.fetch import fetch_dataset

    catalogue = load_catalogue(datasets_file)
    wanted = []
    for name in dict.fromkeys(names):
        parsed = DatasetName.parse(name)
        if parsed.split or parsed.transforms:
            raise UsageError(f"{name!r}: a split or a transform is nothing to fetch; type {parsed.dataset}")
        wanted.append((catalogue.resolve(parsed.dataset), parsed.feature_set))
        if catalogue.note(parsed.dataset):
            typer.echo(f"note: {catalogue.note(parsed.dataset)}", err=True)
    # All questions come first: nobody waits at a terminal for the second one.
    for name in dict.fromkeys(name for name, _ in wanted):
        if not accept_licence:
            _ask(name, catalogue)
    fetched = []
    for name, feature_set in wanted:
        try:
            with _listener() as listener:
                done = fetch_dataset(
                    name,
                    catalogue,
                    feature_set=feature_set,
                    accept_licence=accept_licence,
                    attachments=attachments,
                    listener=listener,
                )
        except KeyboardInterrupt:
            typer.echo("interrupted: what has come is kept; the same command goes on from there", err=True)
            raise typer.Exit(130) from None
        fetched.append(done)
        if not as_json:
            _say(done)
    if as_json:
        print_json([_plain(done) for done in fetched])


def _ask(name: str, catalogue: Catalogue) -> None:
    """Show the licence and ask, once; without a terminal nobody can accept anything."""
    from cmrbench.core.errors import UsageError
    from cmrbench.data.fetching import terms
    from cmrbench.data.fetching.fetch import needs_fetch

    entry = catalogue.entry(name)
    some = any(source.url for source in entry.sources)  # otherwise there is nothing to accept, but somebody to ask
    if not some or not needs_fetch(entry) or terms.accepted(name, entry):
        return
    typer.echo(f"{name} ({entry.title})\nlicence: {terms.licence_text(entry)}\n{entry.homepage}".rstrip(), err=True)
    if not sys.stdin.isatty():
        raise UsageError(
            f"the licence of {name!r} has not been accepted yet, and there is no terminal to ask at; if you accept it, "
            "type the command with --accept-licence"
        )
    if not typer.confirm("Do you accept it?", err=True):
        raise UsageError(f"the licence of {name!r} was not accepted; nothing was fetched")
    terms.accept(name, entry)


@contextmanager
def _listener() -> Iterator[Listener]:
    """Bars and notes on standard error; only notes where that is no terminal."""
    from rich.console import Console

    from cmrbench.data.fetching.download import Listener

    console = Console(stderr=True)

    class Notes(Listener):
        def note(self, text: str) -> None:
            console.print(f"note: {text}", markup=False, highlight=False, soft_wrap=True)

    if not console.is_terminal:
        yield Notes()
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {}

        class Bars(Notes):
            def position(self, file: str, done: int, total: int | None) -> None:
                if file not in tasks:
                    tasks[file] = progress.add_task(file, total=total, completed=done)
                progress.update(tasks[file], completed=done, total=total)

        yield Bars()


def _say(done: Fetched) -> None:
    new = [f.file for f in done.files if f.new]
    there = [f.file for f in done.files if not f.new]
    parts = [f"fetched {', '.join(new)}"] if new else []
    parts += [f"already here: {', '.join(there)}"] if there else []
    typer.echo(f"{done.dataset}: {'; '.join(parts) or done.notes[0]} ({done.folder})")


def _plain(done: Fetched) -> dict[str, object]:
    from dataclasses import asdict

    return {**asdict(done), "folder": str(done.folder)}
