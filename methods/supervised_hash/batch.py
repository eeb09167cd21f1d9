"""BATCH: asymmetric hashing with a balanced real-valued factor, linear in the number of items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, Method, MethodInfo, paired_rows
from cmrbench_methods.blocks.balanced import balanced_orthogonal_factor
from cmrbench_methods.blocks.kernels import kernel_blocks, rbf
from cmrbench_methods.blocks.labels import labels_of, unit_rows
from cmrbench_methods.blocks.linear import mean_rows, product, ridge, row_blocks, sign_codes, signs

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class BATCH(Method):
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
        if not context.bits:
            raise MethodError("batch needs a code length: choose bits")
        paired_rows(train, self.info.name)
        (x, left), (y, right) = train.items()
        self.dims_ = {x: left.dim, y: right.dim}
        self.kernels_ = {
            x: AnchorKernel.fit(left.features, self.anchors_first, context.rng("anchors", x)),
            y: AnchorKernel.fit(right.features, self.anchors_second, context.rng("anchors", y)),
        }
        Kx, Ky = self.kernels_[x](left.features), self.kernels_[y](right.features)
        self.codes_ = self._learn(Kx, Ky, labels_of(left, self.info.name), context.bits, context)
        self.weights_ = {x: ridge(Kx, self.codes_, self.xi), y: ridge(Ky, self.codes_, self.xi)}
        return self

    def encode(self, modality: str, features: np.ndarray) -> np.ndarray:
        """``sgn(K(x) W)``: int8, shape (n, bits)."""
        self.check_fitted("weights_")
        self.check_features(modality, features, self.dims_)
        kernel, weights = self.kernels_[modality], self.weights_[modality]
        codes = np.empty((len(features), weights.shape[1]), dtype=np.int8)
        for rows in row_blocks(len(features), 2048):
            codes[rows] = sign_codes(product(kernel(features[rows]), weights))
        return codes

    def encode_train(self, modality: str) -> np.ndarray:
        """The codes B that `fit` learned, one for both items of a pair: int8, shape (n_train, bits)."""
        self.check_fitted("codes_")
        return sign_codes(self.codes_)

    def _learn(self, Kx: np.ndarray, Ky: np.ndarray, labels: np.ndarray, K: int, context: Context) -> np.ndarray:
        n = len(Kx)
        L, G = np.asarray(labels, dtype=np.float64), unit_rows(labels)
        rng = context.rng("batch")
        B, V = signs(rng.standard_normal((n, K))), rng.standard_normal((n, K))
        for iteration in range(self.iterations):
            M = V.T @ V + 1e-3 * np.eye(K)
            Ux, Uy, Ul = (np.linalg.solve(M, V.T @ features) for features in (Kx, Ky, L))
            Z = K * G @ (G.T @ B) + self.omega * B
            Z += self.eta * (Kx @ Ux.T + Ky @ Uy.T) + self.eta_labels * L @ Ul.T
            V = balanced_orthogonal_factor(Z, rng)
            B = signs(K * G @ (G.T @ V) + self.omega * V)
            context.progress(iteration + 1, self.iterations, "")
        return B


@dataclass(frozen=True, eq=False)
class AnchorKernel:
    """RBF features ``exp(-||x - a||^2 / (2 s))`` over anchors a, centred by their training mean: float64, (n, anchors).

    The width s is the mean squared distance of the training items to the anchors.
    """

    anchors: np.ndarray
    gamma: float
    mean: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, count: int, rng: np.random.Generator) -> AnchorKernel:
        """Choose at most `count` random training items (n, d) as anchors and measure width and means."""
        n = len(features)
        anchors = features[np.sort(rng.choice(n, min(count, n), replace=False))].astype(np.float64)
        # The mean squared distance between two sets follows from their means and mean squared norms.
        norm = sum(float(np.square(features[rows], dtype=np.float64).sum()) for rows in row_blocks(n)) / n
        anchor_norm = float(np.square(anchors).sum(axis=1).mean())
        spread = norm + anchor_norm - 2 * float(mean_rows(features) @ anchors.mean(axis=0))
        gamma = 1 / (2 * spread) if spread > 0 else 1.0
        return cls(anchors, gamma, kernel_blocks(rbf, features, anchors, gamma).mean(axis=0))

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Kernel features of items (n, d)."""
        return kernel_blocks(rbf, features, self.anchors, self.gamma) - self.mean
