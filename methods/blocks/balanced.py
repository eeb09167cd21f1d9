"""The balanced orthogonal factor of discrete hashing methods."""

from __future__ import annotations

import numpy as np


def balanced_orthogonal_factor(Z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The V (n, K) that maximises tr(V'Z) subject to V'V = n I and V'1 = 0 (Liu et al., NIPS 2014).

    With the SVD J Z = P S Q' of the column-centred Z, V = sqrt(n) [P, P_][Q, Q_]'. Where J Z has rank below K, P_ is a
    random orthonormal basis that is orthogonal to P and to the vector of ones. The constraints can be met only for
    K < n; otherwise V has them in as many directions as there are.

    The released codes of BATCH and its kin take S from an eigendecomposition of Z'JZ, which squares the spread of
    the singular values, and leave out the orthogonality of P_ to P and to the ones.
    """
    from scipy.linalg import null_space, qr, svd

    n, K = Z.shape
    P, s, Qt = svd(Z - Z.mean(axis=0), full_matrices=False)
    kept = s > max(1e-3, s.max(initial=0.0) * n * np.finfo(np.float64).eps)
    P, Qt = P[:, kept], Qt[kept]
    missing = min(K, n - 1) - len(Qt)
    if missing > 0:
        fixed = np.column_stack([np.full(n, 1 / np.sqrt(n)), P])
        basis, _ = qr(np.column_stack([fixed, rng.standard_normal((n, missing))]), mode="economic")
        P = np.column_stack([P, basis[:, fixed.shape[1] :]])
        Qt = np.vstack([Qt, null_space(Qt).T[:missing] if len(Qt) else np.eye(K)[:missing]])
    return np.asarray(np.sqrt(n) * P @ Qt)
