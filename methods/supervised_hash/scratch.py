"""SCRATCH: a latent factor of kernel features and labels, rotated onto discrete codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.method import Context, MethodInfo
from cmrbench_methods.blocks.design import Design
from cmrbench_methods.blocks.discrete import procrustes
from cmrbench_methods.blocks.hashing import HashFunction, HashingMethod, check_codes, shared_designs, training_pairs
from cmrbench_methods.blocks.linear import sign_codes, signs
from cmrbench_methods.blocks.maps import AnchorRule, Scaled

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class SCRATCH(HashingMethod):
    """Scalable discrete matrix factorisation hashing (Li et al., MM 2018).

    One latent factor V reconstructs the kernel features X, Y of both modalities and the labels L, is predicted
    linearly from either modality, and is rotated by an orthogonal R onto the codes B in {-1, +1} (rows are items):

        lambda ||X - V Ux||^2 + (1 - lambda) ||Y - V Uy||^2 + alpha ||L - V G||^2 + ||B - V R'||^2
            + mu (||V - X Wx||^2 + ||V - Y Wy||^2)
            + gamma (||Ux||^2 + ||Uy||^2 + ||G||^2 + ||Wx||^2 + ||Wy||^2 + ||V||^2)

    Every step is the exact minimiser over one factor, so that none increases the objective: U, G and W are ridges, V
    solves one k x k system, R is an orthogonal Procrustes solution, B = sgn(V R'). A query is hashed by
    sgn(phi(z) W R').

    Follows the released code (lichuanxiang/SCRATCH; the toolbox BMC-SDNU/Cross-Modal-Hashing-Retrieval has the same
    solver): centred features, an RBF kernel over random anchors whose width is the mean squared distance of training
    items to anchors, kernel features centred by their training mean. As in the code, the learned codes are those of
    the last round's B-step, which comes first in a round. The paper's order of updates and settings are the code's.

    Parameters
    ----------
    anchors : int
        Anchors of either modality, never more than there are training items.
    lambda_first : float
        Weight lambda of the first modality's reconstruction; the second has 1 - lambda.
    alpha : float
        Weight of reconstructing the labels.
    mu : float
        Weight of predicting V from either modality.
    gamma : float
        Ridge of all factors.
    iterations : int
    """

    info = MethodInfo(
        name="scratch",
        title="SCRATCH",
        category="supervised_hash",
        supervision="labels",
        output="hash",
        retrieval=("hamming",),
        group="Matrix factorization",
        venue="MM18",
        citation=Citation(
            key="li2018scratch",
            kind="inproceedings",
            author="Chuan-Xiang Li and Zhen-Duo Chen and Peng-Fei Zhang and Xin Luo and Liqiang Nie and Wei Zhang "
            "and Xin-Shun Xu",
            title="SCRATCH: A scalable discrete matrix factorization hashing for cross-modal retrieval",
            venue="Proceedings of the 26th ACM International Conference on Multimedia",
            year=2018,
            doi="10.1145/3240508.3240547",
        ),
        url="https://github.com/lichuanxiang/SCRATCH",
    )

    def __init__(
        self,
        anchors: int = 500,
        lambda_first: float = 0.5,
        alpha: float = 500.0,
        mu: float = 1000.0,
        gamma: float = 5.0,
        iterations: int = 20,
    ) -> None:
        self.anchors = anchors
        self.lambda_first = lambda_first
        self.alpha = alpha
        self.mu = mu
        self.gamma = gamma
        self.iterations = iterations

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Alternate over B, U, G, W, V and R."""
        pairs = training_pairs(self, train, context)
        designs = shared_designs(pairs, context, lambda m, z: self._design(z, context.rng("anchors", m)))
        X, Y = designs.values()
        B, R, W = self._learn(X, Y, pairs.L, pairs.bits, context)
        check_codes(B, "scratch")
        self.dims_ = pairs.dims
        self.codes_ = dict.fromkeys(pairs.names, sign_codes(B))
        self.functions_ = {m: HashFunction(phi.map, w @ R.T) for (m, phi), w in zip(designs.items(), W, strict=True)}
        return self

    def _learn(
        self, X: Design, Y: Design, L: np.ndarray, bits: int, context: Context
    ) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """Codes B (n, bits), rotation R (bits, bits) and the modalities' regressions W (m, bits)."""
        rng = context.rng("scratch")
        V, R = rng.standard_normal((len(L), bits)), procrustes(rng.standard_normal((bits, bits)))
        eye, (share_x, share_y) = np.eye(bits), (self.lambda_first, 1 - self.lambda_first)
        for iteration in range(self.iterations):
            B = signs(V @ R.T)
            VV, XV, YV = V.T @ V, X.cross(V), Y.cross(V)
            Ux, Uy, G = (
                np.linalg.solve(weight * VV + self.gamma * eye, weight * cross.T)
                for weight, cross in ((share_x, XV), (share_y, YV), (self.alpha, L.T @ V))
            )
            Wx, Wy = X.solve(XV, self.gamma / self.mu), Y.solve(YV, self.gamma / self.mu)
            M = share_x * Ux @ Ux.T + share_y * Uy @ Uy.T + self.alpha * G @ G.T + (1 + 2 * self.mu + self.gamma) * eye
            V = B @ np.linalg.solve(M, R.T).T + self.alpha * L @ np.linalg.solve(M, G).T
            V += X.dot(np.linalg.solve(M, share_x * Ux + self.mu * Wx.T).T)
            V += Y.dot(np.linalg.solve(M, share_y * Uy + self.mu * Wy.T).T)
            R = procrustes(B.T @ V)
            context.progress(iteration + 1, self.iterations, "")
        return B, R, (Wx, Wy)

    def _design(self, features: np.ndarray, rng: np.random.Generator) -> Design:
        return Design.over_anchors(features, AnchorRule(self.anchors), Scaled.fit(features), rng)
