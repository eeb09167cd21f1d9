"""Semantic correlation maximisation: linear hash functions whose code products reproduce label similarity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.correlation import add_ridge, leading_pairs, whitener
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, both_in_turn, training_pairs
from cmrbench_methods.blocks.linear import signs, unit_rows
from cmrbench_methods.blocks.maps import Scaled

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class SCM(HashingMethod):
    """Semantic correlation maximisation (Zhang and Li, AAAI 2014), sequential and orthogonal.

    Approximate the label similarity 2 G G' - 1 1' (G: label rows of unit length) by the products of codes
    sgn(X Wx) sgn(Y Wy)' / K. Relaxed, every bit is the leading solution of

        C Cyy^-1 C' w = e Cxx w,    v = Cyy^-1 C' w / sqrt(e),    C = K (2 (X'G)(Y'G)' - (X'1)(Y'1)'),

    with Cxx = X'X + 1e-6 I and centred features. *orth* takes the K leading solutions at once. *seq* takes one bit at
    a time and subtracts (X' sgn(X w))(Y' sgn(Y v))' from C before the next (algorithm 1).

    Follows the released code (BMC-SDNU/Cross-Modal-Hashing-Retrieval, SCM), with these differences:

    - It solves a full generalised eigenproblem per bit; here Cxx and Cyy are whitened once, where the solution is the
      leading singular pair of Wx' C Wy, and the deflation is a rank-one update of that matrix. Same result.
    - Where *seq* finds no smaller e it stops, and both keep the canonical correlation directions, weakest first, for
      the bits that are left. Beyond the rank those (and the bits of *orth*) are numerical noise in the code, complex
      numbers included; here the directions found are used again, in turn.
    - The demo does not centre the gallery; here queries and gallery are centred by the training mean.
    - The demo calls the text X and fails for more bits than text features; here the order of modalities is free.

    Parameters
    ----------
    solution : {"seq", "orth"}
    ridge : float
        Added to the diagonals of X'X and Y'Y.
    """

    info = MethodInfo(
        name="scm",
        title="SCM",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Feature mapping",
        venue="AAAI14",
        citation=Citation(
            key="zhang2014scm",
            kind="inproceedings",
            author="Dongqing Zhang and Wu-Jun Li",
            title="Large-scale supervised multimodal hashing with semantic correlation maximization",
            venue="Proceedings of the Twenty-Eighth AAAI Conference on Artificial Intelligence",
            year=2014,
            pages="2177-2183",
            url="https://ojs.aaai.org/index.php/AAAI/article/view/8995",
        ),
        url="https://github.com/BMC-SDNU/Cross-Modal-Hashing-Retrieval",
        deterministic=True,
    )

    def __init__(self, solution: str = "seq", ridge: float = 1e-6) -> None:
        self.solution = solution
        self.ridge = ridge

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Find one pair of directions per bit."""
        if self.solution not in ("seq", "orth"):
            raise MethodError(f"scm: solution {self.solution!r} is neither seq nor orth")
        pairs = training_pairs(self, train, context)
        maps = context.shared("maps", lambda: {m: Scaled.fit(z) for m, z in pairs.features.items()})
        problem = context.shared(
            "whitened", lambda: Whitened(*(maps[m](z) for m, z in pairs.features.items()), self.ridge)
        )
        G = unit_rows(pairs.L)
        if self.solution == "orth":
            U, _, V = leading_pairs(problem.semantic(G), pairs.bits)
        else:
            U, V = sequential(problem, G, pairs.bits)
        Wx, Wy = both_in_turn(problem.Wx @ U, problem.Wy @ V, pairs.bits, "scm", context)
        self.dims_ = pairs.dims
        self.functions_ = {m: HashFunction(maps[m], W) for m, W in zip(pairs.names, (Wx, Wy), strict=True)}
        return self


class Whitened:
    """Centred, paired features X (n, dx) and Y (n, dy) with whiteners Wx' (X'X + ridge I) Wx = I.

    Directions are vectors u, v of the whitened spaces; w = Wx u is the direction of the paper.
    """

    def __init__(self, X: np.ndarray, Y: np.ndarray, ridge: float) -> None:
        self.X, self.Y = X, Y
        self.Wx, self.Wy = whitener(add_ridge(X.T @ X, ridge)), whitener(add_ridge(Y.T @ Y, ridge))

    def cross(self, P: np.ndarray, Q: np.ndarray) -> np.ndarray:
        """``Wx' (X'P)(Y'Q)' Wy`` for P, Q with n rows."""
        return np.asarray((self.Wx.T @ (self.X.T @ P)) @ (self.Wy.T @ (self.Y.T @ Q)).T)

    def correlation(self) -> np.ndarray:
        """``Wx' X'Y Wy``: its singular pairs are the canonical correlation directions."""
        return np.asarray(self.Wx.T @ (self.X.T @ self.Y) @ self.Wy)

    def semantic(self, G: np.ndarray) -> np.ndarray:
        """``Wx' (2 (X'G)(Y'G)' - (X'1)(Y'1)') Wy``."""
        ones = np.ones((len(G), 1))
        return 2 * self.cross(G, G) - self.cross(ones, ones)


def sequential(problem: Whitened, G: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The paper's algorithm 1: whitened directions U (rx, bits), V (ry, bits)."""
    U, _, V = leading_pairs(problem.correlation(), bits)
    if not U.shape[1]:
        return U, V  # a modality is constant: no bit has a direction
    turn = np.arange(bits)[::-1] % U.shape[1]
    U, V = U[:, turn].copy(), V[:, turn].copy()
    M = bits * problem.semantic(G)
    last = np.inf
    for k in range(bits):
        u, strength, v = leading_pair(M)
        if strength > last:
            break
        U[:, k], V[:, k], last = u, v, strength
        M = M - problem.cross(
            signs(problem.X @ (problem.Wx @ u))[:, None], signs(problem.Y @ (problem.Wy @ v))[:, None]
        )
    return U, V


def leading_pair(M: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Largest singular value of M and its vectors: u, s, v.

    A dense decomposition for small matrices, Lanczos iteration from a fixed start for large ones.
    """
    from scipy.linalg import svd
    from scipy.sparse.linalg import ArpackNoConvergence, svds

    if min(M.shape) > 64:
        try:
            u, s, vt = svds(M, k=1, v0=np.ones(min(M.shape)))
            return u[:, 0], float(s[0]), vt[0]
        except ArpackNoConvergence:
            pass
    u, s, vt = svd(M, full_matrices=False)
    return u[:, 0], float(s[0]), vt[0]
