"""Curves and values by class for the charts: means over seeds, by table, row, direction and code length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from cmrbench.core.runs import CUTOFFS
from cmrbench.report.site.boards import BoardView
from cmrbench.report.site.details import Found, records_of
from cmrbench.report.wording import plain

RowDict = dict[str, Any]


def chart_data(view: BoardView, found: Found) -> dict[str, Any] | None:
    """Curves and class values of one leaderboard, or None where its records have none.

    Returns
    -------
    dict or None
        ``cutoffs`` (ranks), ``classes`` (names), ``metric`` (of the class values) and ``rows``: by position of the row
        in the table, then ``"direction|bits"``, the lists ``[precision, interpolated, classes]``, each of them a mean
        over seeds, null where there is none.
    """
    rows: dict[str, dict[str, list[Any]]] = {}
    classes: dict[str, None] = {}
    metrics: dict[str, None] = {}
    grouped: dict[int, dict[str, list[RowDict]]] = {}
    for index, row in enumerate(view.board.rows):
        if not row.run_keys:
            continue
        cells: dict[str, list[RowDict]] = defaultdict(list)
        for record in records_of(view, index, found):
            cells[f"{record['direction']}|{record['bits'] or ''}"].append(record)
            classes.update(dict.fromkeys(name for name, _ in record["per_class"] or []))
            metrics[record["metric"]] = None
        grouped[index] = cells
    for index, cells in grouped.items():
        made = {where: _means(records, list(classes)) for where, records in cells.items()}
        if made:
            rows[str(index)] = made
    if not rows:
        return None
    return {
        "cutoffs": list(CUTOFFS),
        "classes": [plain(name) for name in classes],
        "metric": plain(", ".join(metrics)),
        "rows": rows,
    }


def _means(records: Sequence[RowDict], classes: Sequence[str]) -> list[Any]:
    curves = [record["curves"] for record in records if record["curves"]]
    by_class = [dict(record["per_class"]) for record in records if record["per_class"]]
    return [
        _mean([c["precision"] for c in curves]),
        _mean([c["interpolated"] for c in curves]),
        _mean([[values.get(name) for name in classes] for values in by_class]),
    ]


def _mean(lists: Sequence[Sequence[float | None]]) -> list[float | None] | None:
    """Mean over lists of the values that all of them have, four digits; NaN is none."""
    if not lists:
        return None
    length = min(map(len, lists))
    means: list[float | None] = []
    for position in range(length):
        values = [v for one in lists if (v := one[position]) is not None and v == v]
        means.append(round(sum(values) / len(values), 4) if len(values) == len(lists) else None)
    return means
