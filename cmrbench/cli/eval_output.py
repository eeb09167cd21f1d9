"""What `cmrbench eval` tells: tables for the eye, one JSON object, one CSV line a query."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cmrbench.cli.console import console
from cmrbench.core.errors import UsageError

if TYPE_CHECKING:
    from cmrbench.metrics import Evaluation, Metric, Points, Replayed

_MOST_POINTS = 21
"""Points of a curve that are printed; --json has all of them."""


@dataclass(frozen=True)
class Findings:
    """What was measured, and how it is told.

    Attributes
    ----------
    result : Evaluation
        Of all metrics, `twins` included.
    metrics : sequence of Metric
        What was asked for.
    ends : sequence of Metric
        The ends of their spans, if `span`.
    span : bool
        Whether spans were asked for.
    compared : str
        How query and gallery were compared.
    replayed : mapping
        Replays by the name they were asked for.
    twins : mapping
        The metric of the same definition as a replay, for those that have one.
    """

    result: Evaluation
    metrics: Sequence[Metric]
    ends: Sequence[Metric]
    span: bool
    compared: str
    replayed: Mapping[str, Replayed] = field(default_factory=dict)
    twins: Mapping[str, Metric] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Names of the metrics that are told as such; twins stand beside their replays only."""
        return list(dict.fromkeys(map(str, (*self.metrics, *self.ends))))


def print_json(found: Findings) -> None:
    """Print all values as one object: metrics by name, then curves and replays under keys of their own."""
    values, curves = found.result.values, found.result.curves
    told: dict[str, Any] = {name: _number(values[name]) for name in found.names}
    if curves:
        told["curves"] = {
            name: {axis: [_number(v) for v in getattr(points, axis).tolist()] for axis in ("x", "y", "stderr")}
            for name, points in curves.items()
        }
    if found.replayed:
        told["replays"] = {name: _replay(found, name) for name in found.replayed}
    typer.echo(json.dumps(told))


def _replay(found: Findings, name: str) -> dict[str, Any]:
    replayed, twin = found.replayed[name], found.twins.get(name)
    return {
        "value": _number(replayed.value),
        "divisor": replayed.divisor,
        "undecided": replayed.undecided,
        "twin": None if twin is None else str(twin),
        "twin_value": None if twin is None else _number(found.result.values[str(twin)]),
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def write_queries(found: Findings, path: Path) -> None:
    """Write one line a query, in the order of the queries; empty where a query is not in a mean."""
    columns = {name: found.result.per_query[name] for name in found.names}
    columns |= {name: replayed.per_query for name, replayed in found.replayed.items()}
    try:
        with path.open("w", encoding="utf-8", newline="") as out:
            lines = csv.writer(out, lineterminator="\n")
            lines.writerow(["query", *columns])
            for row, values in enumerate(zip(*(c.tolist() for c in columns.values()), strict=True)):
                lines.writerow([row, *("" if math.isnan(v) else repr(v) for v in values)])
    except OSError as error:
        raise UsageError(f"--per-query {path} cannot be written: {error.strerror or error}") from error


def print_tables(found: Findings) -> None:
    """Print the metrics, then every curve, then the replays."""
    _print_metrics(found)
    for name, points in found.result.curves.items():
        _print_curve(name, points)
    if found.replayed:
        _print_replays(found)


def warn_of_ties(found: Findings) -> None:
    """Say on standard error which replays stand for code that may have ordered the ties in another way."""
    for name, replayed in found.replayed.items():
        if replayed.undecided and not replayed.replay.stable:
            typer.echo(
                f"warning: {name}: ties decide the AP of {replayed.undecided} of {found.result.n_query} queries; they "
                "keep gallery order here, but the released code leaves their order open, so its value can differ",
                err=True,
            )


def _print_metrics(found: Findings) -> None:
    from rich.markup import escape
    from rich.table import Table

    from cmrbench.metrics.span import span_of, why_no_span

    result, span = found.result, found.span
    told = ["stderr: over queries; chance: a random order of the gallery; n: queries in the mean"]
    table = Table("metric", title=f"{result.n_query} queries, gallery of {result.n_gallery}, {found.compared}")
    for column in ("value", *(("span",) if span else ()), "stderr", "chance", "n"):
        table.add_column(column, justify="right")
    for metric in dict.fromkeys(found.metrics):
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


def _print_replays(found: Findings) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("replay", title="replays: mAP as released code computes it")
    for column in ("value", "divisor", "undecided", "twin", "its value"):
        table.add_column(column, justify="left" if column == "twin" else "right")
    for name, replayed in found.replayed.items():
        twin = str(found.twins.get(name, "-"))
        numbers = _shown(replayed.value), str(replayed.divisor), str(replayed.undecided)
        table.add_row(name, *numbers, escape(twin), _shown(found.result.values.get(twin, math.nan)))
    table.caption = (
        "divisor: of the sum over queries\n"
        "undecided: queries whose AP depends on the order of ties\n"
        "twin: the metric of the same definition, for new results"
    )
    console().print(table)


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"
