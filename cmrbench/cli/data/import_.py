"""`cmrbench data import`: bring files that somebody has."""

from __future__ import annotations

from pathlib import Path

import typer

from cmrbench.cli.data.app import FILES, JSON, NAME, app
from cmrbench.cli.data.output import print_json


@app.command("import")
def import_command(
    name: str = NAME,
    source: Path = typer.Option(..., "--from", help="The folder that holds the dataset's files.", file_okay=False),
    datasets_file: list[Path] = FILES,
    as_json: bool = JSON,
) -> None:
    """Copy a dataset's source files into the cache; they are checked before anything is copied."""
    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.imports import import_dataset

    catalogue = load_catalogue(datasets_file)
    located = import_dataset(name, source, catalogue)
    name = catalogue.resolve(name)
    if as_json:
        print_json({"dataset": name, "folder": str(located.folder), "files": located.hashes})
        return
    known = "the registered files" if located.registered else "files without a registered SHA-256, as they are"
    typer.echo(f"imported {name}: {', '.join(located.hashes)} ({known}) into {located.folder}")
