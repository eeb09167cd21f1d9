"""BATCH: asymmetric hashing with a balanced real-valued factor, linear in the number of items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.balanced import balanced_orthogonal_factor
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, shared_designs, training_pairs
from cmrbench_methods.blocks.labels import similar
from cmrbench_methods.blocks.linear import sign_codes, signs, unit_rows
from cmrbench_methods.blocks.maps import AnchorRule, Scaled

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class BATCH(HashingMethod):
    """Scalable asymmetric discrete cross-modal hashing (Wang et al., TKDE 2021).

    Codes B in {-1, +1} and a real factor V with V'V = n I, V'1 = 0 approximate the label similarity asymmetrically,
    K G G' ~ B V', while V also reconstructs kernel features and labels; then each modality's hash function is a ridge
    regression from kernel features to B.

    Follows the released code (BMC-SDNU/Cross-Modal-Hashing-Retrieval, BATCH; the authors' package has the same
    solver): anchors are random training items, the kernel width is the mean squared distance of training items to
    anchors, kernel features are centred by their training mean and the raw features are not. Differences:

    - Missing directions of V are made orthogonal to the others and to the ones (see `balanced_orthogonal_factor`).
    - Zero counts as +1 in a code; the code's ``> 0`` makes it -1.
    - One of the released scripts sets the number of iterations in the wrong variable; 6 is what is meant.

    Parameters
    ----------
    anchors_first, anchors_second : int
        Anchors of the first and second modality (500 for images, 1000 for texts in the code); never more than there
        are training items.
    eta : float
        Weight of reconstructing the kernel features of either modality (eta_1 = eta_2).
    eta_labels : float
        Weight of reconstructing the labels (eta_0).
    omega : float
        Weight of ``||B - V||^2``.
    xi : float
        Ridge of the hash functions.
    iterations : int
    """

    info = MethodInfo(
        name="batch",
        title="BATCH",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Matrix factorization",
        venue="TKDE21",
        citation=Citation(
            key="wang2021batch",
            kind="article",
            author="Yongxin Wang and Xin Luo and Liqiang Nie and Jingkuan Song and Wei Zhang and Xin-Shun Xu",
            title="BATCH: A scalable asymmetric discrete cross-modal hashing",
            venue="IEEE Transactions on Knowledge and Data Engineering",
            year=2021,
            pages="3507-3519",
            doi="10.1109/TKDE.2020.2974825",
            note="Volume 33(11)",
        ),
        url="https://github.com/BMC-SDNU/Cross-Modal-Hashing-Retrieval",
    )

    def __init__(
        self,
        anchors_first: int = 500,
        anchors_second: int = 1000,
        eta: float = 0.05,
        eta_labels: float = 0.9,
        omega: float = 0.01,
        xi: float = 0.01,
        iterations: int = 6,
    ) -> None:
        self.anchors_first = anchors_first
        self.anchors_second = anchors_second
        self.eta = eta
        self.eta_labels = eta_labels
        self.omega = omega
        self.xi = xi
        self.iterations = iterations

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Alternate over U, V and B; then regress the codes on the kernel features."""
        pairs = training_pairs(self, train, context)
        counts = {pairs.first: self.anchors_first, pairs.second: self.anchors_second}
        designs = shared_designs(pairs, context, lambda m, z: anchor_design(z, counts[m], context.rng("anchors", m)))
        B = self._learn(*designs.values(), pairs.L, pairs.bits, context)
        self.dims_ = pairs.dims
        self.codes_ = dict.fromkeys(pairs.names, sign_codes(B))
        self.functions_ = {m: HashFunction(phi.map, phi.ridge(B, self.xi)) for m, phi in designs.items()}
        return self

    def _learn(self, Kx: Design, Ky: Design, L: np.ndarray, bits: int, context: Context) -> np.ndarray:
        n, G = len(L), unit_rows(L)
        rng = context.rng("batch")
        B, V = signs(rng.standard_normal((n, bits))), rng.standard_normal((n, bits))
        for iteration in range(self.iterations):
            M = V.T @ V + 1e-3 * np.eye(bits)
            Ux, Uy, Ul = (np.linalg.solve(M, cross.T) for cross in (Kx.cross(V), Ky.cross(V), L.T @ V))
            Z = bits * similar(G, B) + self.omega * B
            Z += Kx.dot(self.eta * Ux.T)
            Z += Ky.dot(self.eta * Uy.T)
            Z += self.eta_labels * L @ Ul.T
            V = balanced_orthogonal_factor(Z, rng)
            B = signs(bits * similar(G, V) + self.omega * V)
            context.progress(iteration + 1, self.iterations, "")
        return B


def anchor_design(features: np.ndarray, anchors: int, rng: np.random.Generator) -> Design:
    """Centred RBF features of training items over random anchors, as the released code makes them."""
    return Design.over_anchors(features, AnchorRule(anchors), Scaled.fit(features, centre=False), rng)
