"""MDBE: multimodal discriminative binary embedding."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, check_codes, shared_designs, training_pairs
from cmrbench_methods.blocks.linear import sign_codes, solve_positive

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class MDBE(HashingMethod):
    """Multimodal discriminative binary embedding (Wang, Gao, Wang, He and Yuan, TIP 2016).

    Projections of centred features should tell the classes and lie where a linear map of the labels puts them:

        min  sum_m lambda_m (||L - X_m P_m W_m||^2 + beta ||X_m P_m - L D||^2 + gamma (penalties)),

    with label rows L (n, C), P_m (d_m, K), W_m (K, C) and D (C, K). D, W_m and P_m in turn are set to

        D   = (L'L)^-1 L' sum_m lambda_m X_m P_m,
        W_m = (P_m'X_m'X_m P_m + gamma I)^-1 P_m'X_m'L,
        P_m = (X_m'X_m + gamma I)^-1 X_m'L (W_m' + beta D) (W_m W_m' + beta I)^-1.

    until a weighted sum of norms, not squared as above, falls by less than `tolerance` (the code's rule). Training
    items are coded sgn(L D): one code for each set of labels. Others are coded sgn(x P_m).

    Follows the released code (BMC-SDNU/Cross-Modal-Retrieval, MDBE), with these differences:

    - The authors' script reduces deep image features to 128 principal components before all else; here the first
      modality is, where it has more columns than that.
    - The rounds run on X_m'X_m, X_m'L and L'L, so that their time does not depend on the number of items. Where labels
      depend on each other, L'L is inverted in the directions that there are.

    Parameters
    ----------
    lam : float
        Weight lambda_1 of the first modality; lambda_2 = 1 - lambda_1.
    beta : float
        Weight of ``||X_m P_m - L D||^2``.
    gamma : float
        Ridge of the steps.
    components : int
        Principal components of the first modality (images) that are used; 0: its features as they are.
    iterations : int
        Most rounds.
    tolerance : float
        Least decrease of the sum of norms for another round.
    """

    info = MethodInfo(
        name="mdbe",
        title="MDBE",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Feature mapping",
        venue="TIP16",
        citation=Citation(
            key="wang2016mdbe",
            kind="article",
            author="Di Wang and Xinbo Gao and Xiumei Wang and Lihuo He and Bo Yuan",
            title="Multimodal discriminative binary embedding for large-scale cross-modal retrieval",
            venue="IEEE Transactions on Image Processing",
            year=2016,
            pages="4540-4554",
            note="Volume 25(10)",
        ),
        url="https://github.com/BMC-SDNU/Cross-Modal-Retrieval",
    )

    def __init__(
        self,
        lam: float = 0.5,
        beta: float = 100.0,
        gamma: float = 0.001,
        components: int = 128,
        iterations: int = 20,
        tolerance: float = 0.01,
    ) -> None:
        self.lam = lam
        self.beta = beta
        self.gamma = gamma
        self.components = components
        self.iterations = iterations
        self.tolerance = tolerance

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Alternate over D, W_m and P_m."""
        pairs = training_pairs(self, train, context)
        designs = shared_designs(pairs, context)
        bases = [principal(designs[pairs.first], self.components), principal(designs[pairs.second], 0)]
        views = [
            View(X.gram, context.shared(("labels", m), partial(X.cross, pairs.L)), E)
            for (m, X), E in zip(designs.items(), bases, strict=True)
        ]
        embedding = Embedding(self, views, pairs.L.T @ pairs.L)
        embedding.start(pairs.bits, context.rng("mdbe"))
        last = decrease = np.inf
        for done in range(1, self.iterations + 1):
            embedding.update_D()
            embedding.update_W()
            embedding.update_P()
            context.progress(done, self.iterations, "")
            value = embedding.norms()
            last, decrease = value, last - value
            if decrease < self.tolerance:
                break
        else:
            context.logger.warning(
                "mdbe: round %d, the last, lowered the sum of norms %.6g by %.3g", done, last, decrease
            )
        codes = sign_codes(pairs.L @ embedding.D)
        check_codes(codes, "mdbe")
        self.dims_ = pairs.dims
        self.codes_ = dict.fromkeys(pairs.names, codes)
        self.functions_ = {
            m: HashFunction(X.map, E @ P) for (m, X), E, P in zip(designs.items(), bases, embedding.P, strict=True)
        }
        return self


def principal(X: Design, components: int) -> np.ndarray:
    """The directions (d, k) of largest variance; the identity for 0 components or no more columns than that."""
    if not components or X.shape[1] <= components:
        return np.eye(X.shape[1])
    return np.asarray(X.spectrum[1][:, -components:])


class View:
    """What learning reads of one modality: X'X (d, d) and X'L (d, C), after a basis E (d', d)."""

    def __init__(self, gram: np.ndarray, cross: np.ndarray, basis: np.ndarray) -> None:
        self.XX = basis.T @ gram @ basis
        self.XL = basis.T @ cross


class Embedding:
    """D (C, K), W_m (K, C) and P_m (d_m, K), and their steps.

    Parameters
    ----------
    rule : MDBE
        The weights.
    views : list of View
        By modality.
    LL : ndarray
        L'L (C, C).
    """

    def __init__(self, rule: MDBE, views: list[View], LL: np.ndarray) -> None:
        self.weights = (rule.lam, 1 - rule.lam)
        self.beta, self.gamma = rule.beta, rule.gamma
        self.views, self.LL = views, LL
        self.ridged = [solve_positive(view.XX, view.XL, rule.gamma) for view in views]

    def start(self, bits: int, rng: np.random.Generator) -> None:
        """P_m uniform in [0, 1)."""
        self.P = [rng.random((len(view.XX), bits)) for view in self.views]

    def update_D(self) -> None:  # noqa: N802
        """D = (L'L)^-1 sum_m lambda_m L'X_m P_m."""
        right = sum(w * view.XL.T @ P for w, view, P in zip(self.weights, self.views, self.P, strict=True))
        self.D = solve_positive(self.LL, np.asarray(right))

    def update_W(self) -> None:  # noqa: N802
        """W_m = (P_m'X_m'X_m P_m + gamma I)^-1 P_m'X_m'L."""
        self.W = [
            solve_positive(P.T @ view.XX @ P, P.T @ view.XL, self.gamma)
            for view, P in zip(self.views, self.P, strict=True)
        ]

    def update_P(self) -> None:  # noqa: N802
        """P_m = (X_m'X_m + gamma I)^-1 X_m'L (W_m' + beta D) (W_m W_m' + beta I)^-1."""
        self.P = [
            ridged @ solve_positive(W @ W.T, W + self.beta * self.D.T, self.beta).T
            for ridged, W in zip(self.ridged, self.W, strict=True)
        ]

    def norms(self) -> float:
        """The weighted sum of norms, not squared, by which the released code ends."""
        total, labels = 0.0, float(np.trace(self.LL))
        placed = float((self.D * (self.LL @ self.D)).sum())
        for weight, view, W, P in zip(self.weights, self.views, self.W, self.P, strict=True):
            PXXP, PXL = P.T @ view.XX @ P, P.T @ view.XL
            told = labels - 2 * float((W * PXL).sum()) + float((W * (PXXP @ W)).sum())
            apart = placed - 2 * float((PXL * self.D.T).sum()) + float(np.trace(PXXP))
            norms = np.sqrt(max(told, 0.0)) + self.beta * np.sqrt(max(apart, 0.0))
            total += weight * float(norms + self.gamma * np.linalg.norm(W))
        return total
