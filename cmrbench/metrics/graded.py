"""Graded relevance: NDCG whose gains grow with the number of labels that an item shares with the query.

An item's grade s is that number, its gain s or 2^s - 1. DCG is the sum of the gains over log2(1 + rank), the ideal
DCG that of the best possible ranking. In a tie group of t items with gains that sum up to g, each position has the
expected gain g/t; so with D the prefix sums of 1/log2(1 + rank), a group that begins after T items and of which the
first m are within k adds g/t (D(T + m) - D(T)). Packed codes are counted by distance and grade; other scores are
sorted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cmrbench.core.errors import UsageError
from cmrbench.metrics import compiled
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.relevance import Relevance, popcount
from cmrbench.metrics.scores import Scores
from cmrbench.metrics.ties import discounts, ratio

_BYTES_PER_PAIR = 96  # scores, grades, orders and gains
_BYTES_PER_COUNT = 64  # by distance and grade, and what measuring takes
_MOST_COUNTS = 1 << 16  # of one query: keys of 16 bits
_BYTES_PER_GRADE = 40  # counts and ideal gains of a query


@dataclass(frozen=True, eq=False)
class Graded:
    """NDCG of a block of queries.

    Attributes
    ----------
    rows : slice
        The queries.
    R : ndarray of int64, shape (rows,)
        Relevant items of every query.
    values : dict of Metric to (ndarray, ndarray), float64, shape (rows,)
        NDCG, and what it is expected to be under a random order.
    """

    rows: slice
    R: np.ndarray
    values: dict[Metric, tuple[np.ndarray, np.ndarray]]


def graded_blocks(
    scores: Scores, relevance: Relevance, metrics: Sequence[Metric], block_bytes: int
) -> Iterator[Graded]:
    """NDCG with graded gains, block by block.

    Raises
    ------
    UsageError
        If items share so many labels that the gain 2^s - 1 overflows.
    """
    n = scores.shape[1]
    rules = {m.ties for m in metrics}
    blocks = None if "stable" in rules else _counted(scores, relevance, rules, block_bytes)
    for rows, counts, ranked in _sorted(scores, relevance, rules, block_bytes) if blocks is None else blocks:
        values = {}
        for m in metrics:
            gain = gains(m.gain, counts.shape[1])
            if gain[-1] > np.finfo(np.float64).max / n:
                raise UsageError(f"{m}: 2^s - 1 of s = {len(gain) - 1} shared labels overflows; take the gain shared")
            k = min(m.k or n, n)
            ideal = ideal_dcg(counts, gain, k, n)
            chance = _over_grades(counts * gain) / n * discounts(n)[k]
            values[m] = ratio(ranked[m.ties].dcg(gain, k), ideal), ratio(chance, ideal)
        yield Graded(rows, n - counts[:, 0], values)


def _sorted(scores: Scores, relevance: Relevance, rules: set[str], block_bytes: int) -> Iterator[_Block]:
    """By sorting, for all scores."""
    n_query, n = scores.shape
    highest = 1 if relevance.words is None or not relevance.words.shared else 64 * len(relevance.words.query)
    step = max(1, block_bytes // (_BYTES_PER_PAIR * n + _BYTES_PER_GRADE * (highest + 1)))
    for start in range(0, n_query, step):
        rows = slice(start, min(start + step, n_query))
        block, grades = scores.block(rows.start, rows.stop), relevance.grades(rows.start, rows.stop)
        yield rows, _counts(grades), {ties: _Ranked.by(block, grades, ties) for ties in rules}


def _counted(scores: Scores, relevance: Relevance, rules: set[str], block_bytes: int) -> Iterator[_Block] | None:
    """By counting packed codes by distance and grade; None where kernels do not apply or would not pay."""
    words, codes, (n_query, n) = relevance.words, scores.codes, scores.shape
    if (
        words is None
        or not words.shared
        or codes is None
        or scores.levels is None
        or n_query * n < compiled.LEAST_PAIRS
    ):
        return None
    grades = 1 + int(popcount(words.query).sum(axis=0, dtype=np.int64).max())  # a query's labels bound it
    modules = compiled.kernels()
    if modules is None or scores.levels * grades > _MOST_COUNTS:
        return None
    levels, task = scores.levels, (*codes, words.query, words.gallery)

    def blocks() -> Iterator[_Block]:
        step = max(1, block_bytes // (_BYTES_PER_COUNT * levels * grades))
        for start in range(0, n_query, step):
            rows = slice(start, min(start + step, n_query))
            counts = np.zeros((rows.stop - start, levels, grades), dtype=np.int64)
            modules[0].graded_histograms(*task, start, rows.stop, grades, counts.reshape(len(counts), -1))
            counts = counts[:, :, : 1 + int(np.flatnonzero(counts.any(axis=(0, 1)))[-1])]
            yield rows, counts.sum(axis=1), {ties: _Counted(counts, ties) for ties in rules}

    return blocks()


@dataclass(frozen=True, eq=False)
class _Counted:
    """Items by distance and grade, int64 (rows, levels, grades), under a tie rule other than ``stable``."""

    counts: np.ndarray
    ties: str

    def dcg(self, gain: np.ndarray, k: int) -> np.ndarray:
        """Expected DCG within the first k: float64 (rows,)."""
        counts = self.counts
        if self.ties == "expected":
            t, g = counts.sum(axis=2), (counts * gain).sum(axis=2)
        else:  # items of one distance and one grade are a group of their own
            if self.ties == "optimistic":
                counts, gain = counts[:, :, ::-1], gain[::-1]
            t, g = (a.reshape(len(counts), -1) for a in (counts, counts * gain))
        ends = np.cumsum(t, axis=1)
        D = discounts(int(ends[0, -1]))
        dcg: np.ndarray = (ratio(g, t) * (D[np.minimum(ends, k)] - D[np.minimum(ends - t, k)])).sum(axis=1)
        return dcg


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Grades (rows, n) in the order of a tie rule, and under the rule ``expected`` the items that tie.

    Attributes
    ----------
    grades : ndarray, shape (rows, n)
    tied : ndarray of int64, shape (m,)
        Where items stand, in the flattened grades, that tie with another.
    starts : ndarray of int64, shape (G,)
        Where, among these, tie groups begin.
    """

    grades: np.ndarray
    tied: np.ndarray
    starts: np.ndarray

    @classmethod
    def by(cls, scores: np.ndarray, grades: np.ndarray, ties: str) -> _Ranked:
        last = {"optimistic": -grades.astype(np.int64), "pessimistic": grades}.get(ties)
        if last is not None:
            order = np.lexsort((last, -scores), axis=1)
        else:
            order = np.argsort(-scores, axis=1, kind="stable" if ties == "stable" else None)
        ranked = np.take_along_axis(grades, order, axis=1)
        if ties != "expected":
            return cls(ranked, *(np.zeros(0, dtype=np.int64),) * 2)
        at = np.take_along_axis(scores, order, axis=1)
        follows = np.zeros(at.shape, dtype=bool)  # an item of the same score
        np.equal(at[:, 1:], at[:, :-1], out=follows[:, 1:])
        member = follows.copy()
        member[:, :-1] |= follows[:, 1:]
        tied = np.flatnonzero(member)
        return cls(ranked, tied, np.flatnonzero(~follows.ravel()[tied]))

    def dcg(self, gain: np.ndarray, k: int) -> np.ndarray:
        """Expected DCG within the first k: float64 (rows,)."""
        rows, n = self.grades.shape
        discount = np.zeros(n)
        discount[:k] = 1 / np.log2(np.arange(2, k + 2))
        gained = gain[self.grades[:, :k]]
        gained *= discount[:k]
        row, rank = np.divmod(self.tied, n)
        gained[row[rank < k], rank[rank < k]] = 0
        dcg: np.ndarray = gained.sum(axis=1)  # not a matrix product: its last bits depend on the block
        if len(self.tied):
            g = np.add.reduceat(gain[self.grades.ravel()[self.tied]], self.starts)
            t = np.diff(self.starts, append=len(self.tied))
            of_groups = g / t * np.add.reduceat(discount[rank], self.starts)
            dcg += np.bincount(row[self.starts], weights=of_groups, minlength=rows)
        return dcg


