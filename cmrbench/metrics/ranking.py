"""Rankings block by block: every query's tie groups, from scores and relevance, by numpy alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from cmrbench.metrics.curve import Curve
from cmrbench.metrics.keys import ap_of_keys, groups_of_keys, groups_of_runs, mixed_ties, sorted_keys
from cmrbench.metrics.metric import Metric
from cmrbench.metrics.relevance import Relevance
from cmrbench.metrics.scores import Scores
from cmrbench.metrics.ties import Groups, average_precision, hit, measure, ratio

_BYTES_PER_PAIR = 80  # scores, order, ranked scores and flags
_AT_A_TIME = 1 << 15  # pairs that are ranked at a time, from scores of more: they stay in the second-level cache
BYTES_PER_RULE = 64  # tie groups of one rule where every item is relevant and no two are tied: the worst case

WHOLE_AP = ("expected", "stable")
"""Tie rules under which AP can be summed up along a ranking, without tie groups."""


@dataclass(frozen=True)
class Needs:
    """What some metrics need to know of every ranking.

    Attributes
    ----------
    cuts : mapping of str to int
        Under each tie rule, how many ranks down the tie groups are looked at; without what `ap` covers.
    ap : frozenset of str
        Under which of the rules in `WHOLE_AP` the AP of whole rankings is wanted: it can be had without tie groups.
    counts : bool
        Whether items are counted by distance (metrics within a Hamming radius).
    """

    cuts: Mapping[str, int]
    ap: frozenset[str] = frozenset()
    counts: bool = False

    @classmethod
    def of(cls, metrics: Iterable[Metric], curves: Iterable[Curve], n: int) -> Needs:
        """What metrics and curves need of rankings of n items; nothing for metrics with graded gains but their hits."""
        cuts: dict[str, int] = {}
        ap: set[str] = set()
        counts = False
        looks = [(c.ties, c.k, c.by_radius) for c in curves]
        for m in metrics:
            if is_whole_ap(m, n):
                ap.add(m.ties)
            elif m.gain == "binary" or m.mean == "with_hits":
                looks.append((m.ties, m.k, m.radius is not None))
        for ties, k, by_radius in looks:
            if by_radius:
                counts = True
            else:
                cuts[ties] = max(cuts.get(ties, 0), min(k or n, n))
        return cls(cuts, frozenset(ap), counts)

    def __bool__(self) -> bool:
        return bool(self.cuts or self.ap or self.counts)

    def stable_by_groups(self, n: int) -> Needs:
        """The same where the AP of stable rankings of n items is measured from their groups, item by item."""
        if "stable" not in self.ap:
            return self
        return Needs({**self.cuts, "stable": n}, self.ap - {"stable"}, self.counts)

    @property
    def rules(self) -> set[str]:
        """Tie rules of which groups are needed where AP is measured from them, too."""
        return {*self.cuts, *self.ap, *(("expected",) if self.counts else ())}


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
    ap : dict of str to ndarray, float64, shape (rows,)
        AP of the whole rankings under the tie rules for which it came without groups.
    counts : ndarray of int64, shape (rows, levels, 2), or None
        Items by distance, those that are not relevant and those that are, where scores have levels.
    """

    rows: slice
    R: np.ndarray
    groups: dict[str, Groups]
    ap: Mapping[str, np.ndarray] = field(default_factory=dict)
    counts: np.ndarray | None = None

    def value(self, metric: Metric, n: int) -> np.ndarray:
        """A metric of every ranking of n items: float64 (rows,)."""
        if metric.ties in self.ap and is_whole_ap(metric, n):
            return self.ap[metric.ties]
        if metric.radius is not None:
            found = self._looked_up(metric)
            return ratio(found[:, 1], found.sum(axis=1) if metric.kind == "P" else self.R)
        return measure(self.groups[metric.ties], metric, n)

    def lookup_chance(self, metric: Metric, n: int) -> np.ndarray:
        """A metric within a Hamming radius, had as many items been looked up at random: float64 (rows,)."""
        found = self._looked_up(metric).sum(axis=1)
        any_of, share = (found, self.R) if metric.kind == "P" else (self.R, found)
        chance: np.ndarray = np.where(any_of > 0, share / n, 0.0)
        return chance

    def lookup_hit_chance(self, metric: Metric, n: int) -> np.ndarray:
        """Probability that one of as many random items as a lookup finds is relevant: float64 (rows,)."""
        tied = Groups.all_tied(self.R, n)
        return hit(tied, self._looked_up(metric).sum(axis=1)[tied.row])

    def hit(self, metric: Metric, n: int) -> np.ndarray:
        """Probability that a relevant item stands within the cut-off or radius of a metric: float64 (rows,)."""
        if metric.radius is not None:
            return (self._looked_up(metric)[:, 1] > 0).astype(np.float64)
        if metric.k is None or metric.k >= n:
            return (self.R > 0).astype(np.float64)
        return hit(self.groups[metric.ties], metric.k)

    def _looked_up(self, metric: Metric) -> np.ndarray:
        """Items within a metric's Hamming radius, not relevant and relevant: int64 (rows, 2)."""
        assert self.counts is not None  # the engine refuses scores without levels
        assert metric.radius is not None
        found: np.ndarray = self.counts[:, : metric.radius + 1].sum(axis=1)
        return found


