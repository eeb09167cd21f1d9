"""Semantic correlation maximisation: linear hash functions whose code products reproduce label similarity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, Method, MethodInfo, paired_rows
from cmrbench_methods.blocks.correlation import add_ridge, leading_pairs, whitener
from cmrbench_methods.blocks.labels import labels_of, unit_rows
from cmrbench_methods.blocks.linear import mean_rows, project, sign_codes, signs

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class SCM(Method):
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
    variant : {"seq", "orth"}
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

    def __init__(self, variant: str = "seq", ridge: float = 1e-6) -> None:
        self.variant = variant
        self.ridge = ridge

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Find one pair of directions per bit."""
        if self.variant not in ("seq", "orth"):
            raise MethodError(f"scm: variant {self.variant!r} is neither seq nor orth")
        if not context.bits:
            raise MethodError("scm needs a code length: choose bits")
        paired_rows(train, self.info.name)
        (x, left), (y, right) = train.items()
        self.mean_ = {x: mean_rows(left.features), y: mean_rows(right.features)}
        self.dims_ = {x: left.dim, y: right.dim}
        problem = Whitened(left.features - self.mean_[x], right.features - self.mean_[y], self.ridge)
        G = unit_rows(labels_of(left, self.info.name))
        if self.variant == "orth":
            U, _, V = leading_pairs(problem.semantic(G), context.bits)
            if U.shape[1] < context.bits:
                context.logger.warning("scm: orth finds %d bits in this data, the others repeat them", U.shape[1])
        else:
            U, V = sequential(problem, G, context.bits)
        if not U.shape[1]:
            raise MethodError(f"scm found no direction of {x} and {y} that is correlated with the labels")
        turn = np.arange(context.bits) % U.shape[1]
        self.weights_ = {x: problem.Wx @ U[:, turn], y: problem.Wy @ V[:, turn]}
        return self

    def encode(self, modality: str, features: np.ndarray) -> np.ndarray:
        """``sgn((x - mean) W)``: int8, shape (n, bits); zero gives +1, as in the code."""
        self.check_fitted("weights_")
        self.check_features(modality, features, self.dims_)
        return sign_codes(project(features, self.mean_[modality], self.weights_[modality]))


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
    turn = np.arange(bits)[::-1] % max(1, U.shape[1])
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
