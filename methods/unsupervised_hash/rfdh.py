"""RFDH: one balanced binary factor of both modalities, robust to outlying items, and linear hash functions for it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import (
    HashFunction,
    HashingMethod,
    TrainingPairs,
    check_functions,
    check_variant,
    shared_designs,
    training_pairs,
    uncentred_design,
)
from cmrbench_methods.blocks.linear import mean_rows, sign_codes, solve_positive

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items

EPS = float(np.finfo(np.float64).eps)
"""What is added to squared residuals before their root, so that items that fit exactly have a finite weight."""

SWEEPS = 5
"""Most passes over the bits in one round."""

ROUNDS = 5
"""Rounds of the hash functions."""


class RFDH(HashingMethod):
    """Robust and flexible discrete hashing (Wang, Wang and Gao, TCSVT 2018), linear.

    Codes B in {0, 1}, every bit one for half of the training items, bases F_m and weights w_m of the modalities
    minimise

        sum_m w_m^r sum_i ||x_mi - F_m b_i|| + gamma / 2 sum_m ||F_m||^2,    sum_m w_m = 1,

    by turns; the lengths, not squared, of the residuals are minimised by squares weighted by 1 / length. With
    B in {-1, +1}, hash functions sgn(R (P_m z - u_m)) then minimise, over T, R, P_m and u_m by turns,

        sum_m (||P_m X_m - u_m 1' - T||^2 + gamma ||P_m||^2) + eta (||B - R T||^2 + gamma ||R||^2).

    Follows the released code (Wangdi-Xidian/RFDH; a copy is in BMC-SDNU/Cross-Modal-Retrieval): features as they are,
    random start. It has two slips, which `variant="released"` keeps and `"paper"` (the steps that minimise the
    objectives above; the paper's text was not at hand) does not:

    - It sets w_m in proportion to h_m^(1 / (r - 1)), h_m the sum of residuals, so that the modality that fits worse
      weighs more. The minimum is at h_m^(1 / (1 - r)).
    - It sets R to the regression of T on B. The minimum is at the regression of B on T.

    Other differences: products of bases and residuals are updated where a bit changes, not computed anew for every
    bit; zero counts as +1 in a code.

    Parameters
    ----------
    variant : {"paper", "released"}
    r : float
        Exponent of the weights, above 1 (``lambda`` in the code).
    gamma : float
        Weight of all ridges.
    eta : float
        Weight of ``||B - R T||^2``.
    iterations : int
        Rounds of the factorisation.

    Attributes
    ----------
    bases_ : dict
        F_m' by modality, (bits, d).
    weights_ : dict
        w_m by modality.
    rotation_, projections_, offsets_ : ndarray, dict, dict
        R (bits, bits); P_m' (d, bits) and u_m (bits,) by modality.
    """

    info = MethodInfo(
        name="rfdh",
        title="RFDH",
        category="unsupervised_hash",
        output="hash",
        retrieval=("hamming",),
        group="Matrix factorization",
        venue="TCSVT18",
        citation=Citation(
            key="wang2018rfdh",
            kind="article",
            author="Di Wang and Quan Wang and Xinbo Gao",
            title="Robust and flexible discrete hashing for cross-modal similarity search",
            venue="IEEE Transactions on Circuits and Systems for Video Technology",
            year=2018,
            pages="2703-2715",
            note="Volume 28(10)",
        ),
        url="https://github.com/Wangdi-Xidian/RFDH",
    )

    def __init__(
        self, variant: str = "paper", r: float = 3.0, gamma: float = 1e-4, eta: float = 10.0, iterations: int = 20
    ) -> None:
        self.variant = variant
        self.r = r
        self.gamma = gamma
        self.eta = eta
        self.iterations = iterations

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Factorise; then fit the hash functions to the codes."""
        self._check()
        pairs = training_pairs(self, train, context)
        designs = shared_designs(pairs, context, design_of)
        B = self._factorise(designs, pairs, context)
        self.dims_ = pairs.dims
        self.codes_ = dict.fromkeys(pairs.names, sign_codes(B.T - 0.5))
        self.functions_ = self._hash_functions(designs, 2 * B.T - 1, context)
        check_functions(self.functions_, pairs.features, "rfdh")
        return self

    def _check(self) -> None:
        check_variant("rfdh", self.variant)
        if self.r <= 1:
            raise MethodError(f"rfdh: the exponent r is above 1, it is {self.r}")
        if self.gamma <= 0 or self.eta <= 0:
            raise MethodError(f"rfdh: gamma and eta are above 0, they are {self.gamma} and {self.eta}")

    def _factorise(self, designs: Mapping[str, Design], pairs: TrainingPairs, context: Context) -> np.ndarray:
        B = (context.rng("codes").random((pairs.bits, len(pairs))) > 0.5).astype(np.float64)
        factors = [Factor(X, context.shared(("squares", m), partial(square_lengths, X))) for m, X in designs.items()]
        for factor in factors:
            factor.refit(B, self.gamma, np.ones(len(pairs)))
        w = np.full(len(factors), 1 / len(factors))
        for iteration in range(self.iterations):
            w = self._weights(np.array([factor.lengths.sum() for factor in factors]))
            D = [1 / factor.lengths for factor in factors]
            balanced_bits(B, factors, [weight**self.r * d for weight, d in zip(w, D, strict=True)])
            for factor, weight, d in zip(factors, w, D, strict=True):
                factor.refit(B, self.gamma / weight**self.r, d)
            context.progress(iteration + 1, self.iterations, "")
        self.weights_ = dict(zip(pairs.names, map(float, w), strict=True))
        self.bases_ = {m: factor.F for m, factor in zip(pairs.names, factors, strict=True)}
        return B

    def _weights(self, h: np.ndarray) -> np.ndarray:
        power = 1 / (self.r - 1)
        w = (h / h.max()) ** power if self.variant == "released" else (h.min() / h) ** power
        return np.asarray(w / w.sum())

    def _hash_functions(
        self, designs: Mapping[str, Design], B: np.ndarray, context: Context
    ) -> dict[str, HashFunction]:
        (n, bits), rng = B.shape, context.rng("functions")
        R, T = rng.standard_normal((bits, bits)), rng.standard_normal((n, bits))
        u = {m: rng.standard_normal(bits) for m in designs}
        for _ in range(ROUNDS):
            P = {m: X.ridge(T + u[m], self.gamma) for m, X in designs.items()}
            Z = {m: X.dot(P[m]) for m, X in designs.items()}
            T = sum(Z[m] - u[m] for m in designs) + self.eta * B @ R
            T = solve_positive(self.eta * R.T @ R, T.T, len(designs)).T
            if self.variant == "released":
                R = solve_positive(B.T @ B, B.T @ T, self.gamma).T
            else:
                R = solve_positive(T.T @ T, T.T @ B, self.gamma).T
            u = {m: (z - T).mean(axis=0) for m, z in Z.items()}
        self.rotation_, self.projections_, self.offsets_ = R, P, u
        return {m: HashFunction(X.map, P[m] @ R.T, R @ u[m]) for m, X in designs.items()}


class Factor:
    """X' ~ F' B of one modality, for B (bits, n).

    Attributes
    ----------
    F : ndarray
        Bases, (bits, d).
    G : ndarray
        F F', (bits, bits).
    C : ndarray
        F E', (bits, n): products of the bases with the residuals E = X - B'F.
    lengths : ndarray
        ``sqrt(||e_i||^2 + EPS)``, (n,).
    """

    def __init__(self, X: Design, squares: np.ndarray) -> None:
        self.X = X
        self._squares = squares

    def refit(self, B: np.ndarray, penalty: float, D: np.ndarray) -> None:
        """The F that minimises ``sum_i D_i ||e_i||^2 + penalty ||F||^2``, and what follows from it."""
        weighted = B * D
        self.F = solve_positive(weighted @ B.T, self.X.cross(weighted.T).T, penalty)
        self.G = self.F @ self.F.T
        self.C = np.ascontiguousarray(self.X.dot(self.F.T).T)
        fitted = np.einsum("kn,kn->n", B, self.C)
        self.C -= self.G @ B
        rest = self._squares - fitted - np.einsum("kn,kn->n", B, self.C)
        self.lengths = np.sqrt(np.maximum(rest, 0.0) + EPS)


def balanced_bits(B: np.ndarray, factors: list[Factor], weights: list[np.ndarray]) -> None:
    """Minimise ``sum_m sum_i weights_mi ||e_mi||^2`` over one row of B after the other, each with round(n / 2) ones.

    With the other bits fixed, what an item gains or loses by a one does not depend on the other items, so the best row
    has its ones where they cost least. B and the factors' products C are changed in place.
    """
    ones = (B.shape[1] + 1) // 2
    for _ in range(SWEEPS):
        changed = False
        for k in range(len(B)):
            cost = np.zeros(B.shape[1])
            for factor, weight in zip(factors, weights, strict=True):
                cost += weight * (factor.G[k, k] * (0.5 - B[k]) - factor.C[k])
            bit = np.zeros(B.shape[1])
            bit[np.argpartition(cost, ones - 1)[:ones]] = 1.0
            flips = np.flatnonzero(bit != B[k])
            if not len(flips):
                continue
            change = bit[flips] - B[k, flips]
            for factor in factors:
                factor.C[:, flips] -= factor.G[:, k, None] * change
            B[k], changed = bit, True
        if not changed:
            break


def design_of(modality: str, features: np.ndarray) -> Design:
    """The features as they are; an error if all rows are the same, since one code would then serve for all."""
    X = uncentred_design(modality, features)
    mean = mean_rows(features)
    if X.square_sum - len(X) * float(mean @ mean) <= 1e-12 * X.square_sum:
        raise MethodError(
            f"rfdh: all {modality} features of the training items are the same, so none can be told apart"
        )
    return X


def square_lengths(X: Design) -> np.ndarray:
    """``||x_i||^2``, (n,)."""
    out = np.empty(len(X))
    for rows, part in X.blocks():
        out[rows] = np.einsum("nd,nd->n", part, part)
    return out
