"""Kernel canonical correlation analysis: exact for few items, Nystrom features for many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, Method, MethodInfo, paired_rows
from cmrbench_methods.blocks.correlation import add_ridge, leading_pairs, oriented, whitener
from cmrbench_methods.blocks.kernels import KERNELS, kernel_blocks, median_gamma
from cmrbench_methods.blocks.linear import product, row_blocks

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class KCCA(Method):
    """Kernel CCA (Lai and Fyfe 2000; Hardoon et al. 2004), as Hodosh et al. (JAIR 2013) use it for retrieval.

    Maximise a'Ka Kb b subject to a'(Ka^2 + r n Ka) a = 1 and the same for b, with centred kernel matrices. This is
    ridge CCA on feature maps F with F F' = K, and is solved so: F from the eigenvectors of K where n is at most
    `exact_up_to` (memory: about seven n x n matrices in float64, 1.3 GiB at 5,000 items; time O(n^3)), and the
    Nystrom features ``k(x, Z) Q L^-1/2`` of `landmarks` random training items Z above that. Either way an item is
    encoded as ``(k(x, Z) - mean) C``. With a linear kernel it is ridge CCA with the absolute ridge r.

    Parameters
    ----------
    kernel : {"rbf", "linear", "poly2", "chi2", "intersection"}
        Chi2 and intersection take features that are not negative.
    gamma : float, optional
        Kernel width of both modalities; default: one over the median distance, for each modality its own.
    reg : float
        The ridge r, on the scale of the kernel (``k(x, x) = 1`` for rbf and chi2).
    exact_up_to : int
        Most training items for the exact solution.
    landmarks : int
        Landmarks of the Nystrom features.
    """

    info = MethodInfo(
        name="kcca",
        title="KCCA",
        category="unsupervised_real",
        group="CCA",
        venue="JAIR13",
        citation=Citation(
            key="hodosh2013framing",
            kind="article",
            author="Micah Hodosh and Peter Young and Julia Hockenmaier",
            title="Framing image description as a ranking task: Data, models and evaluation metrics",
            venue="Journal of Artificial Intelligence Research",
            year=2013,
            pages="853-899",
            doi="10.1613/jair.3994",
            note=(
                "The method: P. L. Lai and C. Fyfe, Kernel and nonlinear canonical correlation analysis, "
                "International Journal of Neural Systems 10, 2000"
            ),
        ),
    )
    PRESETS: ClassVar[Mapping[str, Mapping[str, Any]]] = {"check": {"exact_up_to": 64, "landmarks": 48}}

    def __init__(
        self,
        kernel: str = "rbf",
        gamma: float | None = None,
        reg: float = 0.1,
        exact_up_to: int = 5000,
        landmarks: int = 1000,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.reg = reg
        self.exact_up_to = exact_up_to
        self.landmarks = landmarks

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Feature maps of both kernels, then ridge CCA on them."""
        if self.kernel not in KERNELS:
            raise MethodError(f"kcca: kernel {self.kernel!r} is none of {', '.join(KERNELS)}")
        paired_rows(train, self.info.name)
        (a, left), (b, right) = train.items()
        n = len(left)
        self.dims_ = {a: left.dim, b: right.dim}
        self.gamma_: dict[str, float] = {}
        self.landmarks_: dict[str, np.ndarray] = {}
        self.means_: dict[str, np.ndarray] = {}
        Fa, to_a = self._whitened_map(a, left.features, context)
        Fb, to_b = self._whitened_map(b, right.features, context)
        U, rho, V = leading_pairs(Fa.T @ Fb / n, context.dim or 64)
        if not len(rho):
            raise MethodError(f"kcca found no correlation between {a} and {b} in {n} training pairs")
        if context.dim and len(rho) < context.dim:
            context.logger.warning(
                "kcca: %d dimensions were asked for, only %d directions of %s and %s are correlated",
                context.dim,
                len(rho),
                a,
                b,
            )
        found = oriented(to_a @ U, to_b @ V, rho)
        self.rho_ = found.rho
        self.coefficients_ = {a: found.A, b: found.B}
        return self

    def encode(self, modality: str, features: np.ndarray) -> np.ndarray:
        """Canonical variates ``(k(x, Z) - mean) C``: float32, shape (n, k)."""
        self.check_fitted("coefficients_")
        self.check_features(modality, features, self.dims_)
        kernel, landmarks, gamma = KERNELS[self.kernel], self.landmarks_[modality], self.gamma_[modality]
        out = np.empty((len(features), len(self.rho_)), dtype=np.float32)
        for rows in row_blocks(len(features), 2048):
            similar = kernel(features[rows].astype(np.float64), landmarks, gamma)
            out[rows] = product(similar - self.means_[modality], self.coefficients_[modality])
        return out

    def _whitened_map(self, modality: str, features: np.ndarray, context: Context) -> tuple[np.ndarray, np.ndarray]:
        """Centred feature map F (n, r) of the training items with F'F / n + ridge = I, and the M that makes it.

        F = (k(X, Z) - mean) M. Exact: Z = X, centred K = V w V', so V w^1/2 has the diagonal covariance w / n and
        M = V w^-1/2 (w / n + r)^-1/2. Nystrom: M = Q L^-1/2 times the whitener of its covariance.
        """
        n = len(features)
        exact = n <= self.exact_up_to
        rng = context.rng("kcca", modality)
        gamma = self.gamma or median_gamma(self.kernel, features, rng)
        chosen = np.arange(n) if exact else np.sort(rng.choice(n, min(self.landmarks, n), replace=False))
        Z = features[chosen].astype(np.float64)
        K = kernel_blocks(KERNELS[self.kernel], features, Z, gamma)
        mean = K.mean(axis=0)
        self.gamma_[modality], self.landmarks_[modality], self.means_[modality] = gamma, Z, mean
        if exact:
            w, V = _spectrum(K - mean - K.mean(axis=1, keepdims=True) + mean.mean(), 1e-8)
            M = V / np.sqrt(w * (w / n + self.reg))
            return V * np.sqrt(w / (w / n + self.reg)), M
        w, V = _spectrum(K[chosen], 1e-6)
        root = V / np.sqrt(w)
        F = (K - mean) @ root
        W = whitener(add_ridge(F.T @ F / n, self.reg))
        return F @ W, root @ W


def _spectrum(K: np.ndarray, smallest: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues w and vectors V of a symmetric K, without those of at most `smallest` times the largest."""
    from scipy.linalg import eigh

    w, V = eigh((K + K.T) / 2)
    kept = w > smallest * max(w[-1], 0.0)
    return w[kept], V[:, kept]