def gains(kind: str, grades: int) -> np.ndarray:
    """Gain of an item that shares 0, 1, ... labels with the query: float64 (grades,)."""
    shared = np.arange(grades, dtype=np.float64)
    if kind == "shared":
        return shared
    with np.errstate(over="ignore"):
        return np.exp2(shared) - 1


def ideal_dcg(counts: np.ndarray, gain: np.ndarray, k: int, n: int) -> np.ndarray:
    """DCG within the first k of n items in the order of their gains: float64 (rows,)."""
    D = discounts(n)
    ends = np.cumsum(counts[:, ::-1], axis=1)
    starts = ends - counts[:, ::-1]
    return _over_grades((D[np.minimum(ends, k)] - D[np.minimum(starts, k)]) * gain[::-1])


def _over_grades(terms: np.ndarray) -> np.ndarray:
    """Sums (rows,) over the grades of a block, one by one: how many of them no query has changes nothing."""
    total: np.ndarray = np.cumsum(terms, axis=1)[:, -1]
    return total


def _counts(grades: np.ndarray) -> np.ndarray:
    """Items of every grade: int64 (rows, highest grade + 1)."""
    rows, levels = len(grades), int(grades.max()) + 1
    flat = grades.astype(np.int64) + np.arange(rows)[:, None] * levels
    return np.bincount(flat.ravel(), minlength=rows * levels).reshape(rows, levels)


_Block = tuple[slice, np.ndarray, Mapping[str, _Ranked | _Counted]]
"""Queries, items by grade (rows, grades), and the rankings under each tie rule."""
