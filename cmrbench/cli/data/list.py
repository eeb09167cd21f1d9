"""`cmrbench data list`: what datasets there are, which are here, and how the others are had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from cmrbench.cli.console import print_json
from cmrbench.cli.data.app import FILES, JSON, app
from cmrbench.cli.data.output import print_tables, row, size, sizes_of, table

_LICENCE_CHARACTERS = 90


@app.command("list")
def list_command(datasets_file: list[Path] = FILES, as_json: bool = JSON) -> None:
    """List the registered datasets, and how they are had.

    What is on this machine; of the others, how they come here, how large they are, and under which terms.
    """
    list_datasets([str(f) for f in datasets_file], as_json)


def list_datasets(files: list[str], as_json: bool) -> None:
    """Print the registered datasets; `files` are catalogues of the user's own."""
    from dataclasses import asdict

    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.describe import STATES, describe
    from cmrbench.data.fetching.obtaining import first_words, obtain

    catalogue = load_catalogue(files)
    described = []
    for name in catalogue.names():
        download = obtain(catalogue.entry(name))
        described.append(describe(catalogue, name) | {"download": asdict(download)})
    if as_json:
        print_json(described)
        return
    made = table("name", "state", "data", "licence")
    made.columns[-1].no_wrap = False
    for d in described:
        row(made, d["name"], _state(d), _data(d), first_words(d["licence"], _LICENCE_CHARACTERS))
    print_tables(made)
    typer.echo("; ".join(f"{key}: {what}" for key, what in STATES.items() if any(d["state"] == key for d in described)))
    if any(d["state"] == "missing" for d in described):
        typer.echo("cmrbench data info NAME says what to type for one that is missing, and its whole licence")


def _state(d: dict[str, Any]) -> str:
    """Where it is; of a missing one, how it is had and how much that is."""
    if d["state"] != "missing":
        local = [f"+ {name}" for name in d["local_feature_sets"]]
        return "\n".join([d["state"], *local])
    download = d["download"]
    amount = ("" if download["complete"] else "over ") + size(download["bytes"]) if download["bytes"] else ""
    return "\n".join(filter(None, ("missing", download["how"], amount)))


def _data(d: dict[str, Any]) -> str:
    """Sizes of the default split where they are registered, and the classes."""
    sizes = "/".join(map(str, sizes_of(d, d["default_feature_set"])))
    known = f"{d['classes']} classes" if d["classes"] else "labels"
    classes = "no labels" if d["classes"] == 0 else known + (", multi" if d["multilabel"] else "")
    return "\n".join(filter(None, (sizes, classes)))
