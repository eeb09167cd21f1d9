"""Near-duplicate search: all pairs of rows whose centred cosine reaches a threshold, tile by tile.

Rows are centred by the mean of the training rows first. Histograms and the vectors of deep networks lie in a narrow
cone: their plain cosines are high for items that have nothing in common, and centring takes the cone away.

Wide rows are screened: n rows of d > 2 K columns are projected on K random directions. The cosine of two projected
rows is the correlation of K pairs of normal variables that correlate as the rows do, so Fisher's z-transformation gives
how far below the threshold a projected pair may lie; what passes the screen is compared in all columns. Memory does
not grow with the number of pairs of rows, and the rows themselves are read in blocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cmrbench.data.arrays import BLOCK_BYTES
from cmrbench.data.audit.rows import Rows

PROJECTED = 128
"""K: directions of the screen."""

SCREEN_SIGMAS = 5.0
"""A pair at the threshold fails the screen with probability 3e-7."""

TILE = (2048, 4096)
PROBED = 2000
MOST_BY_CHANCE = 1e-3
"""Where more than this share of different rows' pairs reach the threshold, cosines do not tell copies."""


class Directions:
    """Centred rows of unit length, on demand.

    Parameters
    ----------
    rows : Rows
    reference : ndarray of int
        The rows whose mean is taken off (a row that equals the mean has no direction: it stays zero).
    """

    def __init__(self, rows: Rows, reference: np.ndarray) -> None:
        self.rows = rows
        self.step = max(1, BLOCK_BYTES // (4 * rows.dim))
        mean = np.zeros(rows.dim)
        for some in self.some(reference):
            mean += rows.take(some).sum(0, dtype=np.float64)
        self.mean = (mean / max(1, len(reference))).astype(np.float32)

    def some(self, numbers: np.ndarray) -> Iterator[np.ndarray]:
        """Row numbers in runs that fit a block."""
        return (numbers[start : start + self.step] for start in range(0, len(numbers), self.step))

    def take(self, numbers: np.ndarray) -> np.ndarray:
        """Unit rows, float32 (len(numbers), d)."""
        given = self.rows.take(numbers)
        # What rounding alone leaves of a row that equals the mean has no direction.
        return _unit(given - self.mean, 1e-5 * _norms(given))

    def cosines(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """Cosines of rows i with rows j, one by one: float32 (len(i),)."""
        out = np.empty(len(i), np.float32)
        for start in range(0, len(i), self.step):
            some = slice(start, start + self.step)
            out[some] = np.einsum("ij,ij->i", self.take(i[some]), self.take(j[some]))
        return out

    def by_chance(self, probe: np.ndarray, threshold: float) -> float:
        """Share of the pairs of probed rows, unequal and of two instances, that reach the threshold."""
        unit = self.take(probe)
        group, instance = self.rows.equal.group[probe], self.rows.instance[probe]
        different = (group[:, None] != group) & (instance[:, None] != instance)
        pairs = int(different.sum())
        return float(((unit @ unit.T >= threshold) & different).sum()) / pairs if pairs else 0.0


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of row numbers, ``i < j``, and their cosines."""

    i: np.ndarray
    j: np.ndarray
    cosine: np.ndarray


def search(directions: Directions, chosen: np.ndarray, threshold: float, rng: np.random.Generator) -> Iterator[Pairs]:
    """All pairs of chosen rows whose cosine reaches the threshold, a few at a time.

    Parameters
    ----------
    directions : Directions
    chosen : ndarray of int
        Numbers of the rows to search, ascending.
    threshold : float
        Cosine.
    rng : Generator
        For the random directions of the screen, where one is used.
    """
    chosen = np.sort(chosen)
    d = directions.rows.dim
    wide = d > 2 * PROJECTED
    matrix = rng.standard_normal((d, PROJECTED), np.float32) if wide else None
    low = screen_of(threshold) if wide else threshold - 1e-4  # float32 products of a tile differ in the last bits
    thin = np.empty((len(chosen), PROJECTED if wide else d), np.float32)
    has = np.empty(len(chosen), bool)
    start = 0
    for some in directions.some(chosen):
        unit = directions.take(some)
        stop = start + len(some)
        has[start:stop] = unit.any(1)
        thin[start:stop] = unit if matrix is None else _unit(unit @ matrix)
        start = stop
    chosen, thin = chosen[has], thin[has]
    for i, j in _tiles(thin, low):
        cosine = directions.cosines(chosen[i], chosen[j])
        near = cosine >= threshold
        if near.any():
            yield Pairs(chosen[i[near]], chosen[j[near]], cosine[near])


def screen_of(threshold: float) -> float:
    """The cosine of projected rows that a pair at the threshold reaches but for `SCREEN_SIGMAS`."""
    return math.tanh(math.atanh(threshold) - SCREEN_SIGMAS / math.sqrt(PROJECTED - 3))


def _tiles(unit: np.ndarray, low: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs ``i < j`` of rows whose product reaches `low`, tile by tile of the upper triangle."""
    n, (height, width) = len(unit), TILE
    for top in range(0, n, height):
        for left in range(top - top % width, n, width):
            tile = unit[top : top + height] @ unit[left : left + width].T
            found = np.flatnonzero(tile.ravel() >= low)
            i, j = found // tile.shape[1] + top, found % tile.shape[1] + left
            upper = i < j
            if upper.any():
                yield i[upper], j[upper]


def _norms(rows: np.ndarray) -> np.ndarray:
    norms: np.ndarray = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None]
    return norms


def _unit(rows: np.ndarray, least: np.ndarray | float = 0.0) -> np.ndarray:
    norms = _norms(rows)
    unit: np.ndarray = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > least)
    return unit.astype(np.float32, copy=False)
