"""Lists of different length for several queries, and how those of several shards become one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Lists:
    """A list of entries for every query, one after the other.

    Attributes
    ----------
    ends : ndarray of int64, shape (rows,)
        Where the list of each query ends.
    columns : tuple of ndarray, each of shape (entries,)
    """

    ends: np.ndarray
    columns: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, rows: Iterable[tuple[np.ndarray, ...]]) -> Lists:
        """Lists with the columns of every query."""
        listed = list(rows)
        lengths = [len(columns[0]) for columns in listed]
        return cls(np.cumsum(lengths, dtype=np.int64), tuple(np.concatenate(c) for c in zip(*listed, strict=True)))

    @classmethod
    def merge(cls, several: Sequence[Lists], join: Callable[..., tuple[np.ndarray, ...]]) -> Lists:
        """Lists of the same queries made one; `join` is given each column of a query, all its parts in a row."""
        return cls.of(
            join(*(np.concatenate(c) for c in zip(*(one.row(i) for one in several), strict=True)))
            for i in range(len(several[0].ends))
        )

    def row(self, i: int) -> tuple[np.ndarray, ...]:
        """The columns of one query."""
        part = slice(self.ends[i - 1] if i else 0, self.ends[i])
        return tuple(column[part] for column in self.columns)

    def rows(self, rows: slice) -> tuple[np.ndarray, ...]:
        """Some queries, counted from 0: of every entry the query and the columns, counts as int64."""
        ends = self.ends[rows]
        first = self.ends[rows.start - 1] if rows.start else 0
        row = np.repeat(np.arange(len(ends)), np.diff(ends, prepend=first))
        whole = (column[first : first + len(row)] for column in self.columns)
        return row, *(c.astype(np.int64) if c.dtype.kind == "u" else c for c in whole)

    def sums(self, column: int) -> np.ndarray:
        """Sum of a column for every query: int64 (rows,)."""
        total = np.concatenate([[0], np.cumsum(self.columns[column], dtype=np.int64)])
        return np.diff(total[self.ends], prepend=0)

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.ends.nbytes + sum(column.nbytes for column in self.columns)


def added(keys: np.ndarray, *counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Distinct keys in ascending order, and the sums of the counts of each."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = run_starts(keys)
    return keys[starts], *run_sums(starts, *(count[order] for count in counts))


def in_order(keys: np.ndarray, *others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Keys in ascending order, and what goes with each."""
    order = np.argsort(keys, kind="stable")
    return keys[order], *(other[order] for other in others)


def distinct(keys: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Distinct ones of ascending keys, and how often each is there."""
    starts = run_starts(keys)
    return keys[starts], np.diff(starts, append=len(keys)).astype(dtype)


def run_starts(*keys: np.ndarray) -> np.ndarray:
    """Where runs of entries with equal keys begin."""
    first = np.zeros(len(keys[0]), dtype=bool)
    first[:1] = True
    for key in keys:
        first[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(first)


def run_sums(starts: np.ndarray, *counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Sums of counts over runs of entries."""
    return tuple(np.add.reduceat(count, starts, dtype=count.dtype) if len(starts) else count for count in counts)
