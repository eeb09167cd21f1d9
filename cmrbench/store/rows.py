"""Rows of many run files: the light ones as one table, and where in the files the heavy ones are."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from cmrbench.store.files import StoreWarning, Values, read_held, values_in
from cmrbench.store.schema import HEAVY, SCHEMA, completed, fault_in

LEAST = 64
"""Files that are rather read than kept an index of: so many in all, or so many that the index does not know yet."""

LIGHT = tuple(name for name in SCHEMA.names if name not in HEAVY)
"""The columns of results that are read without opening their files."""

RANGE = {"per_query": ("per_query_at", "per_query_length")}
"""Where the values of a heavy column lie in a row's file: first byte (null: ask the file's reader), and how many."""

AT_A_TIME = 128
"""Files that are read and joined at a time: a table of many thousand pieces is slow, and takes much memory."""

THREADS = min(8, os.cpu_count() or 1)

T = TypeVar("T")


class Stamp(NamedTuple):
    """What changes when a file is replaced."""

    size: int
    mtime_ns: int
    inode: int


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of a file."""
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


def light_schema() -> pa.Schema:
    """The light columns of results, and where values lie."""
    at, length = RANGE["per_query"]
    light = [SCHEMA.field(name) for name in LIGHT]
    return pa.schema([*light, pa.field(at, pa.int64()), pa.field(length, pa.int32())], metadata=SCHEMA.metadata)


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of run files, one file after another, sorted by the files' names.

    Attributes
    ----------
    table : pyarrow.Table
        Some columns of `light_schema`, and any heavy ones.
    stamps : mapping of str to Stamp
        The files.
    counts : ndarray of int64, shape (files,)
        Rows of each file.
    """

    table: pa.Table
    stamps: Mapping[str, Stamp]
    counts: np.ndarray

    @classmethod
    def empty(cls, columns: Sequence[str]) -> Rows:
        """No rows."""
        schema = light_schema()
        return cls(pa.schema([schema.field(c) for c in columns]).empty_table(), {}, np.zeros(0, dtype=np.int64))

    @cached_property
    def names(self) -> list[str]:
        """The files."""
        return list(self.stamps)

    @cached_property
    def starts(self) -> np.ndarray:
        """The first row of each file."""
        starts: np.ndarray = np.cumsum(self.counts) - self.counts
        return starts

    @cached_property
    def place(self) -> dict[str, int]:
        """The files' places by their names."""
        return {name: i for i, name in enumerate(self.stamps)}

    def select(self, columns: Sequence[str]) -> Rows:
        """The same rows with fewer columns."""
        return Rows(self.table.select(list(columns)), self.stamps, self.counts)

    def of_files(self, names: Sequence[str]) -> Rows:
        """The rows of some of the files, in the order given."""
        if len(names) == len(self.stamps):
            return self
        files = np.array([self.place[name] for name in names], dtype=np.int64)
        return self._at(files, [self.names[i] for i in files.tolist()])

    def where(self, kept: np.ndarray) -> Rows:
        """The files with rows that are kept, and these rows."""
        of = np.repeat(np.arange(len(self.counts)), self.counts)
        counts = np.bincount(of[kept], minlength=len(self.counts))
        stamps = {
            name: stamp for (name, stamp), count in zip(self.stamps.items(), counts.tolist(), strict=True) if count
        }
        return Rows(self.table.filter(pa.array(kept)), stamps, counts[counts > 0])

    def joined(self, other: Rows) -> Rows:
        """The rows of both, sorted by the names, which are different ones."""
        both = Rows(
            pa.concat_tables([self.table, other.table]),
            {**self.stamps, **other.stamps},
            np.concatenate([self.counts, other.counts]),
        )
        names = both.names
        order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
        return both if (np.diff(order) == 1).all() else both._at(order, [names[i] for i in order.tolist()])

    def _at(self, files: np.ndarray, names: Sequence[str]) -> Rows:
        counts = self.counts[files]
        ends = np.cumsum(counts)
        at = np.arange(counts.sum()) + np.repeat(self.starts[files] - (ends - counts), counts)
        return Rows(self.table.take(pa.array(at)), {name: self.stamps[name] for name in names}, counts)


def read_files(runs: Path, stamps: Mapping[str, Stamp], columns: Sequence[str]) -> Rows:
    """Columns of files from the files themselves; a truncated or foreign one is left out with a warning."""
    own = [name for name in columns if name in SCHEMA.names]
    ranges = [name for name in columns if name not in SCHEMA.names]

    def joined(tables: Iterable[pa.Table]) -> pa.Table | None:
        # Completed together, which costs as much as one of them; files of one version have the same columns.
        alike = groupby(tables, lambda table: tuple(table.column_names))
        return one_table(completed(one_table(some), own) for _, some in alike)

    def read(names: Sequence[str]) -> tuple[pa.Table | None, list[str], list[int], dict[str, str]]:
        tables: dict[str, pa.Table] = {}
        values: dict[str, Values] = {}
        reasons = {}
        for name in names:
            try:
                if ranges:
                    tables[name], values[name] = values_in(runs / name, own)
                else:
                    tables[name] = read_held(runs / name, own)
            except FileNotFoundError:
                continue
            except (OSError, pa.ArrowException, ValueError) as error:
                reasons[name] = (str(error).splitlines() or [type(error).__name__])[0]
        table = joined(tables.values())
        if table is not None and fault_in(table):
            faults = {name: fault for name, one in tables.items() if (fault := fault_in(one))}
            reasons |= faults
            tables = {name: one for name, one in tables.items() if name not in faults}
            table = joined(tables.values())
        if ranges and table is not None:
            table = _with_ranges(table, [values[name] for name in tables])
        return table, list(tables), [t.num_rows for t in tables.values()], reasons

    parts = in_threads(read, list(stamps))
    for name, reason in (item for *_, reasons in parts for item in reasons.items()):
        warnings.warn(f"{runs / name} is left out: {reason}; delete it", StoreWarning, stacklevel=2)
    names = [name for _, some, _, _ in parts for name in some]
    counts = np.array([count for _, _, some, _ in parts for count in some], dtype=np.int64)
    table = one_table(table for table, *_ in parts if table is not None)
    if table is None:
        table = completed(SCHEMA.empty_table(), own) if not ranges else Rows.empty(columns).table
    return Rows(table.select(list(columns)), {name: stamps[name] for name in names}, counts)


def _with_ranges(table: pa.Table, values: Sequence[Values]) -> pa.Table:
    at, length = RANGE["per_query"]
    first, counted = [i for lie in values for i in lie.at], [n for lie in values for n in lie.lengths]
    table = table.append_column(pa.field(at, pa.int64()), pa.array(first, pa.int64()))
    return table.append_column(pa.field(length, pa.int32()), pa.array(counted, pa.int32()))


def in_threads(read: Callable[[Sequence[Any]], T], items: Sequence[Any]) -> list[T]:
    """What `read` makes of `AT_A_TIME` items after the other."""
    parts = [items[start : start + AT_A_TIME] for start in range(0, len(items), AT_A_TIME)]
    if len(parts) <= 1 or THREADS == 1:
        return [read(part) for part in parts]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(read, parts))


def one_table(tables: Iterable[pa.Table]) -> pa.Table | None:
    """Tables one after another, in few pieces; None where there is none."""
    listed = list(tables)
    if not listed:
        return None
    joined = pa.concat_tables(listed)
    return joined.combine_chunks() if joined.num_rows < AT_A_TIME * 100 else joined
