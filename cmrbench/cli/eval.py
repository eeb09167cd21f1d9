"""`cmrbench eval`: the engine on anybody's own embeddings or codes, no plugin needed."""

from __future__ import annotations

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cmrbench.cli.console import console
from cmrbench.core.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cmrbench.metrics import Curve, Evaluation, Metric, Points

_DISTANCES = ("cosine", "euclidean", "inner", "hamming")
_TIES = ("expected", "stable", "optimistic", "pessimistic")
_RELEVANCES = ("label", "instance")
_MOST_POINTS = 21
"""Points of a curve that are printed; --json has all of them."""


def evaluate_command(
    query: Path = typer.Option(..., help="Query representations (n, d): .npy, .npz with one array, .csv or .txt."),
    gallery: Path = typer.Option(..., help="Gallery representations."),
    query_labels: Path = typer.Option(
        ...,
        help="Labels of the queries: class numbers (n,) or multi-hot (n, C). With --relevance instance, ids: strings "
        "or whole numbers, one a line in .csv and .txt.",
    ),
    gallery_labels: Path = typer.Option(..., help="Labels of the gallery."),
    distance: str = typer.Option(
        "cosine", help="cosine, euclidean, inner, or hamming for codes of -1 and +1.", autocompletion=lambda: _DISTANCES
    ),
    relevance: str = typer.Option(
        "label",
        help="What makes an item relevant to a query: label (they share one) or instance (they have the same id).",
        autocompletion=lambda: _RELEVANCES,
    ),
    metric: str = typer.Option(
        "mAP@all",
        help="Metrics, separated by commas: mAP@all, mAP@50[min_kr], P@10, R@10, hit@1, RPrec, MedR, MeanR, "
        "NDCG@100 (gains 0 and 1), NDCG@100[shared] and NDCG@100[exp_shared] (by the number of shared labels), "
        "P@H2 and R@H2 (within Hamming radius 2).",
    ),
    curve: str | None = typer.Option(
        None,
        help="Curves, separated by commas: PR@11 (precision at 11 levels of recall), PR@H (at every Hamming radius), "
        "P@1..1000, R@1..1000.",
    ),
    ties: str | None = typer.Option(
        None,
        help="Order of items of equal score: expected (over all orders; the default), stable, optimistic, pessimistic.",
        autocompletion=lambda: _TIES,
    ),
    span: bool = typer.Option(
        False, "--span", help="Also every metric under the worst and the best order of tied items."
    ),
    per_query: Path | None = typer.Option(
        None, metavar="FILE.csv", help="Write the value of every query into this file."
    ),
    threads: int = typer.Option(1, help="Threads; no value depends on their number."),
    device: str | None = typer.Option(
        None,
        help="Rank by torch on this device: cuda, cuda:1 or cpu. [default: compiled loops or numpy]",
        autocompletion=lambda: ["cpu", "cuda"],
    ),
    as_json: bool = typer.Option(
        False, "--json", help='Print {metric: value} and nothing else; curves are under the key "curves".'
    ),
) -> None:
    """Evaluate your own embeddings or codes: rank the gallery for every query and measure the rankings."""
    from cmrbench.metrics import Metric, evaluate_arrays
    from cmrbench.metrics.files import load_array, load_instances, load_labels
    from cmrbench.metrics.span import span_of

    metrics = [m if ties is None else m.with_ties(ties) for m in Metric.parse_list(metric)]
    curves = [] if curve is None else _curves(curve, ties)
    if threads < 1:
        raise UsageError(f"--threads must be at least 1, not {threads}")
    load = load_instances if relevance == "instance" else load_labels
    arrays = load_array(query), load_array(gallery), load(query_labels), load(gallery_labels)
    files = {f"query {what}": query_labels for what in ("labels", "instances")}
    files |= {f"gallery {what}": gallery_labels for what in ("labels", "instances")}
    files |= {"query": query, "gallery": gallery}  # last: the other names begin with these
    ends = [end for m in metrics for end in span_of(m) or ()] if span else []
    options: dict[str, Any] = {"relevance": relevance, "curves": curves, "threads": threads, "device": device}
    try:
        result = evaluate_arrays(*arrays, distance, [*metrics, *ends], **options)
    except DataError as error:
        raise _naming_the_file(error, files) from error
    if per_query is not None:
        _write_queries(result, per_query)
    if as_json:
        typer.echo(json.dumps(_as_dict(result)))
    else:
        _print_table(result, list(dict.fromkeys(metrics)), distance, span)
        for name, points in result.curves.items():
            _print_curve(name, points)


