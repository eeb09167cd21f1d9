"""Rankings block by block: every query's tie groups, from scores and relevance, by numpy alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cmrbench.metrics.metric import Metric
from cmrbench.metrics.relevance import Relevance
from cmrbench.metrics.scores import Scores
from cmrbench.metrics.ties import Groups, hit, measure

_BYTES_PER_PAIR = 80  # scores, order, ranked scores and flags
BYTES_PER_RULE = 64  # tie groups of one rule where every item is relevant and no two are tied: the worst case


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rankings of a block of queries, as far down as the metrics look.

    Attributes
    ----------
    rows : slice
        The queries.
    R : ndarray of int64, shape (rows,)
        Relevant items of every query.
    groups : dict of str to Groups
        Tie groups under each tie rule.
    ap : ndarray of float64, shape (rows,), or None
        Expected AP of the whole rankings where it came without groups.
    """

    rows: slice
    R: np.ndarray
    groups: dict[str, Groups]
    ap: np.ndarray | None = None

    def value(self, metric: Metric, n: int) -> np.ndarray:
        """A metric of every ranking of n items: float64 (rows,)."""
        if self.ap is not None and is_whole_ap(metric, n):
            return self.ap
        return measure(self.groups[metric.ties], metric, n)

    def hit(self, metric: Metric, n: int) -> np.ndarray:
        """Probability that a relevant item stands within the cut-off of a metric: float64 (rows,)."""
        if metric.k is None or metric.k >= n:
            return (self.R > 0).astype(np.float64)
        return hit(self.groups[metric.ties], metric.k)


def is_whole_ap(metric: Metric, n: int) -> bool:
    """Whether a metric is the expected AP of the whole ranking of n items."""
    return metric.kind == "mAP" and metric.ties == "expected" and (metric.k is None or metric.k >= n)


def ranked_blocks(
    scores: Scores, relevance: Relevance, rules: set[str], block_bytes: int, start: int = 0, stop: int | None = None
) -> Iterator[Ranked]:
    """Rankings of the queries from `start` up to `stop`, block by block."""
    n_query, n = scores.shape
    stop = n_query if stop is None else stop
    step = max(1, block_bytes // ((_BYTES_PER_PAIR + BYTES_PER_RULE * len(rules)) * n))
    for first in range(start, stop, step):
        last = min(first + step, stop)
        block, relevant = scores.block(first, last), relevance.block(first, last)
        by_rule = {}
        if "stable" in rules:
            by_rule["stable"] = stable_groups(block, relevant)
        if rules - {"stable"}:
            tied = tie_groups(block, relevant) if scores.levels is None else counted(block, relevant, scores.levels)
            by_rule |= {rule: tied.under(rule) for rule in rules - {"stable"}}
        yield Ranked(slice(first, last), next(iter(by_rule.values())).R, by_rule)


def tie_groups(scores: np.ndarray, relevant: np.ndarray) -> Groups:
    """Tie groups of every row of `scores` (rows, n), by sorting."""
    rows, n = scores.shape
    order = np.argsort(-scores, axis=1)
    ranked = np.take_along_axis(scores, order, axis=1)
    found = np.take_along_axis(relevant, order, axis=1).ravel()
    first = np.ones((rows, n), dtype=bool)
    np.not_equal(ranked[:, 1:], ranked[:, :-1], out=first[:, 1:])
    starts = np.flatnonzero(first)
    size = np.diff(starts, append=rows * n)
    r = np.add.reduceat(found, starts, dtype=np.int64)
    some = np.flatnonzero(r)
    row, T = np.divmod(starts[some], n)
    return Groups.build(rows, row, T, size[some], r[some])


def counted(scores: np.ndarray, relevant: np.ndarray, levels: int) -> Groups:
    """Tie groups of scores that are whole numbers in [0, levels), by counting instead of sorting."""
    rows = len(scores)
    key = scores.astype(np.int64)  # ((row, level from the top), relevant)
    np.subtract(levels - 1, key, out=key)
    key += np.arange(rows)[:, None] * levels
    key *= 2
    key += relevant
    histogram = np.bincount(key.ravel(), minlength=rows * levels * 2)
    return groups_of_counts(histogram.reshape(rows, levels, 2))


def groups_of_counts(histogram: np.ndarray) -> Groups:
    """Tie groups of counts (rows, levels, 2): by level from the top, items that are not relevant and that are."""
    r = histogram[:, :, 1]
    t = histogram.sum(axis=2)
    row, level = np.nonzero(r)
    T = np.cumsum(t, axis=1) - t
    return Groups.build(len(histogram), row, T[row, level], t[row, level], r[row, level])


def stable_groups(scores: np.ndarray, relevant: np.ndarray) -> Groups:
    """Every relevant item as a group of its own, ties in gallery order."""
    order = np.argsort(-scores, axis=1, kind="stable")
    row, T = np.nonzero(np.take_along_axis(relevant, order, axis=1))
    one = np.ones_like(row)
    return Groups.build(len(scores), row, T, one, one)
