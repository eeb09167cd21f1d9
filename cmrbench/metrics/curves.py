"""Curves of rankings: precision against recall, by interpolation or by Hamming radius, and against k."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cmrbench.metrics.curve import Curve
from cmrbench.metrics.ranking import Ranked
from cmrbench.metrics.ties import Groups, ratio

_HELD = 1 << 22  # values of single queries held at a time


@dataclass(frozen=True, eq=False)
class Points:
    """A curve, as means over queries.

    Attributes
    ----------
    x : ndarray of float64, shape (points,)
        Recall, or k. By Hamming radius: mean recall within radius 0, 1, ...
    y, stderr : ndarray of float64, shape (points,)
        Precision (or recall, against k) and its standard error; NaN over no query, or fewer than two.
    """

    x: np.ndarray
    y: np.ndarray
    stderr: np.ndarray


class CurveSums:
    """Sums over queries of one curve of rankings of n items, as blocks of rankings come in."""

    def __init__(self, curve: Curve, n: int) -> None:
        self.curve, self.n = curve, n
        self.queries = 0
        self.recall = self.total = self.squares = np.zeros(0)

    def add(self, ranked: Ranked) -> None:
        """Add the rankings of a block."""
        for counted, y, recall in self._values(ranked):
            if not self.queries and not len(self.total):
                self.total, self.squares, self.recall = (np.zeros(y.shape[1]) for _ in range(3))
            self.queries += counted
            self.total = self.total + y.sum(axis=0)
            self.squares = self.squares + np.square(y).sum(axis=0)
            if recall is not None:
                self.recall = self.recall + recall.sum(axis=0)

    def points(self) -> Points:
        """The curve over all queries that were added."""
        q = self.queries
        y = self.total / q if q else np.full(len(self.total), np.nan)
        spread = np.maximum(self.squares - q * np.square(y), 0) / (q - 1) if q > 1 else np.full(len(y), np.nan)
        if self.curve.levels is not None:
            x = np.linspace(0, 1, self.curve.levels)
        elif self.curve.by_radius:
            x = self.recall / q if q else np.full(len(y), np.nan)
        else:
            x = np.arange(1.0, len(y) + 1)
        return Points(x, y, np.sqrt(spread / max(q, 1)))

    def _values(self, ranked: Ranked) -> Iterator[tuple[int, np.ndarray, np.ndarray | None]]:
        """Queries that count, and values (rows, points) of them and of queries that are 0 everywhere."""
        R, curve = ranked.R, self.curve
        if curve.by_radius:
            assert ranked.counts is not None  # the engine refuses scores without levels
            found = np.cumsum(ranked.counts, axis=1)
            precision, recall = ratio(found[:, :, 1], found.sum(axis=2)), ratio(found[:, :, 1], R[:, None])
            counts = (R > 0) if curve.mean == "with_relevant" else np.ones(len(R), dtype=bool)
            yield int(counts.sum()), precision, recall
            return
        groups = ranked.groups[curve.ties]
        points = curve.levels or min(curve.k or self.n, self.n)
        step = max(1, _HELD // points)
        for start in range(0, len(R), step):
            some = groups.rows(start, min(start + step, len(R)))
            counted = int((some.R > 0).sum()) if curve.mean == "with_relevant" else len(some.R)
            if curve.levels is not None:
                yield counted, interpolated(some, curve.levels), None
            else:
                found = expected_found(some, points)
                divisor = np.arange(1, points + 1) if curve.kind == "P" else some.R[:, None]
                yield counted, ratio(found, divisor), None


def expected_found(groups: Groups, k: int) -> np.ndarray:
    """Expected number of relevant items within the first 1, 2, ... k: float64 (rows, k)."""
    steps = np.zeros((len(groups.R), k + 1))
    share = groups.r / groups.t
    np.add.at(steps, (groups.row, np.minimum(groups.T, k)), share)
    np.subtract.at(steps, (groups.row, np.minimum(groups.T + groups.t, k)), share)
    found: np.ndarray = np.cumsum(np.cumsum(steps[:, :k], axis=1), axis=1)
    return found


def interpolated(groups: Groups, levels: int) -> np.ndarray:
    """Best expected precision at an expected recall of i / (levels - 1) or above: float64 (rows, levels).

    Within a tie group, expected precision only rises or only falls, so the best is at the first rank that has the
    recall or at the end of that tie group or a later one.
    """
    rows, last = len(groups.R), levels - 1
    value = np.zeros((rows, levels))
    found = groups.P + groups.r
    best = found / (groups.T + groups.t)
    ends = np.searchsorted(groups.row, np.arange(rows + 1))
    for row in range(rows):
        part = slice(ends[row], ends[row + 1])
        if part.start == part.stop:
            continue
        best[part] = np.maximum.accumulate(best[part][::-1])[::-1]
        wanted = np.arange(levels) * groups.R[row]  # times 1 / last: relevant items that the recall takes
        at = part.start + np.searchsorted(found[part] * last, wanted)
        T, P, t, r = groups.T[at], groups.P[at], groups.t[at], groups.r[at]
        j = np.maximum(-(-(wanted - P * last) * t // (r * last)), 1)
        value[row] = np.maximum((P + j * r / t) / (T + j), best[at])
    return value
