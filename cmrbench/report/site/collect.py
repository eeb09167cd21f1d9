"""What the page reads of a store: the rows of the tables, and one row a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cmrbench.report.build import COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

    from cmrbench.store.store import Store

RowDict = dict[str, Any]

LIGHT = (*COLUMNS, "environment")
"""Columns that are read of every row."""

RUN_COLUMNS = (
    *("run_key", "spec_key", "method", "params", "preset", "dataset", "dataset_fingerprint", "feature_set", "bits"),
    *("dim", "seed", "info", "status", "cause", "created", "fit_s", "peak_rss", "environment"),
)
"""Those that all rows of a run share."""


def light(store: Store) -> pa.Table:
    """The rows that tables and the summary are made of."""
    return store.table(list(LIGHT))


def runs_of(table: pa.Table) -> list[RowDict]:
    """One row a run, newest first.

    Parameters
    ----------
    table : pyarrow.Table
        As `light` gives it: the rows of a run lie one after another.
    """
    import numpy as np

    if not table.num_rows:
        return []
    codes = table.column("run_key").combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    starts = np.flatnonzero(np.diff(codes, prepend=codes[0] - 1))
    rows = table.select(list(RUN_COLUMNS)).take(starts).to_pylist()
    for row in rows:
        row["info"] = dict(row["info"] or [])
        row["environment"] = dict(row["environment"] or [])
    return sorted(rows, key=lambda row: (row["created"] or "", row["run_key"] or ""), reverse=True)
