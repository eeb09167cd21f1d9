"""How far the order of tied items could move the numbers of a leaderboard, where it was measured (`core.runs.SPAN`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from cmrbench.core.errors import CmrbenchError
from cmrbench.core.runs import SPAN
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.span import span_of, why_no_span

MISSING_NOTE = (
    "no span: the result was stored before runs measured both extreme orders of ties; the same `cmrbench run` adds it"
)
_SHOWN = "(pessimistic..optimistic), the number with the relevant items last and first among those of equal score"

SECONDS = "seconds"
"""In place of a metric's name: values are wall times."""

RowDict = dict[str, Any]


@lru_cache(maxsize=1000)
def parsed(metric: str) -> Metric | None:
    """The metric of a stored name; None for a name that this version cannot read."""
    try:
        return Metric.parse(metric)
    except CmrbenchError:
        return None


def smaller_is_better(metric: str) -> bool:
    """Whether the values of a metric are ranks, or times."""
    if metric == SECONDS:
        return True
    found = parsed(metric)
    return found is not None and found.is_rank


def without_ends(rows: Sequence[RowDict], metric: str | None) -> list[RowDict]:
    """Rows without those measured for the span alone, unless `metric` names them; they lose their flag then."""
    return [
        row | {"flags": tuple(f for f in row["flags"] if f != SPAN)}
        for row in rows
        if SPAN not in row["flags"] or row["metric"] == metric
    ]


def with_spans(rows: Sequence[RowDict], everything: Sequence[RowDict]) -> list[RowDict]:
    """Rows with ``span``: their values under the two extreme orders of ties in the same run, or None."""
    values = {_where(row): row["value"] for row in everything if row["metric"] is not None}
    return [row | {"span": _span(row, values)} for row in rows]


def _span(row: RowDict, values: Mapping[tuple[Any, ...], float]) -> tuple[float, float] | None:
    metric = parsed(row["metric"]) if row["metric"] is not None else None
    ends = span_of(metric) if metric is not None else None
    if ends is None:
        return None
    pessimistic, optimistic = (values.get(_where(row, str(end))) for end in ends)
    return None if pessimistic is None or optimistic is None else (pessimistic, optimistic)


def _where(row: RowDict, metric: str | None = None) -> tuple[Any, ...]:
    named = (row[name] for name in ("run_key", "direction", "protocol", "gallery_codes", "retrieval"))
    return (*named, row["metric"] if metric is None else metric)


def why_none(output: str, metric: str) -> str:
    """Why no number of a leaderboard can have a span; empty where it can."""
    if output != "hash":
        return "measured for hash codes only, which tie most of a ranking"
    found = parsed(metric)
    return why_no_span(found) if found is not None else f"{metric} is no metric of this version"


def fact(output: str, metric: str) -> str:
    """What a reader who asked for spans is told above a leaderboard."""
    reason = why_none(output, metric)
    return f"not shown: {reason}" if reason else _SHOWN
