"""What a value of the gate answers, and which rows of the results take part."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import UnknownNameError
from cmrbench.core.names import with_features
from cmrbench.core.runs import SPAN
from cmrbench.report.current import NEEDED, current_rows
from cmrbench.report.spans import smaller_is_better

if TYPE_CHECKING:
    import pyarrow as pa

Row = dict[str, Any]

GATED = "mAP"
"""How the names of the metrics begin that are compared unless others are named."""

KEY = ("spec_key", "direction", "protocol_fingerprint", "gallery_codes", "retrieval", "metric")
"""What was asked: two values are compared if they agree in all of it. The run key is no part of it: the method's
source and the versions of libraries are just what may have changed."""

_key = itemgetter(*KEY)

DESCRIPTION = ("dataset", "feature_set", "method", "preset", "params", "dim", "bits", "seed", "protocol")

_READ = tuple(dict.fromkeys((*NEEDED, *DESCRIPTION, *KEY, "dataset_fingerprint", "value", "cause", "flags")))

COLUMNS = (*_READ, "environment")
"""The columns of `cmrbench.store.schema` that the gate reads."""

QUERY_COLUMNS = (*KEY, "run_key", "per_query")
"""Those that it reads of single runs where values of single queries are wanted."""

Queries = Callable[[Iterable[str]], "pa.Table"]
"""From run keys to `QUERY_COLUMNS` of these runs."""


@dataclass(frozen=True)
class Selection:
    """Which rows take part; empty: all methods, all datasets, all metrics that begin with `GATED`.

    Datasets are named as results hold them, with or without the feature set: ``wiki`` or ``wiki/sift-lda``.

    What was measured beside the protocol's metrics (`cmrbench.core.runs.SPAN`) takes part where it is named.
    """

    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Whether a row takes part; a run that did not finish has no metric and is judged by the rest."""
        return (
            (not self.methods or row["method"] in self.methods)
            and (not self.datasets or not {row["dataset"], _full_name(row)}.isdisjoint(self.datasets))
            and (row["metric"] is None or self.gates(row["metric"]))
        )

    def asks_for(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of the results belongs into a baseline, or is news where the baseline lacks it."""
        return bool(self.metrics) or SPAN not in (row["flags"] or ())

    def gates(self, metric: str) -> bool:
        """Whether the values of a metric take part."""
        return metric in self.metrics if self.metrics else metric.startswith(GATED)

    def check(self, table: pa.Table, where: str) -> None:
        """Raise an error if a name occurs nowhere in `table`: a misspelt filter must not pass the gate."""
        named = (("method", self.methods), ("dataset", self.datasets), ("metric", self.metrics))
        for column, names in named:
            known = set(table.column(column).unique().to_pylist()) - {None} if names else set()
            if column == "dataset" and names:
                rows = table.select(["dataset", "feature_set"]).group_by(["dataset", "feature_set"]).aggregate([])
                known |= {_full_name(row) for row in rows.to_pylist()}
            for name in names:
                if name not in known:
                    raise UnknownNameError(column, name, known, f"(looked in {where})")


def _full_name(row: Mapping[str, Any]) -> str:
    return with_features(row["dataset"], row["feature_set"])


def standing_rows(table: pa.Table, select: Selection) -> list[Row]:
    """The selected rows that stand, oldest run first, with the ``engine`` that measured them ("" if it is unknown)."""
    import pyarrow as pa
    import pyarrow.compute as pc

    metrics = [m for m in table.column("metric").unique().to_pylist() if m is not None and select.gates(m)]
    gated = pc.is_in(table.column("metric"), value_set=pa.array([None, *metrics], pa.string()))
    table = table.filter(gated)
    engine = pc.fill_null(pc.map_lookup(table.column("environment"), "engine", "first"), "")
    table = table.select(list(_READ)).append_column("engine", engine.cast(pa.string()))
    return [row for row in current_rows(table, (*_READ, "engine")) if select.holds(row)]


@cache
def is_rank(metric: str) -> bool:
    """Whether the values of a metric are ranks, of which the smallest is best."""
    return smaller_is_better(metric)


def key_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What the row answers."""
    return _key(row)  # type: ignore[no-any-return]


def asked_of(row: Mapping[str, Any]) -> Row:
    """What was asked, in words and by key."""
    return {name: row[name] for name in (*DESCRIPTION, *KEY)}


def sortable(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """An order of rows that does not depend on when they were measured."""
    return tuple((row[name] is not None, row[name]) for name in (*DESCRIPTION, *KEY))


def finite(value: float | None) -> float | None:
    """The value, or None where it is no number."""
    return value if value is not None and math.isfinite(value) else None
