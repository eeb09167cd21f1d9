"""Kernels between feature rows, and their widths.

A kernel is a function of two float64 matrices (n, d), (m, d) and a width parameter gamma; it returns (n, m).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cmrbench.core.errors import MethodError
from cmrbench_methods.blocks.linear import product, row_blocks

Kernel = Callable[[np.ndarray, np.ndarray, float], np.ndarray]

SAMPLE = 1000
"""Items whose pairwise distances set a width."""


def squared_distances(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances between rows, never negative: (n, m)."""
    out = product(x, z.T)  # every step in place: passes over memory cost as much as the product
    out *= -2
    out += (x * x).sum(axis=1)[:, None]
    out += (z * z).sum(axis=1)
    return np.maximum(out, 0.0, out=out)


def chi2_distances(x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Sum over features of ``(x - z)^2 / (x + z)``, where both zero counts as zero: (n, m)."""
    from sklearn.metrics.pairwise import additive_chi2_kernel

    _need_counts(x, "chi2")
    return np.asarray(-additive_chi2_kernel(x, z))


def linear(x: np.ndarray, z: np.ndarray, gamma: float) -> np.ndarray:
    """``x'z``; gamma is not used."""
    return product(x, z.T)


def polynomial(x: np.ndarray, z: np.ndarray, gamma: float) -> np.ndarray:
    """``(gamma x'z + 1)^2``."""
    return (gamma * product(x, z.T) + 1) ** 2


def rbf(x: np.ndarray, z: np.ndarray, gamma: float) -> np.ndarray:
    """``exp(-gamma ||x - z||^2)``."""
    out = squared_distances(x, z)
    out *= -gamma
    return np.exp(out, out=out)


def chi2(x: np.ndarray, z: np.ndarray, gamma: float) -> np.ndarray:
    """``exp(-gamma chi2(x, z))`` for features that are not negative (counts, histograms)."""
    return np.exp(-gamma * chi2_distances(x, z))


def intersection(x: np.ndarray, z: np.ndarray, gamma: float) -> np.ndarray:
    """``sum_j min(x_j, z_j)`` for features that are not negative; gamma is not used."""
    _need_counts(x, "intersection")
    return np.stack([np.minimum(row, z).sum(axis=1) for row in x]) if len(x) else np.zeros((0, len(z)))


KERNELS: dict[str, Kernel] = {
    "rbf": rbf,
    "linear": linear,
    "poly2": polynomial,
    "chi2": chi2,
    "intersection": intersection,
}


def median_gamma(kernel: str, features: np.ndarray, rng: np.random.Generator) -> float:
    """One over the median distance between up to `SAMPLE` items (squared Euclidean, or chi2 for that kernel).

    For ``poly2`` one over the mean squared norm. Where more than half of the pairs coincide, the mean takes the
    median's place; where all coincide, gamma is 1.
    """
    n = len(features)
    rows = np.arange(n) if n <= SAMPLE else np.sort(rng.choice(n, SAMPLE, replace=False))
    x = features[rows].astype(np.float64)
    if kernel == "poly2":
        typical = float((x * x).sum(axis=1).mean())
    elif kernel in ("rbf", "chi2") and n > 1:
        distances = (squared_distances if kernel == "rbf" else chi2_distances)(x, x)[np.triu_indices(len(x), 1)]
        typical = float(np.median(distances))
        if typical <= 1e-12 * distances.max():
            typical = float(distances.mean())
    else:
        typical = 0.0
    return 1 / typical if typical > 0 else 1.0


def kernel_blocks(kernel: Kernel, features: np.ndarray, landmarks: np.ndarray, gamma: float) -> np.ndarray:
    """The kernel between features (n, d) and landmarks (m, d), computed in blocks of rows: float64, (n, m)."""
    out = np.empty((len(features), len(landmarks)))
    for rows in row_blocks(len(features), 2048):
        out[rows] = kernel(features[rows].astype(np.float64), landmarks, gamma)
    return out


def _need_counts(x: np.ndarray, kernel: str) -> None:
    if x.size and x.min() < 0:
        raise MethodError(
            f"the {kernel} kernel needs features that are not negative, the smallest is {x.min():.4g}; "
            "choose the rbf kernel"
        )
