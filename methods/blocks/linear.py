"""Linear parts that closed-form methods share: moments, projections, ridge regression, sign codes.

Everything is computed in float64 and in blocks of rows, so that float32 features of any length (memory-mapped ones
included) need no second copy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

ROWS = 8192
"""Rows that are held in float64 at a time."""

_FEWEST = 16


def row_blocks(n: int, size: int = ROWS) -> Iterator[slice]:
    """Slices that cover ``range(n)`` in order."""
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def product(rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``rows @ weights``, with every row computed alike however many there are.

    BLAS takes another routine, which adds in another order, for a handful of rows than for many; a few zero rows
    underneath keep it to the one for many.
    """
    if len(rows) < _FEWEST:
        padded = np.zeros((_FEWEST, rows.shape[1]))
        padded[: len(rows)] = rows
        return (padded @ weights)[: len(rows)]
    return rows @ weights


def project(features: np.ndarray, mean: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``(features - mean) @ weights`` for features (n, d), mean (d,), weights (d, k): float64, shape (n, k)."""
    out = np.empty((len(features), weights.shape[1]))
    for rows in row_blocks(len(features)):
        out[rows] = product(features[rows].astype(np.float64) - mean, weights)
    return out


@dataclass(frozen=True, eq=False)
class Moments:
    """Means and covariances (divided by n) of two paired feature matrices, float64."""

    mean_x: np.ndarray
    mean_y: np.ndarray
    Cxx: np.ndarray
    Cyy: np.ndarray
    Cxy: np.ndarray


def mean_rows(features: np.ndarray) -> np.ndarray:
    """Column means in float64, shape (d,)."""
    total = np.zeros(features.shape[1])
    for rows in row_blocks(len(features)):
        total += features[rows].sum(axis=0, dtype=np.float64)
    return total / len(features)


def moments(x: np.ndarray, y: np.ndarray) -> Moments:
    """Moments of paired features x (n, dx) and y (n, dy).

    Two passes over the rows, means first, because subtracting means from finished sums of squares loses the small
    variances of features with a large mean.
    """
    mean_x, mean_y = mean_rows(x), mean_rows(y)
    Cxx, Cyy = np.zeros((x.shape[1],) * 2), np.zeros((y.shape[1],) * 2)
    Cxy = np.zeros((x.shape[1], y.shape[1]))
    for rows in row_blocks(len(x)):
        xc, yc = x[rows] - mean_x, y[rows] - mean_y
        Cxx += xc.T @ xc
        Cyy += yc.T @ yc
        Cxy += xc.T @ yc
    n = len(x)
    return Moments(mean_x, mean_y, Cxx / n, Cyy / n, Cxy / n)


def unit_rows(values: np.ndarray) -> np.ndarray:
    """Rows scaled to unit Euclidean length, float64; zero rows stay zero."""
    rows = np.asarray(values, dtype=np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)


def ridge(A: np.ndarray, B: np.ndarray, penalty: float) -> np.ndarray:
    """The W that minimises ``||A W - B||^2 + penalty ||W||^2``: shape (columns of A, columns of B)."""
    from scipy.linalg import solve

    gram = A.T @ A
    gram[np.diag_indices_from(gram)] += penalty
    return np.asarray(solve(gram, A.T @ B, assume_a="pos"))


def solve_positive(A: np.ndarray, right: np.ndarray, penalty: float = 0.0) -> np.ndarray:
    """(A + penalty I)^-1 right for a symmetric, positive semidefinite A (m, m) and right (m, k): `positive_solver`."""
    return positive_solver(A, penalty)(right)


def positive_solver(A: np.ndarray, penalty: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    """What takes right (m, k) to (A + penalty I)^-1 right, for a symmetric, positive semidefinite A (m, m).

    By Cholesky; where A is singular to rounding, the solution of least norm, from its eigenvectors.
    """
    from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh

    A = A.copy()
    A[np.diag_indices_from(A)] += penalty
    try:
        factor = cho_factor(A, lower=True)
        pivots = np.diag(factor[0])
        if pivots.min() > 1e-7 * pivots.max():
            return lambda right: np.asarray(cho_solve(factor, right))
    except LinAlgError:
        pass
    values, vectors = eigh(A)
    kept = values > max(values[-1], 0.0) * len(A) * np.finfo(np.float64).eps
    values, vectors = values[kept], vectors[:, kept]
    return lambda right: np.asarray((vectors / values) @ (vectors.T @ right))


def signs(values: np.ndarray) -> np.ndarray:
    """float64 signs in {-1, +1}; zero counts as +1."""
    return np.where(values >= 0, 1.0, -1.0)


def sign_codes(values: np.ndarray) -> np.ndarray:
    """int8 hash codes in {-1, +1}; zero counts as +1."""
    return np.where(values >= 0, 1, -1).astype(np.int8)
