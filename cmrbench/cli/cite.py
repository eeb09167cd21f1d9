"""`cmrbench cite`: BibTeX of the methods and datasets of a results folder, or of named ones."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from cmrbench.cli.console import write_output
from cmrbench.cli.parsing import complete_datasets, complete_methods, names
from cmrbench.core.errors import UsageError


def cite_command(
    methods: str | None = typer.Option(
        None, metavar="NAME,...", help="Cite these methods.", autocompletion=complete_methods
    ),
    datasets: str | None = typer.Option(
        None, metavar="NAME,...", help="Cite these datasets.", autocompletion=complete_datasets
    ),
    results: Path | None = typer.Option(
        None, metavar="FOLDER", help="Cite what this results folder holds. [default: results, if nothing is named]"
    ),
    plugin: list[Path] = typer.Option([], metavar="FILE", help="A Python file with a method."),
    methods_dir: list[Path] = typer.Option(
        [], metavar="FOLDER", help="A folder of such files (also: CMRBENCH_METHODS)."
    ),
    datasets_file: list[Path] = typer.Option(
        [], "--datasets-file", metavar="FILE", help="A datasets.yaml of your own (also: CMRBENCH_DATASETS)."
    ),
    text: bool = typer.Option(False, "--text", help="A readable line each instead of BibTeX."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON on standard output."),
    output: Path | None = typer.Option(None, "--output", "-o", metavar="FILE", help="Write to this file."),
) -> None:
    """Print BibTeX of methods, datasets and cmrbench.

    Of what a results folder holds, or of what is named.
    """
    if text and as_json:
        raise UsageError("--text and --json exclude each other: give one of them")
    from cmrbench.citing import cite, to_bibtex, to_text, used_in
    from cmrbench.data import load_catalogue
    from cmrbench.registry import load_methods

    table, catalogue = load_methods(plugin, methods_dir), load_catalogue(datasets_file)
    cited = cite(names(methods, "--methods"), names(datasets, "--datasets"), table, catalogue)
    if results is not None or (methods is None and datasets is None):
        used = cite(*used_in(results or Path("results")), table, catalogue, strict=False)
        named = {(c.kind, c.name) for c in cited}
        cited = [*cited[:-1], *(c for c in used if (c.kind, c.name) not in named), cited[-1]]
    for one in cited:
        if one.citation is None and "not registered" in one.note:
            typer.echo(f"warning: {one.kind} {one.name!r} {one.note}", err=True)
    if as_json:
        written = json.dumps([_plain(one) for one in cited], indent=2, ensure_ascii=False) + "\n"
    else:
        written = (to_text if text else to_bibtex)(cited)
    write_output(written, output)


def _plain(one: object) -> dict[str, object]:
    from cmrbench.citing import Cited
    from cmrbench.core.citation import Citation

    assert isinstance(one, Cited)
    known = one.citation if isinstance(one.citation, Citation) else None
    return {
        "kind": one.kind,
        "name": one.name,
        "key": known.key if known else None,
        "line": one.line,
        "bibtex": known.bibtex() if known else None,
        "note": one.note,
    }
