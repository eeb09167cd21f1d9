"""What one part of a gallery says about the rankings of some queries, in the smallest form that adds up exactly.

Scores are held as keys (`cmrbench.metrics.shards.keys`), which ascend from the top of a ranking down. Every class here
has ``merge`` (parts into one), ``R`` (relevant items of every query) and ``groups`` (tie groups of some of the
queries, once the whole gallery is in).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.metrics.ranking import groups_of_counts
from cmrbench.metrics.shards.keys import Keys
from cmrbench.metrics.shards.lists import Lists, added, distinct, in_order, run_starts, run_sums
from cmrbench.metrics.ties import Groups


@dataclass(frozen=True, eq=False)
class Places:
    """Where the relevant items stand among those at equal distance, in gallery order.

    Attributes
    ----------
    start, stop : int
        The part of the gallery.
    sizes : ndarray of unsigned int, shape (rows, levels)
        Items of the part by distance.
    lists : Lists
        Of every relevant item the distance, and how many items of the part at that distance are before it.
    """

    start: int
    stop: int
    sizes: np.ndarray
    lists: Lists

    def followed_by(self, other: Places) -> Places:
        """This part and the one right after it, as one."""
        rows = (
            tuple(np.concatenate(c) for c in zip(left, (right[0], right[1] + size[right[0]]), strict=True))
            for left, right, size in (
                (self.lists.row(i), other.lists.row(i), size) for i, size in enumerate(self.sizes)
            )
        )
        return Places(self.start, other.stop, self.sizes + other.sizes, Lists.of(rows))


@dataclass(frozen=True, eq=False)
class Counts:
    """Hamming distance: items counted by distance and relevance.

    Attributes
    ----------
    counts : ndarray of unsigned int, shape (rows, levels, 2)
        Items by distance, those that are not relevant and those that are.
    places : tuple of Places
        For the rule ``stable``: one for every run of parts that are neighbours, in gallery order.
    """

    counts: np.ndarray
    places: tuple[Places, ...] = ()

    @classmethod
    def merge(cls, several: Sequence[Counts]) -> Counts:
        """Counts of several parts added up."""
        counts = several[0].counts.copy()
        for one in several[1:]:
            counts += one.counts
        runs: list[Places] = []
        for place in sorted((p for one in several for p in one.places), key=lambda p: p.start):
            if runs and runs[-1].stop == place.start:
                runs[-1] = runs[-1].followed_by(place)
            else:
                runs.append(place)
        return cls(counts, tuple(runs))

    @property
    def R(self) -> np.ndarray:  # noqa: N802
        """Relevant items of every query."""
        total: np.ndarray = self.counts[:, :, 1].sum(axis=1, dtype=np.int64)
        return total

    def of(self, rows: slice) -> np.ndarray:
        """Counts of some queries: int64 (rows, levels, 2)."""
        return self.counts[rows].astype(np.int64)

    def groups(self, rows: slice, stable: bool) -> Groups:
        """Tie groups of some queries, or every relevant item by itself, those tied in gallery order."""
        counts = self.of(rows)
        if not stable:
            return groups_of_counts(counts)
        (all_of_it,) = self.places
        row, level, before = all_of_it.lists.rows(rows)
        sizes = counts.sum(axis=2)
        groups = _alone(len(counts), row, (np.cumsum(sizes, axis=1) - sizes)[row, level] + before)
        return replace(groups, R=counts[:, :, 1].sum(axis=1))  # items below the cut-off are not among the places

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.counts.nbytes + sum(p.sizes.nbytes + p.lists.nbytes for p in self.places)


@dataclass(frozen=True, eq=False)
class Anchors:
    """First pass over real-valued scores: the keys of the relevant items.

    Attributes
    ----------
    lists : Lists
        Distinct keys, ascending, and how many relevant items have each. For the rule ``stable``: the key of every
        relevant item, ascending, and its place in the gallery.
    check : ndarray of uint64, shape (rows,)
        Sum of hashes of all keys of relevant items (`cmrbench.metrics.shards.keys.hashed`).
    stable : bool
    """

    lists: Lists
    check: np.ndarray
    stable: bool

    @classmethod
    def merge(cls, several: Sequence[Anchors]) -> Anchors:
        """Anchors of several parts."""
        stable = several[0].stable
        kit = Keys(len(several[0].check), max(len(one.lists.columns[0]) for one in several))

        def together(keys: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, ...]:
            return distinct(kit.sorted(np.repeat(keys, r)), r.dtype)

        lists = Lists.merge([one.lists for one in several], in_order if stable else together)
        return cls(lists, np.add.reduce([one.check for one in several]), stable)

    @property
    def R(self) -> np.ndarray:  # noqa: N802
        """Relevant items of every query."""
        return np.diff(self.lists.ends, prepend=0) if self.stable else self.lists.sums(1)

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.lists.nbytes


@dataclass(frozen=True, eq=False)
class Above:
    """Second pass over real-valued scores: items above and at every anchor.

    Attributes
    ----------
    lists : Lists
        For every anchor the items with a smaller key and with an equal one (T and t, which add up over parts), and
        the relevant items with an equal one (r, the same in every part). For the rule ``stable``, in place of r: the
        items before the anchor where ties are in gallery order.
    check, seen : ndarray of uint64, shape (rows,)
        `Anchors.check` of the whole gallery, and of the keys of this pass.
    stable : bool
    """

    lists: Lists
    check: np.ndarray
    seen: np.ndarray
    stable: bool

    @classmethod
    def merge(cls, several: Sequence[Above]) -> Above:
        """Counts of several parts added up."""
        first = several[0]
        if any(not np.array_equal(one.check, first.check) for one in several[1:]):
            raise DataError("states of the second pass over a gallery come from different first passes")
        adding = first.lists.columns if first.stable else first.lists.columns[:2]
        sums = tuple(column.copy() for column in adding)
        for one in several[1:]:
            for total, column in zip(sums, one.lists.columns, strict=False):
                total += column
        columns = sums if first.stable else (*sums, first.lists.columns[2])
        seen = np.add.reduce([one.seen for one in several])
        return cls(Lists(first.lists.ends, columns), first.check, seen, first.stable)

    @property
    def R(self) -> np.ndarray:  # noqa: N802
        """Relevant items of every query."""
        return np.diff(self.lists.ends, prepend=0) if self.stable else self.lists.sums(2)

    def groups(self, rows: slice, stable: bool) -> Groups:
        """Tie groups of some queries, or every relevant item by itself, those tied in gallery order."""
        row, T, t, third = self.lists.rows(rows)
        count = len(self.lists.ends[rows])
        if stable:
            return _alone(count, row, third)
        if not self.stable:
            return Groups.build(count, row, T, t, third)
        starts = run_starts(row, T)  # of the relevant items that tie with one another
        (r,) = run_sums(starts, np.ones_like(T))
        return Groups.build(count, row[starts], T[starts], t[starts], r)

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.lists.nbytes


@dataclass(frozen=True, eq=False)
class Top:
    """Real-valued scores where no metric looks below rank k: the top of the ranking alone.

    Attributes
    ----------
    R : ndarray of int64, shape (rows,)
        Relevant items of every query.
    tied, alone : Lists
        Tie groups that begin within the first `cut_tied` ranks: key, size and relevant items. For the rule ``stable``
        the first `cut_alone` items: key, place in the gallery, and whether relevant.
    cut_tied, cut_alone : int
    """

    R: np.ndarray
    tied: Lists
    alone: Lists
    cut_tied: int
    cut_alone: int

    @classmethod
    def merge(cls, several: Sequence[Top]) -> Top:
        """The top of several parts: a group that begins within the cut does so in each part that holds some of it."""
        first = several[0]

        def top_groups(*columns: np.ndarray) -> tuple[np.ndarray, ...]:
            keys, t, r = added(*columns)
            kept = np.cumsum(t) - t < first.cut_tied
            return keys[kept], t[kept], r[kept]

        def top_items(*columns: np.ndarray) -> tuple[np.ndarray, ...]:
            order = np.lexsort((columns[1], columns[0]))[: first.cut_alone]
            return tuple(column[order] for column in columns)

        return replace(
            first,
            R=np.add.reduce([one.R for one in several]),
            tied=Lists.merge([one.tied for one in several], top_groups),
            alone=Lists.merge([one.alone for one in several], top_items),
        )

    def groups(self, rows: slice, stable: bool) -> Groups:
        """Tie groups of some queries, or every relevant item by itself, those tied in gallery order."""
        if stable:
            row, _, _, r = self.alone.rows(rows)
            t = np.ones_like(row)
        else:
            row, _, t, r = self.tied.rows(rows)
        before = np.cumsum(t) - t
        first = np.searchsorted(row, row)
        T, some = before - before[first], r > 0
        groups = Groups.build(len(self.R[rows]), row[some], T[some], t[some], r[some])
        return replace(groups, R=self.R[rows])

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return self.tied.nbytes + self.alone.nbytes


Body = Counts | Anchors | Above | Top


def coalesced(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Parts of a gallery in order, neighbours made one.

    Raises
    ------
    DataError
        If two of them overlap.
    """
    ordered = sorted(spans)
    for one, following in pairwise(ordered):
        if following[0] < one[1]:
            both = following[0], min(one[1], following[1]) - 1
            raise DataError(f"the gallery items {both[0]} to {both[1]} were given twice")
    runs: list[tuple[int, int]] = []
    for start, stop in ordered:
        if runs and runs[-1][1] == start:
            runs[-1] = runs[-1][0], stop
        else:
            runs.append((start, stop))
    return tuple(runs)


def _alone(rows: int, row: np.ndarray, T: np.ndarray) -> Groups:
    """Every relevant item as a group of its own."""
    order = np.lexsort((T, row))
    return Groups.alone(rows, row, T[order])
