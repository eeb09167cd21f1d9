"""Small results and baselines by hand."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from cmrbench.core.runs import Record, RunResult, RunSpec
from cmrbench.gate import Baseline, GateReport, Rule, Selection, baseline_of, compare
from cmrbench.store.schema import to_table

IT, TI = "image->text", "text->image"
LATER = "2026-06-01T00:00:00+00:00"


def record(direction: str, value: float, **changes: Any) -> Record:
    query, gallery = direction.split("->")
    fields: dict[str, Any] = {
        "query_modality": query,
        "gallery_modality": gallery,
        "protocol": "all-test",
        "protocol_fingerprint": "p1",
        "gallery_codes": "function",
        "retrieval": "cosine",
        "metric": "mAP@all",
        "value": value,
        "stderr": 0.01,
        "chance": 0.1,
        "n_query": 10,
        "n_gallery": 10,
        "per_query": (value,) * 10,
    }
    return Record(**fields | changes)


def run(
    method: str = "cca",
    values: dict[str, float] | None = None,
    *,
    status: str = "done",
    cause: str = "",
    created: str = "2026-01-01T00:00:00+00:00",
    key: str = "",
    seconds: float = 1.0,
    engine: str | None = "1",
    spec: dict[str, Any] | None = None,
    **changes: Any,
) -> pa.Table:
    """The rows of one run; `values` are mAP by direction, `changes` go into every record."""
    asked: dict[str, Any] = {
        "method": method,
        "dataset": "emoji",
        "dataset_fingerprint": "d1",
        "feature_set": "default",
    }
    what = RunSpec(**asked | (spec or {}))
    values = {IT: 0.5, TI: 0.4} if values is None else values
    return to_table(
        RunResult(
            spec=what,
            run_key=what.spec_key + key,
            status=status,
            info={"title": method, "category": "unsupervised_real", "output": "real"},
            resolved={},
            created=created,
            cause=cause,
            seconds={"fit": seconds, "total": seconds},
            environment={} if engine is None else {"engine": engine, "python": "3.11"},
            records=tuple(record(d, v, **changes) for d, v in values.items()) if status == "done" else (),
        )
    )


def gate(before: pa.Table, now: pa.Table, max_drop: float | None = None, select: Selection | None = None) -> GateReport:
    """Results against the baseline that earlier results make."""
    return compare(now, baseline_of(before)[0], Rule(max_drop), select)


def made(*tables: pa.Table, select: Selection | None = None) -> Baseline:
    """The baseline that results make."""
    return baseline_of(pa.concat_tables(tables), select)[0]


def kinds(report: GateReport) -> list[str]:
    return [c.kind for c in report.changes]
