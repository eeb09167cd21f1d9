"""Canonical correlation with an iterative-quantisation rotation: a baseline, and a start for other methods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cmrbench_methods.blocks.correlation import Directions, add_ridge, canonical_directions, supported
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.discrete import procrustes
from cmrbench_methods.blocks.linear import row_blocks, signs


def weighted_directions(X: Design, Y: Design, penalty: float) -> Directions:
    """All canonical directions of two centred designs, strongest first, each scaled by its canonical correlation.

    The scaling makes the embeddings X A and Y B give more room to what the modalities share; `penalty` is added to the
    diagonals of the covariances (divided by the number of items). They do not depend on the code length.
    """
    n = len(X)
    Sxx, Syy = add_ridge(X.gram / n, penalty), add_ridge(Y.gram / n, penalty)
    Sxy = X.between(Y) / n
    found = supported(canonical_directions(Sxx, Syy, Sxy, min(Sxy.shape)), penalty)
    return Directions(found.A * found.rho, found.B * found.rho, found.rho)


def random_rotation(k: int, rng: np.random.Generator) -> np.ndarray:
    """An orthogonal matrix (k, k), uniformly distributed (Haar)."""
    Q, R = np.linalg.qr(rng.standard_normal((k, k)))
    return np.asarray(Q * np.where(np.diag(R) < 0, -1.0, 1.0))


def quantising_rotation(parts: Sequence[np.ndarray], start: np.ndarray, iterations: int) -> np.ndarray:
    """The rotation R (k, k) of iterative quantisation (Gong and Lazebnik, CVPR 2011), one for all parts (n, k).

    Minimises sum_Z ||sgn(Z R) - Z R||^2 over orthogonal R by turns: B = sgn(Z R), then R from the Procrustes problem
    max tr(R' sum_Z Z'B). No step increases the objective; it ends early when no code changes any more.
    """
    R, last = start, None
    for _ in range(iterations):
        pull = np.zeros_like(R)
        for Z in parts:
            for rows in row_blocks(len(Z)):
                pull += Z[rows].T @ signs(Z[rows] @ R)
        if last is not None and (pull == last).all():
            break
        R, last = procrustes(pull), pull
    return R
