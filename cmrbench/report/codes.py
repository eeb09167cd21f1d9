"""What the galleries' hash codes look like: one table for each dataset, protocol and code length."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cmrbench.core.names import with_features
from cmrbench.report.build import COLUMNS, completed
from cmrbench.report.current import current_rows
from cmrbench.report.model import Column, Group, Leaderboard, TableKey
from cmrbench.report.rows import Notes, build_groups
from cmrbench.report.selection import of_datasets
from cmrbench.report.wording import plain, span

if TYPE_CHECKING:
    import pyarrow as pa

CODES_COLUMNS = (*COLUMNS, "codes")
"""The columns of `cmrbench.store.schema` that these tables need."""

DIAGNOSTICS = {
    "bit balance": "balance",
    "bit correlation": "correlation",
    "dead bits": "dead_bits",
    "distinct codes": "distinct_codes",
    "ties at 50": "ties_at_50",
}

RowDict = dict[str, Any]


def codes_tables(table: pa.Table, datasets: Sequence[str] | None = None) -> list[Leaderboard]:
    """Diagnostics of the gallery's codes (`cmrbench.core.runs.CodeDiagnostics`); nothing is ranked.

    Parameters
    ----------
    table : pyarrow.Table
        Results with at least `CODES_COLUMNS`.
    datasets : sequence of str, optional
        Only these.

    Raises
    ------
    UnknownNameError
        If the results hold no such dataset.
    """
    import pyarrow.compute as pc

    # Unfinished runs are kept: they hide what the same question was answered before.
    told = pc.or_(pc.is_valid(table.column("codes")), pc.is_null(table.column("metric")))
    hashing = of_datasets(table, datasets).filter(pc.and_(pc.is_valid(table.column("bits")), told))
    rows = [completed(row) | {"flags": ()} for row in current_rows(hashing, CODES_COLUMNS)]
    places: dict[tuple[TableKey, int], list[RowDict]] = defaultdict(list)
    for row in rows:
        if row["codes"] is not None:
            places[_key(row), row["bits"]].append(row)
    keys = [key for key, _ in places]
    return [_board(*where, places[where], _title(*where, keys)) for where in sorted(places, key=_order)]


def _key(row: RowDict) -> TableKey:
    data = row["dataset"], row["dataset_fingerprint"], row["feature_set"]
    return TableKey(*data, "hash", row["protocol"], row["protocol_fingerprint"], row["gallery_codes"], "codes")


def _order(where: tuple[TableKey, int]) -> tuple[Any, ...]:
    key, bits = where
    data = with_features(key.dataset, key.feature_set), key.dataset_fingerprint
    return *data, key.protocol, key.protocol_fingerprint, key.gallery_codes, bits


def _title(key: TableKey, bits: int, keys: Sequence[TableKey]) -> str:
    """Dataset, protocol, code length; with fingerprints where one name stands for two things."""
    data = [other for other in keys if (other.dataset, other.feature_set) == (key.dataset, key.feature_set)]
    protocols = [other for other in data if other.protocol == key.protocol]
    told = [with_features(key.dataset, key.feature_set)]
    if len({other.dataset_fingerprint for other in data}) > 1:
        told.append(f"data {key.dataset_fingerprint[:8]}")
    told += ["codes of the gallery", f"protocol {key.protocol}"]
    if len({other.protocol_fingerprint for other in protocols}) > 1:
        told.append(f"version {key.protocol_fingerprint[:8]}")
    if key.gallery_codes == "learned":
        told.append("learned gallery codes")
    return plain(", ".join([*told, f"{bits} bits"]))


def _board(key: TableKey, bits: int, rows: Sequence[RowDict], title: str) -> Leaderboard:
    directions = list(dict.fromkeys(row["direction"] for row in rows))
    columns = tuple(
        Column((what, plain(direction.replace("->", " → "))), (f"{what} {direction}",), bits)
        for what in DIAGNOSTICS
        for direction in directions
    )
    figures = [
        _figure(row, f"{what} {row['direction']}", row["codes"][field])
        for row in rows
        for what, field in DIAGNOSTICS.items()
    ]
    facts = (
        ("bit balance", "mean of 1 - |mean of a bit|"),
        ("bit correlation", "mean absolute correlation of different bits"),
        ("distinct codes", f"of {span(row['n_gallery'] for row in rows)} gallery items"),
        ("ties at 50", "share of queries whose items at ranks 50 and 51 are equally far"),
    )
    notes = Notes()
    groups = [_unranked(group) for group in build_groups(key, figures, columns, notes)]
    shown = tuple(group for group in groups if group.rows)
    return Leaderboard(key, title, facts, columns, shown, notes.listed, costs=False)


def _figure(row: RowDict, name: str, value: float | None) -> RowDict:
    """The row as `build_groups` takes it, with a figure in place of a metric's value."""
    return row | {"metric": name, "direction": name, "chance": None, "value": float("nan") if value is None else value}


def _unranked(group: Group) -> Group:
    """The group without ranks, and without chance, which has no codes."""
    rows = [replace(row, cells=tuple(replace(cell, rank="") for cell in row.cells)) for row in group.rows if row.method]
    return replace(group, rows=tuple(rows))
