"""Which rows of a results table stand: of everything that was asked, the newest answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

RECORD_KEY = ("direction", "protocol", "gallery_codes", "retrieval", "metric")
"""What tells the records of one run apart."""

NEEDED = ("spec_key", "run_key", "created", "status", *RECORD_KEY)
"""The columns that `current_rows` itself reads."""


def current_rows(table: pa.Table, columns: Iterable[str]) -> list[dict[str, Any]]:
    """The rows that stand, as dictionaries of `columns` and the key columns.

    Runs with one spec key answer the same question at different times (other code, other versions). They are read
    from the newest to the oldest: a record stands unless a newer run has the same one, and reading stops at a run
    that did not finish. If the newest run did not finish, its one row stands and nothing older hides it.

    Parameters
    ----------
    table : pyarrow.Table
        With the columns of `cmrbench.store.schema`; others than the needed ones may be missing.
    columns : iterable of str
        Which further columns the rows carry.

    Returns
    -------
    list of dict
        Oldest run first, rows of a run in their own order; unfinished runs have ``metric`` None.
    """
    wanted = dict.fromkeys((*NEEDED, *columns))
    specs: dict[str, dict[tuple[str, str], list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in table.select(list(wanted)).to_pylist():
        specs[row["spec_key"]][row["created"] or "", row["run_key"] or ""].append(row)
    standing: list[dict[str, Any]] = []
    for runs in specs.values():
        standing += _standing(runs)
    # The sort is stable: the rows of a run keep their order, which is the dataset's order of directions.
    return sorted(standing, key=lambda row: (row["created"] or "", row["run_key"] or ""))


def _standing(runs: dict[tuple[str, str], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    seen: set[tuple[Any, ...]] = set()
    for age, when in enumerate(sorted(runs, reverse=True)):
        rows = runs[when]
        if rows[0]["status"] != "done" or rows[0]["metric"] is None:
            if age == 0:
                kept.append(rows[0] | dict.fromkeys(RECORD_KEY))
            break
        fresh = [row for row in rows if tuple(row[k] for k in RECORD_KEY) not in seen]
        seen.update(tuple(row[k] for k in RECORD_KEY) for row in fresh)
        kept += fresh
    return kept
