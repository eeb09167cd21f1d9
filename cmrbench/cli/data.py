"""`cmrbench data list|info|verify|import`: what datasets there are, whether they are sound, and how they come here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cmrbench.cli.console import console
from cmrbench.cli.parsing import complete_datasets

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer(help="List, describe, verify and import datasets.", no_args_is_help=True)

_JSON = typer.Option(False, "--json", help="Print JSON on standard output.")
_FILES = typer.Option(
    [], "--datasets-file", metavar="FILE", help="A datasets.yaml of your own (also: CMRBENCH_DATASETS)."
)
_NAME = typer.Argument(help="A dataset's name or alias.", autocompletion=complete_datasets)
_WRAPPED = ("", "extractor; normalisation", "item", "detail", "queries", "gallery\nitems")
_SPLITS = ("train", "val", "query", "gallery")
_MARKS = {"ok": "[green]ok[/]", "bad": "[bold red]bad[/]", "missing": "[yellow]missing[/]"}


@app.command("list")
def list_command(datasets_file: list[Path] = _FILES, as_json: bool = _JSON) -> None:
    """List the registered datasets and whether they are on this machine."""
    list_datasets([str(f) for f in datasets_file], as_json)


def list_datasets(files: list[str], as_json: bool) -> None:
    """Print the registered datasets; `files` are catalogues of the user's own."""
    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.describe import STATES, describe

    catalogue = load_catalogue(files)
    described = [describe(catalogue, name) for name in catalogue.names()]
    if as_json:
        _print_json(described)
        return
    table = _table("name", "state", "labels", "train/val/\nquery/gallery", "feature sets")
    for d in described:
        default = d["default_feature_set"]
        sets = [default, *(n for n in d["feature_sets"] if n != default)]
        labels = f"{d['classes'] or ''}{' multi' if d['multilabel'] else ''}"
        _row(table, d["name"], d["state"], labels.strip(), "/".join(map(str, _sizes(d, default))), "\n".join(sets))
    _print(table)
    typer.echo("; ".join(f"{key}: {what}" for key, what in STATES.items() if any(d["state"] == key for d in described)))


@app.command("info")
def info_command(name: str = _NAME, datasets_file: list[Path] = _FILES, as_json: bool = _JSON) -> None:
    """Describe one dataset: licence, citation, features, splits, protocols, sources."""
    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.describe import STATES, describe

    d = describe(load_catalogue(datasets_file), name)
    if as_json:
        _print_json(d)
        return
    facts = _table("", "", header=False)
    aliases = f" (also: {', '.join(d['aliases'])})" if d["aliases"] else ""
    _row(facts, "dataset", d["name"] + aliases)
    for key in ("title", "summary", "licence", "citation", "homepage"):
        _row(facts, key, d[key])
    _row(facts, "labels", _labels(d))
    _row(facts, "state", STATES[d["state"]] + (f": {d['folder']}" if d["folder"] else ""))
    if d["how_to_get"]:
        _row(facts, "how to get it", d["how_to_get"])
    features = _table("feature set", "modalities", "dims", "extractor; normalisation")
    splits = _table("feature set", *_SPLITS)
    for set_name, feature_set in d["feature_sets"].items():
        shown = set_name + (" (default)" if set_name == d["default_feature_set"] else "")
        if set_name in d["splits"]:
            _row(splits, shown, *_sizes(d, set_name))
        alike: dict[tuple[object, str], list[str]] = {}
        for modality, spec in feature_set["modalities"].items():
            how = "; ".join(filter(None, (spec["extractor"], spec["normalisation"])))
            alike.setdefault((spec["dims"] or "", how), []).append(modality)
        for (dims, how), modalities in alike.items():
            _row(features, shown, "\n".join(modalities), dims, how)
            shown = ""
    protocols = _table("protocol", "queries", "gallery\nitems", "gallery\ncodes", "outputs", "metrics")
    for p in d["protocols"]:
        items = [" + ".join(p[k]) for k in ("query", "gallery")]
        _row(protocols, p["name"], *items, p["gallery_codes"], "\n".join(p["outputs"]), "\n".join(p["metrics"]))
    _print(facts, features, *([splits] if d["splits"] else []), protocols)


@app.command("verify")
def verify_command(
    names: list[str] = typer.Argument(
        None, help="Names; without any, all datasets that are on this machine.", autocompletion=complete_datasets
    ),
    datasets_file: list[Path] = _FILES,
    as_json: bool = _JSON,
) -> None:
    """Hash sources and prepared files again, and compare splits with the registered ones; 1 if anything differs."""
    from dataclasses import asdict

    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.describe import state
    from cmrbench.data.verify import verify_dataset

    catalogue = load_catalogue(datasets_file)
    here = [n for n in catalogue.names() if state(catalogue, n) not in ("missing", "generated")]
    chosen = dict.fromkeys(catalogue.resolve(n) for n in names) if names else here
    checks = [check for name in chosen for check in verify_dataset(name, catalogue)]
    bad = [c for c in checks if c.status != "ok"]
    if as_json:
        _print_json([asdict(c) for c in checks])
    else:
        table = _table("dataset", "what", "item", "status", "detail")
        for c in checks:
            # Prepared arrays are many and alike: the sound ones are counted.
            if c.kind != "prepared" or c.status != "ok":
                _row(table, c.dataset, c.kind, c.item, c.status, c.detail)
        for name in chosen:
            sound = sum(c.dataset == name and c.kind == "prepared" and c.status == "ok" for c in checks)
            if sound:
                _row(table, name, "prepared", f"{sound} files", "ok", "")
        _print(table)
        typer.echo(f"{len(checks) - len(bad)} of {len(checks)} checks passed")
    if bad:
        raise typer.Exit(1)


@app.command("import")
def import_command(
    name: str = _NAME,
    source: Path = typer.Option(..., "--from", help="The folder that holds the dataset's files.", file_okay=False),
    datasets_file: list[Path] = _FILES,
    as_json: bool = _JSON,
) -> None:
    """Copy a dataset's source files into the cache; they are checked before anything is copied."""
    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.imports import import_dataset

    catalogue = load_catalogue(datasets_file)
    located = import_dataset(name, source, catalogue)
    name = catalogue.resolve(name)
    if as_json:
        _print_json({"dataset": name, "folder": str(located.folder), "files": located.hashes})
        return
    known = "the registered files" if located.registered else "files without a registered SHA-256, as they are"
    typer.echo(f"imported {name}: {', '.join(located.hashes)} ({known}) into {located.folder}")


def _sizes(described: dict[str, Any], feature_set: str) -> list[object]:
    sizes = described["splits"].get(feature_set, {})
    return [sizes.get(split, "-") for split in _SPLITS] if sizes else []


def _labels(described: dict[str, Any]) -> str:
    count = described["classes"]
    kind = "multi-label" if described["multilabel"] else "one an item"
    return "none" if count == 0 else f"{count or 'as the data has'}, {kind}"


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def _table(*columns: str, header: bool = True) -> Table:
    from rich.table import Table

    table = Table(*columns, show_header=header)
    for column in table.columns:
        column.overflow = "fold"  # a name, hash or address that is cut off cannot be copied
        column.no_wrap = column.header not in _WRAPPED
    return table


def _row(table: Table, *cells: object) -> None:
    """Add a row of plain text; a cell that is a check's status is coloured."""
    from rich.markup import escape

    table.add_row(*(_MARKS.get(str(c)) or escape(str(c)) for c in cells))


def _print(*tables: Table) -> None:

    out = console()
    for table in tables:
        out.print(table)
