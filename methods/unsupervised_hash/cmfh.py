"""CMFH: collective matrix factorisation hashing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.collective import CollectiveFactors, CollectiveWeights, JointGram
from cmrbench_methods.blocks.hashing import (
    HashFunction,
    HashingMethod,
    check_codes,
    check_variant,
    shared_designs,
    training_pairs,
)
from cmrbench_methods.blocks.linear import sign_codes

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


ROUNDS_RELEASED = 25
MOST_ROUNDS = 1000


class CMFH(HashingMethod):
    """Collective matrix factorisation hashing (Ding, Guo, Zhou and Gao, TIP 2016; CVPR 2014), unsupervised.

    One latent factor V (n, K) reconstructs both modalities and is predicted from each of them:

        min  sum_m alpha_m (||X_m - V U_m||^2 + mu ||V - X_m P_m||^2) + gamma (||U_m||^2 + ||P_m||^2 + ||V||^2),

    with centred features X_m. U_m, V and P_m in turn are set to their best values. A query is coded sgn(x P_m), a
    gallery pair by the best V for its two items (gallery rule `learned`).

    Follows the released code (BMC-SDNU/Cross-Modal-Hashing-Retrieval, CMFH, version 2.0 of the authors), with these
    differences:

    - The code's line for P_m divides by mu where it should multiply (operators of equal rank are taken from the
      left), so P_m is 1/mu^2 = 1e-4 of what is meant. Its sign, and so a query's code, is unaffected by the factor, but
      the term mu ||V - X_m P_m||^2 then pulls V towards zero and no longer towards the predictions. ``released`` keeps
      this.
    - The code's steps take gamma where the minimum of the objective is at gamma / alpha_m. ``released`` keeps this.
    - The code always makes 25 rounds (its test of convergence is commented out); ``paper`` ends when a round lowers
      the objective by less than `tolerance`.
    - After its first step V is a linear map of the features. So the rounds work on Gram matrices, made once, and their
      time does not depend on the number of items. Same result.

    Parameters
    ----------
    variant : {"paper", "released"}
    alpha : float
        Weight alpha_1 of the first modality (lambda in CVPR 2014); alpha_2 = 1 - alpha_1.
    mu : float
        Weight of predicting V from the features.
    gamma : float
        Weight of the norms.
    iterations : int or None
        Rounds in ``released``, most rounds in ``paper``; None: 25 and 1000.
    tolerance : float
        ``paper``: least decrease of the objective for another round.
    """

    info = MethodInfo(
        name="cmfh",
        title="CMFH",
        category="unsupervised_hash",
        output="hash",
        retrieval=("hamming",),
        group="Matrix factorization",
        venue="TIP16",
        citation=Citation(
            key="ding2016cmfh",
            kind="article",
            author="Guiguang Ding and Yuchen Guo and Jile Zhou and Yue Gao",
            title="Large-scale cross-modality search via collective matrix factorization hashing",
            venue="IEEE Transactions on Image Processing",
            year=2016,
            pages="5427-5440",
            doi="10.1109/TIP.2016.2607421",
            note="Volume 25(11)",
        ),
        url="https://github.com/BMC-SDNU/Cross-Modal-Hashing-Retrieval",
    )

    def __init__(
        self,
        variant: str = "paper",
        alpha: float = 0.5,
        mu: float = 100.0,
        gamma: float = 0.01,
        iterations: int | None = None,
        tolerance: float = 0.01,
    ) -> None:
        self.variant = variant
        self.alpha = alpha
        self.mu = mu
        self.gamma = gamma
        self.iterations = iterations
        self.tolerance = tolerance

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Alternate over U, V and P; then code the training items with both their modalities."""
        check_variant("cmfh", self.variant)
        pairs = training_pairs(self, train, context)
        designs = shared_designs(pairs, context)
        gram = context.shared("gram", lambda: JointGram(*designs.values()))
        factors = self._learn(gram, pairs.bits, context)
        self.dims_ = pairs.dims
        codes = sign_codes(factors.factor(factors.combination()))
        check_codes(codes, "cmfh")
        self.codes_ = dict.fromkeys(pairs.names, codes)
        self.functions_ = {
            m: HashFunction(X.map, P) for (m, X), P in zip(designs.items(), factors.predictors(), strict=True)
        }
        return self

    def _weights(self) -> CollectiveWeights:
        fit = (self.alpha, 1 - self.alpha)
        tie = (self.alpha * self.mu, (1 - self.alpha) * self.mu)
        if self.variant == "paper":
            return CollectiveWeights(fit, tie, self.gamma)
        slip = self.gamma / self.mu
        return CollectiveWeights(fit, tie, self.gamma, (self.gamma,) * 2, (slip, slip), 1 / self.mu**2)

    def _learn(self, gram: JointGram, bits: int, context: Context) -> CollectiveFactors:
        factors = CollectiveFactors(gram, self._weights(), bits, context.rng("cmfh"))
        rounds = self.iterations or (ROUNDS_RELEASED if self.variant == "released" else MOST_ROUNDS)
        last = decrease = np.inf
        for done in range(1, rounds + 1):
            factors.update_U()
            factors.update_V()
            factors.update_P()
            context.progress(done, rounds, "")
            if self.variant == "released":
                continue
            value = factors.objective()
            last, decrease = value, last - value
            if decrease < self.tolerance:
                return factors
        if self.variant == "paper":
            context.logger.warning(
                "cmfh: round %d, the last, lowered the objective %.6g by %.3g", rounds, last, decrease
            )
        return factors
