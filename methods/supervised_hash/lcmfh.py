"""LCMFH: label consistent matrix factorisation hashing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, check_codes, shared_designs, training_pairs
from cmrbench_methods.blocks.linear import sign_codes, solve_positive, unit_rows

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class LCMFH(HashingMethod):
    """Label consistent matrix factorisation hashing (Wang, Gao, Wang and He, TPAMI 2019).

    Items share a latent factor as far as they share labels: V = L Z, with label rows L (n, C) of unit length. With
    centred features X_m,

        min  sum_m lambda_m ||X_m - L Z U_m||^2 + mu ||L Z - X_m P_m||^2
             + gamma (||U_m||^2 + ||P_m||^2 + ||L Z||^2),

    and U_m, Z and P_m in turn are set to their best values. Training items are coded sgn(L Z - mean of L Z), others
    sgn(x P_m).

    Follows the released code (Wangdi-Xidian/LCMFH), with these differences:

    - The code centres queries by the mean of the queries, and thresholds their values at the mean over the queries:
      what an item gets depends on which others it is tested with. Here the training means take that place; the mean of
      x P_m over training items is 0.
    - The code ends when a weighted sum of *norms*, not squared, falls by less than 0.01, which no step minimises. Here
      it is the objective.
    - The rounds run on X_m'X_m, X_m'L and L'L, so their time does not depend on the number of items. Where labels
      depend on each other, L'L is inverted in the directions that there are.

    Parameters
    ----------
    lam : float
        Weight lambda_1 of the first modality; lambda_2 = 1 - lambda_1.
    mu : float
        Weight of predicting the factor from the features.
    gamma : float
        Weight of the norms.
    iterations : int
        Most rounds.
    tolerance : float
        Least decrease of the objective for another round.
    """

    info = MethodInfo(
        name="lcmfh",
        title="LCMFH",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Matrix factorization",
        venue="TPAMI19",
        citation=Citation(
            key="wang2019lcmfh",
            kind="article",
            author="Di Wang and Xinbo Gao and Xiumei Wang and Lihuo He",
            title="Label consistent matrix factorization hashing for large-scale cross-modal similarity search",
            venue="IEEE Transactions on Pattern Analysis and Machine Intelligence",
            year=2019,
            pages="2466-2479",
            note="Volume 41(10)",
        ),
        url="https://github.com/Wangdi-Xidian/LCMFH",
    )

    def __init__(
        self,
        lam: float = 0.5,
        mu: float = 10.0,
        gamma: float = 0.001,
        iterations: int = 20,
        tolerance: float = 0.01,
    ) -> None:
        self.lam = lam
        self.mu = mu
        self.gamma = gamma
        self.iterations = iterations
        self.tolerance = tolerance

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Alternate over U_m, Z and P_m."""
        pairs = training_pairs(self, train, context)
        L = unit_rows(pairs.L)
        designs = shared_designs(pairs, context)
        crosses = {m: context.shared(("labels", m), partial(X.cross, L)) for m, X in designs.items()}
        factors = LabelFactors(self, list(designs.values()), list(crosses.values()), L.T @ L)
        factors.start(pairs.bits, context.rng("lcmfh"))
        last = decrease = np.inf
        for done in range(1, self.iterations + 1):
            factors.update_U()
            factors.update_Z()
            factors.update_P()
            context.progress(done, self.iterations, "")
            value = factors.objective()
            last, decrease = value, last - value
            if decrease < self.tolerance:
                break
        else:
            context.logger.warning(
                "lcmfh: round %d, the last, lowered the objective %.6g by %.3g", done, last, decrease
            )
        V = L @ factors.Z
        codes = sign_codes(V - V.mean(axis=0))
        check_codes(codes, "lcmfh")
        self.dims_ = pairs.dims
        self.codes_ = dict.fromkeys(pairs.names, codes)
        self.functions_ = {m: HashFunction(X.map, P) for (m, X), P in zip(designs.items(), factors.P, strict=True)}
        return self


class LabelFactors:
    """Z (C, K), U_m (K, d_m) and P_m (d_m, K), and the steps that lower the objective.

    Parameters
    ----------
    rule : LCMFH
        The weights.
    designs : list of Design
        X_m (n, d_m), by modality.
    crosses : list of ndarray
        X_m'L (d_m, C), by modality.
    LL : ndarray
        L'L (C, C).
    """

    def __init__(self, rule: LCMFH, designs: list[Design], crosses: list[np.ndarray], LL: np.ndarray) -> None:
        self.weights = (rule.lam, 1 - rule.lam)
        self.mu, self.gamma = rule.mu, rule.gamma
        self.designs, self.crosses, self.LL = designs, crosses, LL

    def start(self, bits: int, rng: np.random.Generator) -> None:
        """Z and P_m uniform in [0, 1)."""
        self.Z = rng.random((len(self.LL), bits))
        self.P = [rng.random((X.shape[1], bits)) for X in self.designs]

    def update_U(self) -> None:  # noqa: N802
        """U_m = (Z'L'L Z + gamma / lambda_m I)^-1 Z'L'X_m."""
        VV = self.Z.T @ self.LL @ self.Z
        self.U = [
            solve_positive(VV, self.Z.T @ XL.T, self.gamma / weight)
            for weight, XL in zip(self.weights, self.crosses, strict=True)
        ]

    def update_Z(self) -> None:  # noqa: N802
        """Z = (L'L)^-1 [sum_m L'X_m (lambda_m U_m' + mu P_m)] [sum_m lambda_m U_m U_m' + (2 mu + gamma) I]^-1."""
        right, left = np.zeros(self.Z.shape), np.zeros((self.Z.shape[1],) * 2)
        for weight, XL, U, P in zip(self.weights, self.crosses, self.U, self.P, strict=True):
            right += XL.T @ (weight * U.T + self.mu * P)
            left += weight * U @ U.T
        self.Z = solve_positive(left, solve_positive(self.LL, right).T, 2 * self.mu + self.gamma).T

    def update_P(self) -> None:  # noqa: N802
        """P_m = (X_m'X_m + gamma / mu I)^-1 X_m'L Z."""
        self.P = [X.solve(XL @ self.Z, self.gamma / self.mu) for X, XL in zip(self.designs, self.crosses, strict=True)]

    def objective(self) -> float:
        """The value of the objective, from the same products."""
        VV = self.Z.T @ self.LL @ self.Z
        norm = float(np.trace(VV))
        total = self.gamma * norm
        for weight, X, XL, U, P in zip(self.weights, self.designs, self.crosses, self.U, self.P, strict=True):
            XV = XL @ self.Z
            total += weight * (X.square_sum - 2 * float((U * XV.T).sum()) + float((U * (VV @ U)).sum()))
            total += self.mu * (norm - 2 * float((P * XV).sum()) + float((P * (X.gram @ P)).sum()))
            total += self.gamma * float((U * U).sum() + (P * P).sum())
        return total
