"""`cmrbench eval`: the engine on anybody's own embeddings or codes, no plugin needed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cmrbench.cli.console import console
from cmrbench.core.errors import DataError

if TYPE_CHECKING:
    from cmrbench.metrics import Evaluation

_DISTANCES = ("cosine", "euclidean", "inner", "hamming")
_TIES = ("expected", "stable", "optimistic", "pessimistic")


def evaluate_command(
    query: Path = typer.Option(..., help="Query representations (n, d): .npy, .npz with one array, .csv or .txt."),
    gallery: Path = typer.Option(..., help="Gallery representations."),
    query_labels: Path = typer.Option(..., help="Labels of the queries: class numbers (n,) or multi-hot (n, C)."),
    gallery_labels: Path = typer.Option(..., help="Labels of the gallery."),
    distance: str = typer.Option(
        "cosine", help="cosine, euclidean, inner, or hamming for codes of -1 and +1.", autocompletion=lambda: _DISTANCES
    ),
    metric: str = typer.Option(
        "mAP@all", help="Metrics, separated by commas: mAP@all, mAP@50, P@10, R@10, hit@1, NDCG@100."
    ),
    ties: str | None = typer.Option(
        None,
        help="Order of items of equal score: expected (over all orders; the default), stable, optimistic, pessimistic.",
        autocompletion=lambda: _TIES,
    ),
    as_json: bool = typer.Option(False, "--json", help="Print {metric: value} and nothing else."),
) -> None:
    """Evaluate your own embeddings or codes: rank the gallery for every query and measure the rankings."""
    from cmrbench.metrics import Metric, evaluate_arrays
    from cmrbench.metrics.files import load_array, load_labels

    metrics = Metric.parse_list(metric)
    arrays = load_array(query), load_array(gallery), load_labels(query_labels), load_labels(gallery_labels)
    files = {"query labels": query_labels, "gallery labels": gallery_labels, "query": query, "gallery": gallery}
    try:
        result = evaluate_arrays(*arrays, distance=distance, metrics=metrics, ties=ties)
    except DataError as error:
        raise _naming_the_file(error, files) from error
    if as_json:
        values = {name: None if math.isnan(value) else value for name, value in result.values.items()}
        typer.echo(json.dumps(values))
    else:
        _print_table(result, distance)


def _naming_the_file(error: DataError, files: dict[str, Path]) -> DataError:
    """The engine names the argument; a user of the command line knows it as a file."""
    message = str(error)
    for name, path in files.items():
        if message.startswith(f"{name} and"):
            return error  # about both, which it names
        if message.startswith(f"{name} "):
            return DataError(f"{path}: {message}")
    return error


def _print_table(result: Evaluation, distance: str) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        "metric",
        title=f"{result.n_query} queries, gallery of {result.n_gallery}, {distance}",
        caption="stderr: over queries; chance: a random order of the gallery; n: queries in the mean",
    )
    for column in ("value", "stderr", "chance", "n"):
        table.add_column(column, justify="right")
    for name, value in result.values.items():
        numbers = (value, result.stderr[name], result.chance[name])
        shown = ("-" if math.isnan(x) else f"{x:.4f}" for x in numbers)
        table.add_row(escape(name), *shown, f"{result.counted[name]:g}")
    console().print(table)
