"""Metrics of rankings with ties, in closed form: the expectation over all orders inside each group of equal scores.

A ranking is known here only through its tie groups that hold relevant items. Notation: T and P items and relevant
items stand before a group of t items, r of them relevant; R relevant items in all; a cut-off k keeps the first
m = min(max(k - T, 0), t) of the group; H(x) = 1 + 1/2 + ... + 1/x.

Position T + j of a group is relevant with probability r/t, and given that, (j - 1)(r - 1)/(t - 1) relevant items of
the group are expected ahead of it. Its share of the sum of precisions is therefore

    S(T, P, t, r, m) = r/t * sum_{j=1..m} (P + 1 + (j - 1) c) / (T + j),            c = (r - 1)/(t - 1)
                     = r/t * [(P + 1) h + c (m - (T + 1) h)],                       h = H(T + m) - H(T).

The tie rules need nothing else: with the relevant items first (`Groups.optimistic`) or last (`Groups.pessimistic`) a
group becomes one of r relevant items only, and under the stable rule every item is a group of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from cmrbench.metrics.metric import RANKS, Metric

_CHUNK = 1 << 18  # hypergeometric terms held at a time


@dataclass(frozen=True, eq=False)
class Groups:
    """Tie groups with relevant items of several rankings, ranking by ranking and from the top down.

    Attributes
    ----------
    row : ndarray of int64, shape (G,)
        Which ranking a group belongs to.
    T, P, t, r : ndarray of int64, shape (G,)
        Items and relevant items before the group, its size, and its relevant items (at least one).
    R : ndarray of int64, shape (rows,)
        Relevant items of every ranking.
    """

    row: np.ndarray
    T: np.ndarray
    P: np.ndarray
    t: np.ndarray
    r: np.ndarray
    R: np.ndarray

    @classmethod
    def build(cls, rows: int, row: np.ndarray, T: np.ndarray, t: np.ndarray, r: np.ndarray) -> Groups:
        """Groups of `rows` rankings; P and R follow from the other counts."""
        found = np.cumsum(r) - r
        R = np.zeros(rows, dtype=np.int64)
        np.add.at(R, row, r)
        before = np.cumsum(R) - R
        return cls(row, T, found - before[row], t, r, R)

    @classmethod
    def alone(cls, rows: int, row: np.ndarray, T: np.ndarray) -> Groups:
        """Every relevant item of `rows` rankings as a group of its own."""
        one = np.ones_like(row)
        return cls.build(rows, row, T, one, one)

    @classmethod
    def all_tied(cls, relevant: np.ndarray, n: int) -> Groups:
        """One group of all n items per ranking, `relevant` (rows,) of them relevant."""
        row = np.flatnonzero(relevant)
        r = relevant[row].astype(np.int64)
        return cls.build(len(relevant), row, np.zeros_like(r), np.full_like(r, n), r)

    def under(self, ties: str) -> Groups:
        """The groups whose expectation is the value under a tie rule other than ``stable``."""
        if ties == "optimistic":
            return replace(self, t=self.r)
        if ties == "pessimistic":
            return replace(self, T=self.T + self.t - self.r, t=self.r)
        return self

    def where(self, kept: np.ndarray) -> Groups:
        """Some of the groups, those for which `kept`, bool (G,), holds."""
        if kept.all():
            return self
        return Groups(self.row[kept], self.T[kept], self.P[kept], self.t[kept], self.r[kept], self.R)

    def rows(self, start: int, stop: int) -> Groups:
        """The groups of the rankings from `start` up to `stop`."""
        part = slice(*np.searchsorted(self.row, (start, stop)))
        return Groups(
            self.row[part] - start, self.T[part], self.P[part], self.t[part], self.r[part], self.R[start:stop]
        )

    def kept(self, k: int | np.ndarray) -> np.ndarray:
        """m: items of each group within the first k, one k for all or one a group; shape (G,)."""
        m: np.ndarray = np.clip(k - self.T, 0, self.t)
        return m

    def sum(self, terms: np.ndarray) -> np.ndarray:
        """Sums of one term a group over every ranking: float64 (rows,)."""
        return np.bincount(self.row, weights=terms, minlength=len(self.R))


def measure(groups: Groups, metric: Metric, n: int) -> np.ndarray:
    """Expected value of a metric for every ranking of n items: float64 (rows,); 0 where nothing is relevant.

    NDCG is the one with binary gains; the others are `cmrbench.metrics.graded`'s.
    """
    if metric.kind == "RPrec":
        return r_precision(groups.where(groups.R[groups.row] > groups.T))
    if metric.kind in RANKS:
        return first_rank(groups.where(groups.P == 0))
    if metric.k is not None and metric.k < n:
        groups = groups.where(metric.k > groups.T)
    if metric.kind == "mAP":
        return average_precision(groups, metric.k, metric.norm, n)
    if metric.kind == "P":
        return precision(groups, metric.k or n)
    if metric.kind == "R":
        return recall(groups, metric.k or n)
    if metric.kind == "hit":
        return hit(groups, metric.k or n)
    return ndcg(groups, metric.k or n, n)


def average_precision(groups: Groups, k: int | None, norm: str, n: int) -> np.ndarray:
    """Expected AP (eq. 17 of the survey under ``norm="hits"``), float64 (rows,)."""
    if k is None or k >= n:
        return ratio(groups.sum(_precisions(groups, groups.t, n)), groups.R)
    m = groups.kept(k)
    if norm == "r":
        return ratio(groups.sum(_precisions(groups, m, n)), groups.R)
    if norm == "min_kr":
        return ratio(groups.sum(_precisions(groups, m, n)), np.minimum(k, groups.R))
    return _ap_over_hits(groups, m, n)


def precision(groups: Groups, k: int) -> np.ndarray:
    """Expected share of relevant items among the first k (k stays the divisor where the gallery is smaller)."""
    return groups.sum(groups.r * groups.kept(k) / groups.t) / k


def recall(groups: Groups, k: int) -> np.ndarray:
    """Expected share of the relevant items that stand within the first k."""
    return ratio(groups.sum(groups.r * groups.kept(k) / groups.t), groups.R)


def hit(groups: Groups, k: int | np.ndarray) -> np.ndarray:
    """Probability that a relevant item stands within the first k, one k for all or one a group."""
    value = np.zeros(len(groups.R))
    first = np.flatnonzero(groups.P == 0)  # only a ranking's first group can be the first to hit
    m = groups.kept(k)[first]
    value[groups.row[first]] = 1.0 - _no_hit(groups.t[first], groups.r[first], m)
    return value


def r_precision(groups: Groups) -> np.ndarray:
    """Expected share of relevant items among the first R, which is the recall there, too."""
    return ratio(groups.sum(groups.r * groups.kept(groups.R[groups.row]) / groups.t), groups.R)


def first_rank(groups: Groups) -> np.ndarray:
    """Expected rank of the first relevant item, from 1: T + (t + 1)/(r + 1) in the first group that has one."""
    first = groups.P == 0
    return groups.sum(np.where(first, groups.T + (groups.t + 1) / (groups.r + 1), 0.0))


def ndcg(groups: Groups, k: int, n: int) -> np.ndarray:
    """Expected NDCG within the first k with gains 0 and 1 and discounts 1/log2(1 + rank)."""
    discount = discounts(n)
    gain = np.where(
        groups.t == 1,
        (groups.kept(k) > 0) / np.log2(groups.T + 2.0),
        groups.r / groups.t * (discount[groups.T + groups.kept(k)] - discount[groups.T]),
    )
    return ratio(groups.sum(gain), discount[np.minimum(k, groups.R)])


def _precisions(groups: Groups, m: np.ndarray, n: int) -> np.ndarray:
    """S of every group, the first m of whose items count."""
    h = _harmonic_difference(groups.T, m, n)
    c = (groups.r - 1) / np.maximum(groups.t - 1, 1)
    S: np.ndarray = groups.r / groups.t * ((groups.P + 1) * h + c * (m - (groups.T + 1) * h))
    return S


def _ap_over_hits(groups: Groups, m: np.ndarray, n: int) -> np.ndarray:
    """Expected AP@k over the relevant items found within k.

    The divisor is random where k cuts a group: x of the m items kept are relevant, x is hypergeometric, and given x
    the m items are a group of their own. At most one group a ranking is cut.
    """
    whole = m == groups.t
    A = groups.sum(np.where(whole, _precisions(groups, m, n), 0.0))
    P = groups.sum(np.where(whole, groups.r, 0))
    value = ratio(A, P)
    cut = np.flatnonzero((m > 0) & ~whole)
    h = _harmonic_difference(groups.T, m, n)
    start = 0
    while start < len(cut):
        width = 1 + int(np.minimum(m[cut[start:]], groups.r[cut[start:]]).max())
        some = cut[start : start + max(1, _CHUNK // width)]
        start += len(some)
        x, probability = hypergeometric(groups.t[some], groups.r[some], m[some])
        m_, T, P_, h_ = (a[some][:, None] for a in (m, groups.T, groups.P, h))
        c = (x - 1) / np.maximum(m_ - 1, 1)
        S = x / m_ * ((P_ + 1) * h_ + c * (m_ - (T + 1) * h_))
        row = groups.row[some]
        value[row] = (probability * (A[row][:, None] + S) / np.maximum(P_ + x, 1)).sum(axis=1)
    return value


def hypergeometric(t: np.ndarray, r: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distribution of the relevant items x among m items drawn from t, r of which are relevant.

    Returns
    -------
    x : ndarray of int64, shape (G, W)
        The possible values from max(0, m - (t - r)) up, W of them for the widest row.
    probability : ndarray of float64, shape (G, W)
        Each row sums to 1; 0 beyond min(m, r).

    Notes
    -----
    Ratios of neighbouring terms are accumulated in logarithms and normalised at the end: no factorials, no overflow.
    """
    lowest, highest = np.maximum(0, m - (t - r)), np.minimum(m, r)
    x = lowest[:, None] + np.arange(int((highest - lowest).max(initial=0)) + 1)
    inside = x <= highest[:, None]
    before = x[:, :-1]
    up = np.where(inside[:, 1:], (r[:, None] - before) * (m[:, None] - before), 1)
    down = np.where(inside[:, 1:], (before + 1) * ((t - r - m)[:, None] + before + 1), 1)
    log_weight = np.zeros(x.shape)
    np.cumsum(np.log(up) - np.log(down), axis=1, out=log_weight[:, 1:])
    log_weight[~inside] = -np.inf
    weight = np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    return x, weight / weight.sum(axis=1, keepdims=True)


