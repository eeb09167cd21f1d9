"""`cmrbench data split`: draw a new split and freeze it, bring somebody's lists, or list the splits there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cmrbench.cli.console import print_json
from cmrbench.cli.data.app import FILES, JSON, app
from cmrbench.cli.data.output import SPLITS, print_tables, row, table
from cmrbench.cli.parsing import complete_datasets
from cmrbench.core.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from cmrbench.data.splits.models import Scheme

_SCHEMES = ("draw", "order", "source")
_SIZE = "a count, a share such as 0.1"
_PART = "SIZE"


@app.command("split")
def split_command(
    name: str = typer.Argument(metavar="NAME", help="NAME or NAME/FEATURE_SET.", autocompletion=complete_datasets),
    scheme: str = typer.Option(
        "draw", metavar="KIND", help="draw (seeded), order (first or last in the file) or source (its own)."
    ),
    query: str | None = typer.Option(
        None, metavar=_PART, help=f"Instances: {_SIZE}; with --scheme order: 'first 2000', 'last 0.1'."
    ),
    train: str | None = typer.Option(
        None, metavar=_PART, help=f"{_SIZE.capitalize()}, or rest; the validation items are among them."
    ),
    val: str | None = typer.Option(
        None, metavar=_PART, help=f"{_SIZE.capitalize()} (of the training items, which it is taken out of)."
    ),
    gallery: str | None = typer.Option(
        None, metavar=_PART, help=f"{_SIZE.capitalize()}, or rest; left out: no such items."
    ),
    val_from: str | None = typer.Option(
        None,
        metavar="PART",
        help="What val is taken out of: train; rest (draw, order); query (source). [default: train]",
    ),
    per_class: bool = typer.Option(False, "--per-class", help="Draw the same share of every class."),
    each: bool = typer.Option(False, "--each", help="Sizes are counts a class."),
    seed: int | None = typer.Option(None, metavar="N", help="Seed of the draw. [default: 0]"),
    as_name: str | None = typer.Option(None, "--as", metavar="SPLIT", help="What the new split is called."),
    source: Path | None = typer.Option(
        None,
        "--from",
        metavar="FOLDER",
        help="Take lists of ids instead of drawing: train.txt, query.txt ..., an id a line.",
    ),
    list_them: bool = typer.Option(False, "--list", help="List the splits that there are, and who uses them."),
    datasets_file: list[Path] = FILES,
    as_json: bool = JSON,
) -> None:
    """Draw a split and freeze it as NAME:SPLIT.

    What is drawn are instances: a picture and its text go together. docs/splits.md explains the schemes.
    """
    from cmrbench.core.names import DatasetName
    from cmrbench.data.catalogue import load_catalogue

    catalogue = load_catalogue(datasets_file)
    named = DatasetName.parse(name)
    asked: dict[str, Any] = {"query": query, "train": train, "val": val, "gallery": gallery, "val_from": val_from}
    asked |= {"per_class": per_class or None, "each": each or None, "seed": seed}
    given = {key: value for key, value in asked.items() if value is not None}
    if list_them:
        if given or as_name or source:
            raise UsageError("--list only lists; leave the other options out")
        _list(catalogue, named.dataset, as_json)
        return
    if as_name is None:
        raise UsageError("name the new split with --as SPLIT, or list those there are with --list")
    if source is not None and given:
        raise UsageError(f"--from takes lists as they are; leave out {_option(next(iter(given)))}")

    from cmrbench.data.splits.draw import freeze

    made = freeze(named, as_name, source if source is not None else _scheme(scheme, given), catalogue)
    if as_json:
        print_json(
            {
                "name": made.name,
                "folder": str(made.folder),
                "sizes": made.sizes,
                "protocols": made.protocols,
                "notes": made.notes,
            }
        )
        return
    shown = table("split", "items")
    for split, size in made.sizes.items():
        row(shown, split, _counted(size))
    print_tables(shown)
    for note in made.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"frozen in {made.folder}; use it as {made.name} (protocols: {', '.join(made.protocols)})")


def _counted(size: int | dict[str, int]) -> str:
    return f"{size:,}" if isinstance(size, int) else ", ".join(f"{m} {n:,}" for m, n in size.items())


def _option(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _scheme(kind: str, given: dict[str, Any]) -> Scheme:
    from pydantic import TypeAdapter, ValidationError

    from cmrbench.data.splits.models import Scheme

    if kind not in _SCHEMES:
        raise UnknownNameError("split scheme", kind, _SCHEMES)
    sizes = {key: _size(given[key], key) if kind != "order" else given[key] for key in SPLITS if key in given}
    try:
        return TypeAdapter[Scheme](Scheme).validate_python({"kind": kind, **given, **sizes})
    except ValidationError as error:
        raise UsageError(f"--scheme {kind}: {_sentence(error, kind)}") from None


def _size(text: str, key: str) -> int | float | str:
    if text == "rest":
        return text
    if re.fullmatch(r"[0-9][0-9_]*", text):
        return int(text)
    if re.fullmatch(r"0?\.[0-9]+", text):
        return float(text)
    raise UsageError(f"{_option(key)} {text!r}: expected a number of instances, a share such as 0.1, or rest")


def _sentence(error: Any, kind: str) -> str:
    """The first thing that is wrong with a scheme, by the option that gave it."""
    first = error.errors(include_url=False)[0]
    keys = [part for part in first["loc"] if isinstance(part, str) and part != kind]
    option = _option(keys[0]) if keys else ""
    if first["type"] == "missing":
        return f"{option} is missing"
    if first["type"] == "extra_forbidden":
        return f"it has no {option}"
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] == "string_pattern_mismatch" or kind == "order":
        return f"{option} {first['input']!r}: expected 'first N' or 'last N', such as 'last 2000', or rest"
    allowed = "a number of instances from 1 up, a share between 0 and 1, or rest where it is allowed"
    return (
        f"{option} {first['input']}: expected {allowed}" if keys and keys[0] in SPLITS else f"{option}: {first['msg']}"
    )


def _list(catalogue: Any, name: str, as_json: bool) -> None:
    from cmrbench.data.splits.frozen import frozen_splits

    registered, entry = catalogue.resolve(name), catalogue.entry(name)
    rows = [
        {
            "name": f"{registered}:{split}",
            "default": split == entry.default_split,
            "origin": "registered",
            "summary": known.summary,
            "scheme": known.scheme.model_dump(exclude_defaults=True) | {"kind": known.scheme.kind},
            "used_by": known.used_by,
            "folder": "",
        }
        for split, known in entry.splits.items()
    ]
    rows += [
        {
            "name": f"{registered}:{split}",
            "default": False,
            "origin": "frozen here",
            "summary": known.summary,
            "scheme": {"kind": "ids"},
            "used_by": [],
            "folder": str(folder),
        }
        for split, (known, folder) in frozen_splits(registered).items()
    ]
    if as_json:
        print_json(rows)
        return
    shown = table("name", "origin", "detail")
    for r in rows:
        used = f" (used by {', '.join(r['used_by'])})" if r["used_by"] else ""
        detail = r["summary"] or ", ".join(f"{k} {v}" for k, v in r["scheme"].items())
        row(shown, r["name"] + (" *" if r["default"] else ""), r["origin"], f"{detail}{used}")
    print_tables(shown)
    typer.echo("*: the default split, which needs no name")
