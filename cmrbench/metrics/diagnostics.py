"""What hash codes look like, whatever they are for: balance, correlation, dead bits, distinct codes, ties."""

from __future__ import annotations

import numpy as np

from cmrbench.core.runs import CodeDiagnostics

RANK = 50
"""The rank whose tie with the next one is counted."""

_PAIRS = 1 << 24
"""Distances that are held at a time."""


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
    step = max(1, _PAIRS // bits)
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
    n = len(gallery)
    if n <= rank:
        return float("nan")
    columns = gallery.T.astype(np.float32)
    tied, step = 0, max(1, _PAIRS // n)
    for start in range(0, len(query), step):
        far = -(query[start : start + step].astype(np.float32) @ columns)
        far.partition((rank - 1, rank), axis=1)
        tied += int((far[:, rank - 1] == far[:, rank]).sum())
    return tied / len(query)