def _curves(text: str, ties: str | None) -> list[Curve]:
    from cmrbench.metrics import Curve

    parts = re.split(r",(?![^\[]*\])", text)
    if not all(part.strip() for part in parts):
        raise UsageError(f"--curve {text!r} holds an empty name: separate curves by single commas")
    curves = [Curve.parse(part) for part in parts]
    return [c if ties is None or c.by_radius else replace(c, ties=ties) for c in curves]


def _naming_the_file(error: DataError, files: dict[str, Path]) -> DataError:
    """The engine names the argument; a user of the command line knows it as a file."""
    message = str(error)
    for name, path in files.items():
        if message.startswith(f"{name} and"):
            return error  # about both, which it names
        if message.startswith(f"{name} "):
            return DataError(f"{path}: {message}")
    return error


def _as_dict(result: Evaluation) -> dict[str, Any]:
    told: dict[str, Any] = {name: _number(value) for name, value in result.values.items()}
    if result.curves:
        told["curves"] = {
            name: {axis: [_number(v) for v in getattr(points, axis).tolist()] for axis in ("x", "y", "stderr")}
            for name, points in result.curves.items()
        }
    return told


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _write_queries(result: Evaluation, path: Path) -> None:
    """One line a query, in the order of the file of queries; empty where a query is not in a metric's mean."""
    columns = [values.tolist() for values in result.per_query.values()]
    try:
        with path.open("w", encoding="utf-8", newline="") as out:
            lines = csv.writer(out, lineterminator="\n")
            lines.writerow(["query", *result.per_query])
            for row, values in enumerate(zip(*columns, strict=True)):
                lines.writerow([row, *("" if math.isnan(v) else repr(v) for v in values)])
    except OSError as error:
        raise UsageError(f"--per-query {path} cannot be written: {error.strerror or error}") from error


def _print_table(result: Evaluation, metrics: Sequence[Metric], distance: str, span: bool) -> None:
    from rich.markup import escape
    from rich.table import Table

    from cmrbench.metrics.span import span_of, why_no_span

    told = ["stderr: over queries; chance: a random order of the gallery; n: queries in the mean"]
    table = Table("metric", title=f"{result.n_query} queries, gallery of {result.n_gallery}, {distance}")
    for column in ("value", *(("span",) if span else ()), "stderr", "chance", "n"):
        table.add_column(column, justify="right")
    for metric in metrics:
        name = str(metric)
        numbers = [_shown(x[name]) for x in (result.values, result.stderr, result.chance)]
        if span:
            ends = span_of(metric)
            numbers.insert(1, "..".join(_shown(result.values[str(end)]) for end in ends) if ends else "-")
            told += [] if ends else [f"{name} has no span: {why_no_span(metric)}"]
        table.add_row(escape(name), *numbers, f"{result.counted[name]:g}")
    if span:
        told.insert(1, "span: the relevant items last..first among those of equal score")
    table.caption = escape("\n".join(told))
    console().print(table)


def _print_curve(name: str, points: Points) -> None:
    import numpy as np
    from rich.markup import escape
    from rich.table import Table

    kind, _, at = name.partition("@")
    y = "recall" if kind == "R" else "precision"
    x = "k" if kind != "PR" else "mean recall" if at.startswith("H") else "recall"
    table = Table(title=escape(name))
    heads = (("radius",) if x == "mean recall" else ()) + (x, y, "stderr")
    for head in heads:
        table.add_column(head, justify="right")
    n = len(points.x)
    chosen = np.unique(np.linspace(0, n - 1, min(n, _MOST_POINTS)).round().astype(int)).tolist()
    for i in chosen:
        first = f"{points.x[i]:.0f}" if x == "k" else _shown(points.x[i])
        numbers = (first, _shown(points.y[i]), _shown(points.stderr[i]))
        table.add_row(*((str(i),) if x == "mean recall" else ()), *numbers)
    if len(chosen) < n:
        table.caption = f"{len(chosen)} of {n} points; --json has all"
    console().print(table)


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
