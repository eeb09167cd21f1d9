"""A comparison of methods for programs: CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cmrbench.report.comparison import Comparison, Duel, Query
from cmrbench.report.json import finite
from cmrbench.report.wording import plain

if TYPE_CHECKING:
    from cmrbench.report.model import TableKey
    from cmrbench.statistics.paired import Inference

Labels = Callable[["TableKey", Query], str]
"""What a query is called: its item's id, where the dataset can be opened, or else its position."""

FIELDS = (
    *("table", "dataset", "feature_set", "protocol", "gallery_codes", "metric", "column", "directions", "bits"),
    *("first", "second", "first_mean", "second_mean", "first_seeds", "second_seeds", "effect", "queries", "dropped"),
    *("p_queries", "p_queries_holm", "low_queries", "high_queries", "p_seeds", "p_seeds_holm", "low_seeds"),
    *("high_seeds", "df_seeds", "won", "lost", "tied", "why"),
    *(f"{which}_{part}" for which in ("first", "second") for part in ("seeds_part", "queries_part", "residual_part")),
)
"""The header of the CSV, and keys of a duel in JSON. Differences are first minus second; the parts are contributions
to the variance of each method's mean, empty where they are unknown."""


def as_csv(comparison: Comparison) -> str:
    """One line for each pair of methods and column, under the header `FIELDS`."""
    from cmrbench.report.csv import entry

    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for duel in comparison.duels:
        writer.writerow({name: entry(value) for name, value in finite(_record(duel)).items()})
    return out.getvalue()


def _record(d: Duel) -> dict[str, Any]:
    def told(found: Inference | None, name: str) -> Any:
        return None if found is None else getattr(found, name)

    q, s = d.test.over_queries, d.test.over_seeds
    key = d.key
    values = (
        *(d.board, key.dataset, key.feature_set, key.protocol, key.gallery_codes, key.metric, d.column.name),
        *(" ".join(d.column.directions), d.column.bits, str(d.first), str(d.second), *d.means, *d.seeds),
        *(d.test.effect, d.test.queries, d.test.dropped),
        *(told(q, "p"), d.p_queries, told(q, "low"), told(q, "high")),
        *(told(s, "p"), d.p_seeds, told(s, "low"), told(s, "high"), told(s, "df")),
        *(d.test.won, d.test.lost, d.test.tied, d.test.why),
        *(part for split in d.splits for part in (split.seeds, split.queries, split.residual)),
    )
    return {name: plain(v) if isinstance(v, str) else v for name, v in zip(FIELDS, values, strict=True)}


def as_json(comparison: Comparison, labels: Labels) -> str:
    """Everything, with null where there is no number."""
    value = {
        "format": 1,
        "methods": [str(c) for c in comparison.contenders],
        "comparisons": [
            _record(d)
            | {
                "changed": [
                    {"query": labels(d.key, q), "position": q.position, "first": q.first, "second": q.second}
                    for q in d.changed
                ]
            }
            for d in comparison.duels
        ],
        "groups": [
            {
                "table": s.board,
                "column": s.column.name,
                "methods": [str(c) for c in s.contenders],
                "means": list(s.means),
                "letters": list(s.letters),
                "p": [list(line) for line in s.p],
            }
            for s in comparison.standings
        ],
        "critical_differences": [vars(diagram) for diagram in comparison.diagrams],
        "splits": [
            {
                "datasets": list(s.names),
                "what": s.what,
                "method": str(s.contender),
                "mean": s.mean,
                "variance": vars(s.variance),
            }
            for s in comparison.splits
        ],
        "notes": list(comparison.notes),
    }
    return json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
