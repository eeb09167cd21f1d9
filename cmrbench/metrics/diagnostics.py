"""What hash codes look like, whatever they are for: balance, correlation, dead bits, distinct codes, ties."""

from __future__ import annotations

import numpy as np

from cmrbench.core.runs import CodeDiagnostics
from cmrbench.metrics.engine import ranked_by
from cmrbench.metrics.ranking import Needs
from cmrbench.metrics.relevance import from_labels
from cmrbench.metrics.scores import hamming

RANK = 50
"""The rank whose tie with the next one is counted."""

_VALUES = 1 << 24
"""Bits that are held as numbers at a time."""


def diagnose(query: np.ndarray, gallery: np.ndarray) -> CodeDiagnostics:
    """Diagnostics of a gallery's codes (n, bits), and of rankings of it by Hamming distance to query codes (m, bits).

    Parameters
    ----------
    query, gallery : ndarray
        int8 codes in {-1, +1}, as wide as each other; at least one item each.
    """
    means = gallery.mean(axis=0, dtype=np.float64)
    dead = np.abs(means) == 1
    return CodeDiagnostics(
        balance=float(1 - np.abs(means).mean()),
        correlation=_correlation(gallery[:, ~dead], means[~dead]),
        dead_bits=int(dead.sum()),
        distinct_codes=len(np.unique(np.packbits(gallery > 0, axis=1), axis=0)),
        ties_at_50=_ties(query, gallery, RANK),
    )


def _correlation(live: np.ndarray, means: np.ndarray) -> float:
    """Mean absolute correlation of different bits, none of which is constant."""
    bits = live.shape[1]
    if bits < 2:
        return float("nan")
    moments = np.zeros((bits, bits))
    step = max(1, _VALUES // bits)
    for start in range(0, len(live), step):
        # Sums of +-1 are whole numbers: float32 holds them exactly below 2^24.
        block = live[start : start + step].astype(np.float32)
        moments += block.T @ block
    covariance = moments / len(live) - np.outer(means, means)
    scale = np.sqrt(1 - means**2)
    correlation = np.abs(covariance / np.outer(scale, scale))
    return float((correlation.sum() - np.trace(correlation)) / (bits * (bits - 1)))


def _ties(query: np.ndarray, gallery: np.ndarray, rank: int) -> float:
    """Share of queries whose items at `rank` and at the next rank are equally far; NaN if there is no next rank."""
    if len(gallery) <= rank:
        return float("nan")
    alike = from_labels(*(np.ones((len(side), 1), dtype=np.uint8) for side in (query, gallery)))
    tied = 0
    for ranked in ranked_by(hamming(query, gallery), alike, Needs({}, counts=True)):
        assert ranked.counts is not None  # codes have levels
        within = ranked.counts.sum(axis=2).cumsum(axis=1)  # items up to each distance
        reached = np.take_along_axis(within, (within >= rank).argmax(axis=1)[:, None], axis=1)
        tied += int((reached > rank).sum())
    return tied / len(query)