def _no_hit(t: np.ndarray, r: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Probability that none of m items drawn from t is one of the r relevant: C(t - r, m) / C(t, m)."""
    few, many = np.minimum(r, m), np.maximum(r, m)
    # = product over i < few of (t - many - i) / (t - i), by the symmetry of r and m
    none = np.where(t - many - few + 1 > 0, 1.0, 0.0)
    none[few == 0] = 1.0
    for start in range(0, int(few.max(initial=0)), 64):
        open_rows = np.flatnonzero((few > start) & (none > 0))
        i = start + np.arange(64)
        top, bottom = (t - many)[open_rows, None] - i, t[open_rows, None] - i
        factors = np.where(i < few[open_rows, None], top / np.maximum(bottom, 1), 1.0)
        none[open_rows] *= factors.prod(axis=1)
    return none


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where the whole is 0; float64 of the shape of `part`."""
    quotient: np.ndarray = np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0)
    return quotient


def _harmonic_difference(T: np.ndarray, m: np.ndarray, n: int) -> np.ndarray:
    """H(T + m) - H(T); exact to the last bit for m = 1, where a difference of sums would lose digits."""
    H = harmonics(n)
    difference: np.ndarray = np.where(m == 1, 1.0 / (T + 1), H[T + m] - H[T])
    return difference


@lru_cache(maxsize=2)
def harmonics(n: int) -> np.ndarray:
    """H(0) to H(n): float64 (n + 1,)."""
    return np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, n + 1))])


@lru_cache(maxsize=2)
def discounts(n: int) -> np.ndarray:
    """D(0) to D(n), prefix sums of 1/log2(1 + rank): float64 (n + 1,)."""
    return np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(2, n + 2)))])
