"""SRLCH: codes that lie in the subspace which the labels span, in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, check_codes, shared_designs, training_pairs
from cmrbench_methods.blocks.linear import ridge, sign_codes, signs
from cmrbench_methods.blocks.maps import AnchorRule, Scaled

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class SRLCH(HashingMethod):
    """Subspace relation learning for cross-modal hashing (Liu et al., DASFAA 2018).

    Codes B in {-1, +1} that are close to regressions from the labels Y and from kernel features of either modality:

        ||B - Y W||^2 + lam ||W||^2
            + mu_v (||B - Phi_v P_v||^2 + alp ||P_v||^2) + mu_t (||B - Phi_t P_t||^2 + bet ||P_t||^2)

    The regressions are ridges, and B = sgn(Y W + mu_v Phi_v P_v + mu_t Phi_t P_t) is exact, so that no step increases
    the objective. The hash functions are sgn(phi(z) P).

    Follows the released code (llcing/Cross-modal-hashing-SRLCH): features are centred and scaled to unit length, then
    mapped to an RBF kernel over random training items, with a constant column and without centring. Differences:

    - The code's hash functions are regressions on the codes before the last B-step, here on the final ones; it stops
      when no bit changes, where both are the same (on Wikipedia within the ten iterations).
    - The code fixes the state of its generator; here the start and the anchors follow the seed.
    - Zero counts as +1 in a code; the released sign makes it 0.

    With the code's mu_t the text has no say in the codes: labels and images decide them.

    Parameters
    ----------
    anchors : int
        Anchors of either modality, never more than there are training items.
    sigma : float
        Width of the kernel exp(-||z - a||^2 / (2 sigma^2)).
    mu_v, mu_t : float
        Weights of the first (visual) and second (textual) modality.
    lam : float
        Ridge of the regression from labels.
    alp, bet : float
        Ridges of the first and second modality's hash functions.
    iterations : int
        At most. The code's remarks give 5 for Wikipedia, 50 for MIRFlickr, 30 to 40 for NUS-WIDE; its demo runs 10.
    """

    info = MethodInfo(
        name="srlch",
        title="SRLCH",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Feature mapping",
        venue="DASFAA18",
        citation=Citation(
            key="liu2018srlch",
            kind="inproceedings",
            author="Luchen Liu and Yang Yang and Mengqiu Hu and Xing Xu and Fumin Shen and Ning Xie and Zi Huang",
            title="Index and retrieve multimedia data: Cross-modal hashing by learning subspace relation",
            venue="Database Systems for Advanced Applications (DASFAA)",
            year=2018,
            doi="10.1007/978-3-319-91458-9_37",
        ),
        url="https://github.com/llcing/Cross-modal-hashing-SRLCH",
    )

    def __init__(
        self,
        anchors: int = 500,
        sigma: float = 0.6,
        mu_v: float = 0.1,
        mu_t: float = 1e-5,
        lam: float = 0.1,
        alp: float = 0.01,
        bet: float = 0.1,
        iterations: int = 10,
    ) -> None:
        self.anchors = anchors
        self.sigma = sigma
        self.mu_v = mu_v
        self.mu_t = mu_t
        self.lam = lam
        self.alp = alp
        self.bet = bet
        self.iterations = iterations

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Alternate over the regressions P, W and the codes B."""
        pairs = training_pairs(self, train, context)
        designs = shared_designs(pairs, context, lambda m, z: self._design(z, context.rng("anchors", m)))
        V, T = designs.values()
        B = signs(context.rng("srlch").standard_normal((len(pairs), pairs.bits)))
        for iteration in range(self.iterations):
            target, before = pairs.L @ ridge(pairs.L, B, self.lam), B
            target += V.dot(self.mu_v * V.ridge(B, self.alp))
            target += T.dot(self.mu_t * T.ridge(B, self.bet))
            B = signs(target)
            context.progress(iteration + 1, self.iterations, "")
            if np.array_equal(B, before):
                break  # every later iteration would repeat this one
        check_codes(B, "srlch")
        self.dims_ = pairs.dims
        self.functions_ = {
            m: HashFunction(phi.map, phi.ridge(B, penalty))
            for (m, phi), penalty in zip(designs.items(), (self.alp, self.bet), strict=True)
        }
        self.codes_ = dict.fromkeys(pairs.names, sign_codes(B))
        return self

    def _design(self, features: np.ndarray, rng: np.random.Generator) -> Design:
        rule = AnchorRule(self.anchors, width=self.sigma, centre=False, constant=True)
        return Design.over_anchors(features, rule, Scaled.fit(features, unit="last"), rng)