def is_whole_ap(metric: Metric, n: int) -> bool:
    """Whether a metric is the AP of the whole ranking of n items, under a rule in `WHOLE_AP`."""
    return metric.kind == "mAP" and metric.ties in WHOLE_AP and (metric.k is None or metric.k >= n)


def ranked_blocks(
    scores: Scores, relevance: Relevance, needs: Needs, block_bytes: int, start: int = 0, stop: int | None = None
) -> Iterator[Ranked]:
    """Rankings of the queries from `start` up to `stop`, block by block."""
    n_query, n = scores.shape
    stop = n_query if stop is None else stop
    needs = needs.stable_by_groups(n)
    step = max(1, block_bytes // ((_BYTES_PER_PAIR + BYTES_PER_RULE * len(needs.rules)) * n))
    few = max(1, _AT_A_TIME // n)
    for first in range(start, stop, step):
        last = min(first + step, stop)
        block = scores.block(first, last)
        for begin in range(first, last, few):
            rows = slice(begin, min(begin + few, last))
            relevant = relevance.block(rows.start, rows.stop)
            yield _ranked(rows, block[begin - first : rows.stop - first], relevant, scores.levels, needs)


def _ranked(rows: slice, scores: np.ndarray, relevant: np.ndarray, levels: int | None, needs: Needs) -> Ranked:
    """Rankings of some queries, given scores and relevance of all items."""
    R = relevant.sum(axis=1)
    rules = needs.rules
    by_rule, ap, counts = {}, None, None
    if "stable" in rules:
        by_rule["stable"] = stable_groups(scores, relevant)
    if rules - {"stable"}:
        if levels is not None:
            counts = counted(scores, relevant, levels)
            tied: Groups | None = groups_of_counts(counts)
        else:
            tied, ap = _tied(scores, relevant, R, needs)
        if tied is not None:
            by_rule |= {rule: tied.under(rule) for rule in rules - {"stable"}}
    return Ranked(rows, R, by_rule, {} if ap is None else {"expected": ap}, counts)


def _tied(
    scores: np.ndarray, relevant: np.ndarray, R: np.ndarray, needs: Needs
) -> tuple[Groups | None, np.ndarray | None]:
    """Tie groups of real-valued scores, and AP where that takes none; no groups where AP is all that is needed."""
    keys = sorted_keys(scores, relevant)
    if keys is None:
        return tie_groups(scores, relevant), None
    mixed = mixed_ties(keys)
    groups = groups_of_keys(keys, mixed) if set(needs.cuts) - {"stable"} else None
    if not needs.ap:
        return groups, None
    ap = ap_of_keys(keys, R)
    if mixed.any():
        tied = groups_of_keys(keys[mixed], mixed[mixed])
        ap[mixed] = average_precision(tied, None, "r", scores.shape[1])
    return groups, ap


def tie_groups(scores: np.ndarray, relevant: np.ndarray) -> Groups:
    """Tie groups of every row of `scores` (rows, n), of any dtype."""
    order = np.argsort(-scores, axis=1)
    ranked = np.take_along_axis(scores, order, axis=1)
    first = np.ones(scores.shape, dtype=bool)
    np.not_equal(ranked[:, 1:], ranked[:, :-1], out=first[:, 1:])
    return Groups.build(len(scores), *groups_of_runs(first, np.take_along_axis(relevant, order, axis=1)))


def counted(scores: np.ndarray, relevant: np.ndarray, levels: int) -> np.ndarray:
    """Items by level from the top, those that are not relevant and those that are: int64 (rows, levels, 2).

    For scores that are whole numbers in [0, levels): they need not be sorted.
    """
    rows = len(scores)
    key = scores.astype(np.int64)  # ((row, level from the top), relevant)
    np.subtract(levels - 1, key, out=key)
    key += np.arange(rows)[:, None] * levels
    key *= 2
    key += relevant
    histogram = np.bincount(key.ravel(), minlength=rows * levels * 2)
    return histogram.reshape(rows, levels, 2)


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
    return Groups.alone(len(scores), row, T)
