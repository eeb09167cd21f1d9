"""`cmrbench compare`: whether methods differ, by how much, and on which queries."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cmrbench.cli.console import console, write_output
from cmrbench.cli.parsing import all_names, complete_datasets, complete_methods, integers, known_format, metric_name
from cmrbench.cli.report import read_results
from cmrbench.core.errors import CmrbenchError, UsageError

if TYPE_CHECKING:
    from cmrbench.report.comparison import Query
    from cmrbench.report.model import TableKey

_FORMATS = ("text", "md", "csv", "json")


def _complete(incomplete: str) -> Iterator[str]:
    yield from complete_methods(incomplete)


def compare_command(
    methods: list[str] = typer.Argument(
        metavar="METHOD",
        help="Two or more, as results name them; where there are several settings, with preset, parameters and "
        "strategy: lcm(quick)+2sknn, seph[anchors=random].",
        autocompletion=_complete,
    ),
    dataset: list[str] = typer.Option(
        [], metavar="NAME,...", help="Only these datasets.", autocompletion=complete_datasets
    ),
    metric: str | None = typer.Option(None, help="This metric instead of the headline (mAP@all)."),
    bits: str | None = typer.Option(None, metavar="N,...", help="Only these code lengths."),
    protocol: str | None = typer.Option(None, help="Only this protocol."),
    direction: str | None = typer.Option(None, help="Only this column: 'image->text', average."),
    queries: int = typer.Option(5, min=0, help="How many of the queries that changed most are shown."),
    results: Path = typer.Option(Path("results"), help="The results folder."),
    format: str | None = typer.Option(
        None,
        "--format",
        help="text, md, csv or json. [default: text on a terminal, else md]",
        autocompletion=lambda: list(_FORMATS),
    ),
    output: Path | None = typer.Option(None, "--output", "-o", metavar="FILE", help="Write to this file."),
    as_json: bool = typer.Option(False, "--json", help="The same as --format json."),
) -> None:
    """Say whether methods differ by more than other queries and other seeds could turn around.

    Two methods: difference, 95 % intervals, tests, queries won and lost, where the variance comes from, and the
    queries that changed most. Three or more: rank groups by pairwise tests, and average ranks over datasets.
    """
    asked = known_format(format, as_json, _FORMATS)
    named = [part for text in methods for part in _split(text)]
    if len(named) < 2:
        raise UsageError(f"compare needs two methods or more, not {len(named)}: cmrbench compare lcm drcl")
    from cmrbench.cli import compare_output
    from cmrbench.report.comparing import Scope, compare
    from cmrbench.store.store import Store

    scope = Scope(
        datasets=all_names(dataset, "--dataset"),
        metric=metric_name(metric) if metric else None,
        bits=integers(bits, "--bits"),
        protocol=protocol,
        direction=direction,
        changed=queries,
    )
    found = compare(read_results(results), Store(results), named, scope)
    shown = asked or ("text" if output is None and sys.stdout.isatty() else "md")
    if shown == "text" and output is None and sys.stdout.isatty():
        compare_output.print_comparison(console(least=0), found, query_label)
        return
    write_output(compare_output.document(found, shown, query_label), output)


def _split(text: str) -> list[str]:
    """``"lcm,drcl"`` as two names; commas within brackets belong to the parameters."""
    parts = [""]
    depth = 0
    for character in text:
        depth += (character == "[") - (character == "]")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    if not all(part.strip() for part in parts):
        raise UsageError(f"{text!r} holds an empty name: separate methods by spaces or single commas")
    return parts


def query_label(key: TableKey, query: Query) -> str:
    """The id of a query's item, or its position where the dataset cannot be opened."""
    from cmrbench.report.wording import plain

    modality = query.modality.split(" and ")[0]
    ids = _ids(key.dataset, key.feature_set, key.dataset_fingerprint, key.protocol, modality)
    if query.position < len(ids):
        return plain(ids[query.position])
    return f"{query.modality} query {query.position}"


@cache
def _ids(dataset: str, feature_set: str, fingerprint: str, protocol: str, modality: str) -> tuple[str, ...]:
    """Ids of the queries of a protocol; empty if the dataset is not here, or is another one than was measured."""
    from dataclasses import replace

    from cmrbench.core.names import DatasetName
    from cmrbench.data import load_catalogue
    from cmrbench.data.card import dataset_here

    try:
        name = replace(DatasetName.parse(dataset), feature_set=None if feature_set in ("", "default") else feature_set)
        found = dataset_here(name, load_catalogue())
        if found is None or found.fingerprint != fingerprint:
            return ()
        return tuple(map(str, found.measured(*found.protocol(protocol).query)[modality].ids))
    except (CmrbenchError, OSError, KeyError):
        return ()
