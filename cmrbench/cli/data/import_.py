"""`cmrbench data import`: bring files that somebody has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cmrbench.cli.console import print_json
from cmrbench.cli.data.app import FILES, JSON, NAME, app
from cmrbench.cli.data.output import SPLITS, print_tables, row, table

if TYPE_CHECKING:
    from cmrbench.data.importing.brought import Brought
    from cmrbench.data.importing.inspecting import Inspected
    from cmrbench.data.sources import Located


@app.command("import")
def import_command(
    name: str = NAME,
    source: Path = typer.Option(..., "--from", metavar="PATH", help="The dataset's files, or features of your own."),
    mapping: list[str] = typer.Option(
        [], "--map", metavar="ROLE=ARRAY", help="What an array is, such as image_train=I_tr; ROLE= takes a role out."
    ),
    transpose: list[str] = typer.Option(
        [], "--transpose", metavar="ROLE", help="The role's arrays hold one item a column; 'all': every one does."
    ),
    feature_set: str = typer.Option("", "--as", metavar="NAME", help="What to call your features ('imported')."),
    about: list[str] = typer.Option(
        [], "--about", metavar="[MODALITY=]TEXT", help="How your features were made, such as 'image=VGG-19 fc7'."
    ),
    drop_unlabelled: bool = typer.Option(False, "--drop-unlabelled", help="Leave out items without a label."),
    drop_empty: bool = typer.Option(
        False, "--drop-empty", help="Leave out items whose features are all zero, with their partners."
    ),
    val: float = typer.Option(
        0.1,
        "--val",
        metavar="SHARE",
        help="Share of the training items for validation, where your file has a split without; 0: none.",
    ),
    replace: bool = typer.Option(False, "--replace", help="Replace features of yours that have this name."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what each array is taken for, and stop."),
    datasets_file: list[Path] = FILES,
    as_json: bool = JSON,
) -> None:
    """Bring a dataset's files, or features of your own.

    All is checked before anything is kept. Features of your own (.mat, .h5, .npz, .npy, .parquet, or a folder of them)
    become NAME/imported, or NAME/FS with --as FS. docs/importing.md says which layouts are recognised.
    """
    from cmrbench.data.catalogue import load_catalogue
    from cmrbench.data.importing.brought import bring
    from cmrbench.data.importing.inspecting import Wanted, inspect
    from cmrbench.data.importing.job import import_sources, is_own

    catalogue = load_catalogue(datasets_file)
    if catalogue.note(name):
        typer.echo(f"note: {catalogue.note(name)}", err=True)
    wanted = Wanted(
        mapping=tuple(mapping),
        transpose=tuple(transpose),
        feature_set=feature_set,
        about=tuple(about),
        drop_unlabelled=drop_unlabelled,
        drop_empty=drop_empty,
        val=val,
        replace=replace,
    )
    if not is_own(name, source, catalogue, wanted):
        if dry_run:
            typer.echo(
                f"{source} is read as the source files of {name}: they are imported as they are, without a mapping"
            )
            return
        _show_located(catalogue.resolve(name), import_sources(name, source, catalogue), as_json)
        return
    inspected = inspect(name, source, wanted, catalogue)
    if not as_json:
        _show_mapping(inspected)
    inspected.check()
    if not dry_run:
        _show_brought(bring(inspected), as_json)
    elif as_json:
        print_json(_as_json(inspected))


def _show_located(name: str, located: Located, as_json: bool) -> None:
    if as_json:
        print_json({"dataset": name, "folder": str(located.folder), "files": located.hashes})
        return
    known = "the registered files" if located.registered else "files without a registered SHA-256, as they are"
    typer.echo(f"imported {name}: {', '.join(located.hashes)} ({known}) into {located.folder}")


def _show_mapping(inspected: Inspected) -> None:
    remarks = any(line.transposed for line in inspected.mapped) or bool(inspected.proposal.choices)
    shown = table("role", "array", "items x columns", "dtype", *([""] if remarks else []))
    for line in inspected.mapped:
        shape = line.shape[::-1] if line.transposed else line.shape
        remark = ["transposed" if line.transposed else ""] if remarks else []
        row(shown, line.role, line.array, " x ".join(f"{k:,}" for k in shape), line.dtype, *remark)
    for role, names in inspected.proposal.choices.items():
        row(shown, role, " or ".join(names), "", "", "choose one with --map")
    print_tables(shown)
    proposal = inspected.proposal
    if proposal.layout:
        typer.echo(f"layout: {proposal.layout}")
    for note in proposal.notes:
        typer.echo(f"note: {note}")
    if proposal.unused:
        typer.echo("not used: " + "; ".join(f"{name} ({what})" for name, what in proposal.unused.items()))


def _as_json(inspected: Inspected) -> dict[str, object]:
    return {
        "dataset": inspected.name,
        "from": str(inspected.path),
        "format": inspected.kind,
        "layout": inspected.proposal.layout,
        "arrays": [vars(line) for line in inspected.mapped],
        "unused": dict(inspected.proposal.unused),
        "notes": list(inspected.proposal.notes),
    }


def _show_brought(brought: Brought, as_json: bool) -> None:
    name = f"{brought.dataset}/{brought.feature_set}"
    if as_json:
        sizes = {split: dict(part) for split, part in brought.sizes.items()}
        print_json(
            {
                "dataset": brought.dataset,
                "feature_set": brought.feature_set,
                "folder": str(brought.folder),
                "files": dict(brought.hashes),
                "sizes": sizes,
                "notes": list(brought.notes),
            }
        )
        return
    for note in brought.notes:
        typer.echo(f"note: {note}")
    sizes_shown = ", ".join(f"{s} {_count(brought.sizes[s])}" for s in SPLITS if s in brought.sizes)
    typer.echo(f"imported {name}: {sizes_shown}; use it as {name}")


def _count(part: object) -> str:
    assert isinstance(part, dict)
    counts = set(part.values())
    return f"{counts.pop():,}" if len(counts) == 1 else " + ".join(f"{n:,} {m}" for m, n in part.items())
