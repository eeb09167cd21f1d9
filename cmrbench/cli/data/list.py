"""`cmrbench data list`: what datasets there are, and whether they are here."""

from __future__ import annotations

from pathlib import Path

import typer

from cmrbench.cli.data.app import FILES, JSON, app
from cmrbench.cli.data.output import print_json, print_tables, row, sizes_of, table


@app.command("list")
def list_command(datasets_file: list[Path] = FILES, as_json: bool = JSON) -> None:
    """List the registered datasets and whether they are on this machine."""
    list_datasets([str(f) for f in datasets_file], as_json)


def list_datasets(files: list[str], as_json: bool) -> None:
    """Print the registered datasets; `files` are catalogues of the user's own."""
    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.describe import STATES, describe

    catalogue = load_catalogue(files)
    described = [describe(catalogue, name) for name in catalogue.names()]
    if as_json:
        print_json(described)
        return
    made = table("name", "state", "labels", "train/val/\nquery/gallery", "feature sets")
    for d in described:
        default = d["default_feature_set"]
        sets = [default, *(n for n in d["feature_sets"] if n != default)]
        labels = f"{d['classes'] or ''}{' multi' if d['multilabel'] else ''}"
        row(made, d["name"], d["state"], labels.strip(), "/".join(map(str, sizes_of(d, default))), "\n".join(sets))
    print_tables(made)
    typer.echo("; ".join(f"{key}: {what}" for key, what in STATES.items() if any(d["state"] == key for d in described)))
