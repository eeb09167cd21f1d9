"""Discrete steps: coordinate descent over bits, and orthogonal Procrustes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from cmrbench_methods.blocks.linear import row_blocks


def coordinate_descent(
    B: np.ndarray, Q: np.ndarray, G: np.ndarray, sweeps: int, order: Callable[[], Iterable[int]] | None = None
) -> np.ndarray:
    """Minimise ``tr(B G B') - 2 tr(B Q')`` over B in {-1, +1}^(n x K), a bit at a time (Shen et al., CVPR 2015).

    With the other bits fixed, bit k has the exact solution ``sgn(q_k - sum_{j != k} b_j G_jk)``; a bit whose argument
    is zero stays as it is, so the objective never increases.

    Parameters
    ----------
    B : ndarray
        Start, float64 (n, K) in {-1, +1}.
    Q : ndarray
        (n, K).
    G : ndarray
        Symmetric (K, K); its diagonal has no effect.
    sweeps : int
        Most passes over the bits; it ends earlier when none changes. Items that a pass over all bits leaves as they
        are take no part in later ones.
    order : callable, optional
        Asked before every pass which bits to visit, and in which order; by default all of them, in their order.
    """
    B = np.array(B, dtype=np.float64, order="C")
    G = G - np.diag(np.diag(G))
    moving = np.arange(len(B))
    for _ in range(sweeps):
        bits = list(order()) if order else range(B.shape[1])
        changed = np.zeros(len(moving), dtype=bool)
        for rows in row_blocks(len(moving), 2048):  # few enough for the cache to hold them while all bits pass
            items = moving[rows]
            before, wanted = B[items], Q[items]
            after = np.asfortranarray(before)
            for k in bits:
                argument = wanted[:, k] - after @ G[:, k]
                after[:, k] = np.where(argument == 0, after[:, k], np.where(argument > 0, 1.0, -1.0))
            changed[rows] = (after != before).any(axis=1)
            B[items] = after
        if not changed.any():
            break
        if len(set(bits)) == B.shape[1]:
            moving = moving[changed]
    return B


def procrustes(M: np.ndarray) -> np.ndarray:
    """The R (d, k) with orthonormal columns (rows, if d < k) that maximises ``tr(R'M)``.

    U V' from the SVD M = U S V' (Schoenemann 1966); orthogonal where M is square.
    """
    from scipy.linalg import svd

    U, _, Vt = svd(M, full_matrices=False)
    return np.asarray(U @ Vt)
