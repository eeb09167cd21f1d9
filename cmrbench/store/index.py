"""An index over the run files: their rows without the heavy columns, in one file, so that tables need not open all.

It is made of the files alone and can be deleted at any time. An entry counts as long as its file has the size, the time
and the inode that it had when it was read; whatever is new or changed is read again. Where the index is damaged, of
another version or cannot be written, the files are read.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cmrbench.core.errors import UsageError
from cmrbench.store.files import StoreWarning, read_run, write_parquet
from cmrbench.store.schema import HEAVY, SCHEMA, SCHEMA_VERSION, completed

NAME = ".index.parquet"

LEAST = 64
"""Files that are rather read than kept an index of: so many in all, or so many that the index does not know yet."""

LIGHT = tuple(name for name in SCHEMA.names if name not in HEAVY)
"""The columns that the index holds."""

_MARK = b"cmrbench_index"
_VERSION = f"1 of {SCHEMA_VERSION}"
_AT_A_TIME = 128
"""Files that are read and joined at a time: a table of many thousand pieces is slow, and takes much memory."""

_THREADS = min(8, os.cpu_count() or 1)

T = TypeVar("T")


class Stamp(NamedTuple):
    """What changes when a file is replaced."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of run files, one file after another.

    Attributes
    ----------
    table : pyarrow.Table
        Some of the columns `LIGHT`.
    names : list of str
        The files, sorted.
    stamps : list of Stamp
    counts : ndarray of int64, shape (files,)
        Rows of each file.
    """

    table: pa.Table
    names: list[str]
    stamps: list[Stamp]
    counts: np.ndarray

    def of_files(self, wanted: Callable[[str, Stamp], bool]) -> Rows:
        """The rows of some of the files."""
        kept = np.array([wanted(*one) for one in zip(self.names, self.stamps, strict=True)], dtype=bool)
        if kept.all():
            return self
        some = np.flatnonzero(kept).tolist()
        table = self.table.filter(pa.array(np.repeat(kept, self.counts)))
        return Rows(table, [self.names[i] for i in some], [self.stamps[i] for i in some], self.counts[kept])

    def joined(self, other: Rows) -> Rows:
        """The rows of both, in the order of the names, which are different ones."""
        names, counts = self.names + other.names, np.concatenate([self.counts, other.counts])
        order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
        table = pa.concat_tables([self.table, other.table])
        if (np.diff(order) != 1).any():
            starts = np.cumsum(counts) - counts
            ends = np.cumsum(counts[order])
            at = np.repeat(starts[order] - (ends - counts[order]), counts[order]) + np.arange(
                ends[-1] if len(ends) else 0
            )
            table = table.take(pa.array(at))
        stamps = self.stamps + other.stamps
        return Rows(table, [names[i] for i in order], [stamps[i] for i in order], counts[order])


def read_table(
    runs: Path, columns: Sequence[str], run_keys: Iterable[str] | None = None, where: Any = None
) -> pa.Table:
    """Columns of the run files in a folder; see `cmrbench.store.store.Store.table`."""
    light = [name for name in columns if name in LIGHT]
    heavy = [name for name in columns if name not in LIGHT]
    needed = list(dict.fromkeys(["run_key", *light, *(_columns_in(where) if where is not None else ())]))
    rows = _rows(runs, needed, run_keys)
    table, at = _filtered(rows.table, where)
    if not heavy:
        return table.select(columns)
    found = _heavy_columns(runs, rows, at, heavy)
    if found is None:  # a file is damaged, or has changed since its light columns were read: all from the files
        stamps = dict(zip(rows.names, rows.stamps, strict=True))
        return _filtered(_read(stamps, runs, [*needed, *heavy]).table, where)[0].select(columns)
    for name in heavy:
        table = table.append_column(SCHEMA.field(name), found.column(name))
    return table.select(columns)


def files_of(runs: Path, run_keys: Iterable[str]) -> dict[str, list[str]]:
    """Names of the files with rows of each run; see `cmrbench.store.store.Store.files_of`."""
    wanted: dict[str, list[str]] = {key: [] for key in run_keys}
    if not wanted:
        return wanted
    rows = _rows(runs, ["run_key"], None)
    held = rows.table.column("run_key").to_pylist()
    start = 0
    for name, count in zip(rows.names, rows.counts.tolist(), strict=True):
        for key in dict.fromkeys(held[start : start + count]):
            if key in wanted:
                wanted[key].append(name)
        start += count
    return wanted


def _rows(runs: Path, columns: list[str], run_keys: Iterable[str] | None) -> Rows:
    """Light columns, from the index where there are many files."""
    stamps = _stamps_in(runs)
    if run_keys is None:
        return _read(stamps, runs, columns) if len(stamps) <= LEAST else _indexed(runs, columns, stamps)
    keys = {f"{key}.parquet" for key in run_keys}
    if len(keys) <= LEAST:
        return _read({name: stamps[name] for name in sorted(keys & stamps.keys())}, runs, columns)
    return _indexed(runs, columns, stamps).of_files(lambda name, _: name in keys)


def _stamps_in(runs: Path) -> dict[str, Stamp]:
    """The run files of a folder with their stamps, sorted by name; those that vanish meanwhile are left out."""
    found = {}
    with suppress(OSError), os.scandir(runs) as entries:
        for entry in entries:
            if entry.name.endswith(".parquet") and not entry.name.startswith("."):
                with suppress(OSError):
                    status = entry.stat()
                    found[entry.name] = Stamp(status.st_size, status.st_mtime_ns, status.st_ino)
    return dict(sorted(found.items()))


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
        kept = table.append_column("", pa.array(at)).filter(where)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"rows cannot be filtered by {where}: {reason}; the columns are {', '.join(LIGHT)}") from error
    return kept.drop_columns([""]), kept.column("").to_numpy()


def _heavy_columns(runs: Path, rows: Rows, at: np.ndarray, columns: Sequence[str]) -> pa.Table | None:
    """Heavy columns of the rows at some positions, read from their files; None if a file has changed meanwhile."""
    first = np.cumsum(rows.counts) - rows.counts
    file_of = np.repeat(np.arange(len(rows.names)), rows.counts)[at]
    files, starts = np.unique(file_of, return_index=True)
    rows_of = dict(zip(files.tolist(), np.split(at - first[file_of], starts[1:]), strict=bool(len(files))))

    def read(some: Sequence[int]) -> pa.Table | None:
        tables = []
        for file in some:
            path, wanted = runs / rows.names[file], rows_of[file]
            try:
                table = read_run(path, columns)
                if table.num_rows != rows.counts[file] or _stamp(path) != rows.stamps[file]:
                    return None
            except (OSError, pa.ArrowException, ValueError):
                return None
            tables.append(table if len(wanted) == table.num_rows else table.take(pa.array(wanted)))
        return _one(tables, columns)

    tables = _in_threads(read, files.tolist())
    return None if any(table is None for table in tables) else _one((t for t in tables if t is not None), columns)


def _indexed(runs: Path, wanted: list[str], stamps: dict[str, Stamp]) -> Rows:
    """Rows of all files from the index, which is made or brought up to date where much is missing."""
    path = runs / NAME
    known = _load(path, wanted)
    held = {} if known is None else dict(zip(known.names, known.stamps, strict=True))
    fresh = {name: stamp for name, stamp in stamps.items() if held.get(name) != stamp}
    gone = len(held) - (len(stamps) - len(fresh))
    if known is not None and len(fresh) + gone <= LEAST:
        rows = known.of_files(lambda name, stamp: stamps.get(name) == stamp)
        return rows.joined(_read(fresh, runs, wanted)) if fresh else rows
    everything = _load(path, list(LIGHT)) if known is not None else None
    rows = _empty() if everything is None else everything.of_files(lambda name, stamp: stamps.get(name) == stamp)
    lacking = {name: stamp for name, stamp in stamps.items() if name not in set(rows.names)}
    rows = rows.joined(_read(lacking, runs, list(LIGHT)))
    _save(rows, path)
    return Rows(rows.table.select(wanted), rows.names, rows.stamps, rows.counts)


def _read(stamps: dict[str, Stamp], runs: Path, columns: Sequence[str]) -> Rows:
    """Rows of files from themselves; a truncated or foreign one is left out with a warning."""

    def read(names: Sequence[str]) -> tuple[pa.Table, list[str], list[int], dict[str, str]]:
        tables, reasons = {}, {}
        for name in names:
            try:
                tables[name] = read_run(runs / name, columns)
            except FileNotFoundError:
                continue
            except (OSError, pa.ArrowException, ValueError) as error:
                reasons[name] = (str(error).splitlines() or [type(error).__name__])[0]
        return _one(tables.values(), columns), list(tables), [t.num_rows for t in tables.values()], reasons

    parts = _in_threads(read, list(stamps))
    for name, reason in (item for *_, reasons in parts for item in reasons.items()):
        warnings.warn(f"{runs / name} is left out: {reason}; delete it", StoreWarning, stacklevel=2)
    names = [name for _, some, _, _ in parts for name in some]
    counts = np.array([count for _, _, some, _ in parts for count in some], dtype=np.int64)
    return Rows(_one((table for table, *_ in parts), columns), names, [stamps[name] for name in names], counts)


def _in_threads(read: Callable[[Sequence[Any]], T], items: Sequence[Any]) -> list[T]:
    """What `read` makes of `_AT_A_TIME` items after the other."""
    parts = [items[start : start + _AT_A_TIME] for start in range(0, len(items), _AT_A_TIME)]
    if len(parts) <= 1 or _THREADS == 1:
        return [read(part) for part in parts]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(read, parts))


def _one(tables: Iterable[pa.Table], columns: Sequence[str]) -> pa.Table:
    """Tables one after another, in few pieces."""
    listed = list(tables)
    if not listed:
        return completed(SCHEMA.empty_table(), columns)
    joined = pa.concat_tables(listed)
    return joined.combine_chunks() if joined.num_rows < _AT_A_TIME * 100 else joined


def _empty() -> Rows:
    return Rows(completed(SCHEMA.empty_table(), LIGHT), [], [], np.zeros(0, dtype=np.int64))


def _load(path: Path, columns: Sequence[str]) -> Rows | None:
    """The index with some columns; None where there is none that can be used."""
    try:
        with open(path, "rb") as handle, pq.ParquetFile(handle) as file:
            told = json.loads((file.schema_arrow.metadata or {})[_MARK])
            if told["version"] != _VERSION or file.schema_arrow.names != list(LIGHT):
                return None
            names = [str(name) for name, *_ in told["files"]]
            stamps = [Stamp(*map(int, stamp)) for _, stamp, _ in told["files"]]
            counts = np.array([count for *_, count in told["files"]], dtype=np.int64)
            if counts.sum() != file.metadata.num_rows or (counts < 0).any() or names != sorted(set(names)):
                return None
            table = completed(file.read(list(columns)), columns)
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        return None
    return Rows(table, names, stamps, counts)


def _save(rows: Rows, path: Path) -> None:
    """Write the index; where that is not possible there is none."""
    files = [[n, s, int(c)] for n, s, c in zip(rows.names, rows.stamps, rows.counts, strict=True)]
    mark = {_MARK: json.dumps({"version": _VERSION, "files": files})}
    with suppress(OSError):
        write_parquet(rows.table.replace_schema_metadata(mark), path)


def _stamp(path: Path) -> Stamp:
    status = path.stat()
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ino)
