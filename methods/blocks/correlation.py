"""Canonical correlation from covariances: shared by CCA, KCCA and SCM."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NO_CORRELATION = 1e-6
"""Canonical correlations below this are rounding (the squared ones carry about 1e-15)."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Projections A (dx, k) and B (dy, k) and their canonical correlations rho (k,), largest first."""

    A: np.ndarray
    B: np.ndarray
    rho: np.ndarray


def canonical_directions(Cxx: np.ndarray, Cyy: np.ndarray, Cxy: np.ndarray, k: int) -> Directions:
    """Maximise tr(A' Cxy B) subject to A' Cxx A = B' Cyy B = I.

    With whiteners Wx' Cxx Wx = I the problem is the SVD of Wx' Cxy Wy. Directions without any correlation are left
    out, so fewer than k may come back. The sign is fixed: the largest entry of every column of A is positive.
    """
    Wx, Wy = whitener(Cxx), whitener(Cyy)
    U, rho, V = leading_pairs(Wx.T @ Cxy @ Wy, k)
    return oriented(Wx @ U, Wy @ V, rho)


def leading_pairs(T: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k largest singular values s of T and their vectors, without those that are zero: U, s, V.

    They come from an eigendecomposition of T T' or T' T, whichever is smaller.
    """
    from scipy.linalg import eigh

    wide = T.shape[0] <= T.shape[1]
    gram = T @ T.T if wide else T.T @ T
    size = len(gram)
    k = min(k, size)
    if k == 0:
        return np.zeros((T.shape[0], 0)), np.zeros(0), np.zeros((T.shape[1], 0))
    squared, small = eigh(gram, subset_by_index=(size - k, size - 1))
    s = np.sqrt(np.maximum(squared[::-1], 0.0))
    kept = s > NO_CORRELATION
    s, small = s[kept], small[:, ::-1][:, kept]
    large = (T.T if wide else T) @ small / s
    return (small, s, large) if wide else (large, s, small)


def oriented(A: np.ndarray, B: np.ndarray, rho: np.ndarray) -> Directions:
    """The directions with the sign that makes the largest entry of every column of A positive."""
    largest = np.abs(A).argmax(axis=0)
    flip = np.where(A[largest, np.arange(A.shape[1])] < 0, -1.0, 1.0)
    return Directions(A * flip, B * flip, rho)


def supported(found: Directions, penalty: float) -> Directions:
    """The directions that the data support: at least a millionth of their variance is not the ridge's.

    Regularised covariances C + penalty I are regular even where a feature is constant or depends on others up to the
    rounding of its float32 values; the directions in which there is nothing but the ridge carry that rounding.
    """
    shares = [1 - penalty * (W * W).sum(axis=0) for W in (found.A, found.B)]
    kept = np.minimum(*shares) > 1e-6
    return Directions(found.A[:, kept], found.B[:, kept], found.rho[kept])


def whitener(C: np.ndarray) -> np.ndarray:
    """A matrix W with W' C W = I for a covariance C (d, d): shape (d, rank).

    Upper triangular from the Cholesky factor where C is safely positive definite; otherwise (no ridge and dependent
    or constant features) from its eigenvectors, without those of zero variance.
    """
    from scipy.linalg import cholesky, eigh, solve_triangular

    try:
        factor = cholesky(C, lower=True)
        pivots = np.diag(factor)
        if pivots.min() > 1e-7 * pivots.max():
            return np.asarray(solve_triangular(factor, np.eye(len(C)), lower=True).T)
    except np.linalg.LinAlgError:
        pass
    variances, vectors = eigh(C)
    kept = variances > max(variances[-1], 0.0) * len(C) * np.finfo(np.float64).eps
    return np.asarray(vectors[:, kept] / np.sqrt(variances[kept]))


def add_ridge(C: np.ndarray, penalty: float) -> np.ndarray:
    """``C + penalty I``."""
    out = C.copy()
    out[np.diag_indices_from(out)] += penalty
    return out
