"""Which rows of a results table stand: of everything that was asked, the newest answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Codes = npt.NDArray[np.int64]

RECORD_KEY = ("direction", "protocol", "gallery_codes", "retrieval", "metric")
"""What tells the records of one run apart."""

NEEDED = ("spec_key", "run_key", "created", "status", *RECORD_KEY)
"""The columns that `standing` itself reads."""


def current_rows(table: pa.Table, columns: Iterable[str]) -> list[dict[str, Any]]:
    """The rows that stand, as dictionaries of `columns` and the key columns; see `standing`."""
    return rows_of(standing(table.select(list(dict.fromkeys((*NEEDED, *columns))))))


def standing(table: pa.Table) -> pa.Table:
    """The rows that stand.

    Runs with one spec key answer the same question at different times (other code, other versions). They are read
    from the newest to the oldest: a record stands unless a newer run has the same one, and reading stops at a run
    that did not finish. If the newest run did not finish, its one row stands and nothing older hides it.

    A record that is there twice, in copies of one run's file, stands once: the first of them. Whether they agree is
    another question (`cmrbench.report.faults`).

    Parameters
    ----------
    table : pyarrow.Table
        With the columns `NEEDED` of `cmrbench.store.schema`, and any others.

    Returns
    -------
    pyarrow.Table
        The same columns. Oldest run first, rows of a run in their own order; unfinished runs are one row with nulls in
        the columns `RECORD_KEY`.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    n = table.num_rows
    if not n:
        return table
    spec = codes_of(table.column("spec_key"))
    age = _ages(table)
    order = np.lexsort((np.arange(n), age, spec))  # of each question, the newest run first
    spec, age = spec[order], age[order]
    starts_spec = np.append(True, spec[1:] != spec[:-1])
    starts_run = starts_spec | np.append(True, age[1:] != age[:-1])
    run = np.cumsum(starts_run) - 1
    first = np.flatnonzero(starts_run)
    done = pc.fill_null(pc.equal(table.column("status"), "done"), False)
    finished = np.asarray(pc.and_(done, pc.is_valid(table.column("metric"))))[order]
    stops = ~finished[first]
    question = np.cumsum(starts_spec)[first]
    # Runs of a question that come before the first that did not finish.
    stopped = np.cumsum(stops) - np.repeat((np.cumsum(stops) - stops)[starts_spec[first]], np.bincount(question)[1:])
    kept = (stopped == 0)[run]
    failed = np.zeros(n, dtype=bool)
    failed[first[stops & starts_spec[first]]] = True
    # Of each record, the newest that is left.
    record = together([spec, *(codes_of(table.column(name))[order] for name in RECORD_KEY)])
    seen = np.full(record.max() + 1, n)
    np.minimum.at(seen, record[kept], np.flatnonzero(kept))
    kept &= seen[record] == np.arange(n)
    at = order[kept | failed]
    at.sort()  # rows in their own order, then by run
    found = table.take(pa.array(at[np.argsort(-_ages(table)[at], kind="stable")]))
    return _blanked(found)


def _blanked(found: pa.Table) -> pa.Table:
    """Rows with the columns `RECORD_KEY` null where a run did not finish."""
    import pyarrow as pa
    import pyarrow.compute as pc

    done = pc.fill_null(pc.equal(found.column("status"), "done"), False)
    finished = pc.and_(done, pc.is_valid(found.column("metric")))
    if pc.all(finished).as_py():
        return found
    for name in RECORD_KEY:
        column = found.column(name)
        blanked = pc.if_else(finished, column, pa.scalar(None, column.type))
        found = found.set_column(found.column_names.index(name), found.schema.field(name), blanked)
    return found


def _ages(table: pa.Table) -> Codes:
    """Runs by number, the newest first: by when they were made, then by run key."""
    import numpy as np

    created, run_key = (codes_of(table.column(name), ranked=True) for name in ("created", "run_key"))
    together = created * (run_key.max() + 1) + run_key
    _, rank = np.unique(-together, return_inverse=True)
    return rank


def codes_of(column: pa.ChunkedArray, ranked: bool = False) -> Codes:
    """A number for each value of a column, equal for equal ones; `ranked`: in the order of the values, null as ""."""
    import numpy as np
    import pyarrow.compute as pc

    if ranked:
        column = pc.fill_null(column, "")
    encoded = _whole(column).dictionary_encode("encode")
    codes: Codes = np.asarray(encoded.indices).astype(np.int64)
    if ranked:
        values = encoded.dictionary.to_pylist()
        rank = np.empty(len(values), dtype=np.int64)
        rank[sorted(range(len(values)), key=values.__getitem__)] = np.arange(len(values))
        codes = rank[codes]
    return codes


def together(columns: Sequence[Codes]) -> Codes:
    """One number for each combination of numbers in several columns."""
    import numpy as np

    together = columns[0]
    for column in columns[1:]:
        _, together = np.unique(together * (column.max(initial=0) + 1) + column, return_inverse=True)
    return together


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """A table's rows as dictionaries, as ``to_pylist`` makes them but faster; equal texts are one object."""
    names = table.column_names
    columns = [_listed(_whole(column)) for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """A column in one piece."""
    import pyarrow as pa

    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _listed(array: pa.Array) -> list[Any]:
    import pyarrow as pa

    if pa.types.is_string(array.type):
        encoded = array.dictionary_encode("encode")
        values = encoded.dictionary.to_pylist()
        return [values[i] for i in encoded.indices.to_numpy().tolist()]
    if pa.types.is_primitive(array.type) and not pa.types.is_boolean(array.type) and not array.null_count:
        return array.to_numpy().tolist()  # type: ignore[no-any-return]
    if pa.types.is_map(array.type) and not array.null_count:
        return _cut(list(zip(_listed(array.keys), _listed(array.items), strict=True)), array)
    if pa.types.is_list(array.type) and not array.null_count:
        return _cut(_listed(array.values), array)
    return array.to_pylist()  # type: ignore[no-any-return]


def _cut(values: list[Any], array: pa.Array) -> list[list[Any]]:
    """The lists that an array of lists or maps holds, from the values of all of them."""
    ends = array.offsets.to_numpy().tolist()
    return [values[start:end] for start, end in pairwise(ends)]
