"""Discrete steps: coordinate descent over bits, and orthogonal Procrustes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np


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
        Most passes over the bits; it ends earlier when none changes.
    order : callable, optional
        Asked before every pass which bits to visit, and in which order; by default all of them, in their order.
    """
    B = np.asfortranarray(B, dtype=np.float64)
    for _ in range(sweeps):
        changed = False
        for k in order() if order else range(B.shape[1]):
            coupling = G[:, k].copy()
            coupling[k] = 0.0
            argument = Q[:, k] - B @ coupling
            bit = np.where(argument == 0, B[:, k], np.where(argument > 0, 1.0, -1.0))
            if (bit != B[:, k]).any():
                B[:, k], changed = bit, True
        if not changed:
            break
    return np.ascontiguousarray(B)


def procrustes(M: np.ndarray) -> np.ndarray:
    """The orthogonal R (K, K) that maximises ``tr(R'M)``: U V' from the SVD M = U S V' (Schoenemann 1966)."""
    from scipy.linalg import svd

    U, _, Vt = svd(M)
    return np.asarray(U @ Vt)
