"""Tables of a store: light columns from the index, heavy ones from the files of the rows asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cmrbench.core.errors import UsageError
from cmrbench.store.files import read_run
from cmrbench.store.index import Index
from cmrbench.store.rows import LIGHT, RANGE, Rows, in_threads, one_table, read_files, stamp_of
from cmrbench.store.schema import SCHEMA

_POSITION = " position"


def read_table(
    index: Index, columns: Sequence[str], run_keys: Iterable[str] | None = None, where: Any = None
) -> pa.Table:
    """Columns of the runs of a folder; see `cmrbench.store.store.Store.table`."""
    light = [name for name in columns if name in LIGHT]
    heavy = [name for name in columns if name not in LIGHT]
    needed = [*light, *(_columns_in(where) if where is not None else ())]
    ranges = [name for column in heavy for name in RANGE.get(column, ())]
    rows = index.rows([*needed, *ranges], run_keys)
    table, at = _filtered(rows.table, where)
    if not heavy:
        return table.select(columns)
    found = _heavy_columns(index, rows, table, at, heavy)
    if found is None:  # a file is damaged, or has changed since its light columns were read: all from the files
        rows = read_files(index.runs, rows.stamps, list(dict.fromkeys(["run_key", *needed, *heavy])))
        return _filtered(rows.table, where)[0].select(columns)
    for name, column in zip(heavy, found, strict=True):
        table = table.append_column(SCHEMA.field(name), column)
    return table.select(columns)


def files_of(index: Index, run_keys: Iterable[str]) -> dict[str, list[str]]:
    """Names of the files with rows of each run; see `cmrbench.store.store.Store.files_of`."""
    wanted: dict[str, list[str]] = {key: [] for key in run_keys}
    if not wanted:
        return wanted
    rows = index.rows(["run_key"])
    held = rows.table.column("run_key").to_pylist()
    for name, start, count in zip(rows.names, rows.starts.tolist(), rows.counts.tolist(), strict=True):
        for key in dict.fromkeys(held[start : start + count]):
            if key in wanted:
                wanted[key].append(name)
    return wanted


def _columns_in(where: Any) -> list[str]:
    """The light columns that an expression may look at: all whose names occur in it."""
    words = set(re.findall(r"\w+", str(where)))
    return [name for name in LIGHT if name in words]


def _filtered(table: pa.Table, where: Any) -> tuple[pa.Table, np.ndarray]:
    """The rows for which an expression holds, and their positions."""
    at = np.arange(table.num_rows)
    if where is None:
        return table, at
    try:
        kept = table.append_column(_POSITION, pa.array(at)).filter(where)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"rows cannot be filtered by {where}: {reason}; the columns are {', '.join(LIGHT)}") from error
    return kept.drop_columns([_POSITION]), kept.column(_POSITION).to_numpy()


def _heavy_columns(
    index: Index, rows: Rows, table: pa.Table, at: np.ndarray, columns: Sequence[str]
) -> list[pa.ChunkedArray] | None:
    """Heavy columns of the rows at some positions, which `table` holds; None if a file has changed meanwhile."""
    file_of = np.repeat(np.arange(len(rows.names)), rows.counts)[at]
    files, first = np.unique(file_of, return_index=True)
    parts = [slice(*ends) for ends in pairwise([*first.tolist(), len(at)])]
    if columns == ["per_query"] and not table.column(RANGE["per_query"][0]).null_count:
        return _values(index, rows, table, list(zip(files.tolist(), parts, strict=True)))

    def read(some: Sequence[tuple[int, slice]]) -> pa.Table | None:
        tables = []
        for file, part in some:
            name = rows.names[file]
            path, wanted = index.runs / name, at[part] - rows.starts[file]
            try:
                found = read_run(path, columns)
                if found.num_rows != rows.counts[file] or stamp_of(path.stat()) != rows.stamps[name]:
                    return None
            except (OSError, pa.ArrowException, ValueError):
                return None
            tables.append(found if len(wanted) == found.num_rows else found.take(pa.array(wanted)))
        return one_table(tables)

    tables = in_threads(read, list(zip(files.tolist(), parts, strict=True)))
    if any(one is None for one in tables):
        return None
    found = one_table(tables) or SCHEMA.empty_table()
    return [found.column(name) for name in columns]


def _values(
    index: Index, rows: Rows, table: pa.Table, files: Sequence[tuple[int, slice]]
) -> list[pa.ChunkedArray] | None:
    """The column ``per_query`` by its bytes: a file's footer, which takes most of the time, is not read."""
    where, counted = (table.column(name) for name in RANGE["per_query"])
    none = np.asarray(pc.is_null(counted))
    first, lengths = np.asarray(where, dtype=np.int64), np.asarray(pc.fill_null(counted, 0), dtype=np.int64)
    start, size = first.tolist(), (8 * lengths).tolist()

    def read(some: Sequence[tuple[int, slice]]) -> bytes | None:
        pieces = []
        for file, part in some:
            name = rows.names[file]
            try:
                handle = os.open(index.runs / name, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return None
            try:
                if stamp_of(os.fstat(handle)) != rows.stamps[name]:
                    return None
                pieces += [os.pread(handle, size[i], start[i]) for i in range(part.start, part.stop)]
            except OSError:
                return None
            finally:
                os.close(handle)
        return b"".join(pieces)

    parts = in_threads(read, files)
    if any(one is None for one in parts):
        return None
    values = np.frombuffer(b"".join(one for one in parts if one is not None), dtype=np.float64)
    if len(values) != lengths.sum():
        return None
    chunks = []
    most = np.iinfo(np.int32).max // 2  # a list column counts its values in 32 bits
    ends = np.cumsum(lengths)
    begin = 0
    while begin < len(lengths):
        base = ends[begin] - lengths[begin]
        end = max(begin + 1, int(np.searchsorted(ends, base + most, side="right")))
        offsets = np.append(0, ends[begin:end] - base).astype(np.int32)
        mask = pa.array(none[begin:end])
        chunks.append(pa.ListArray.from_arrays(pa.array(offsets), pa.array(values[base : ends[end - 1]]), mask=mask))
        begin = end
    return [pa.chunked_array(chunks, SCHEMA.field("per_query").type)]
