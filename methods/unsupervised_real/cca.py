"""Linear canonical correlation analysis in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.citation import Citation
from cmrbench.core.errors import MethodError
from cmrbench.method import Context, Method, MethodInfo, paired_rows
from cmrbench_methods.blocks.correlation import add_ridge, canonical_directions
from cmrbench_methods.blocks.linear import moments, project

if TYPE_CHECKING:
    from typing_extensions import Self

    from cmrbench.core.items import Items


class CCA(Method):
    """Canonical correlation analysis (Hotelling 1936), as Rasiwasia et al. (ACM MM 2010) use it for retrieval.

    Maximise tr(A' Cab B) subject to A' Caa A = B' Cbb B = I, with Cmm the covariance of modality m (divided by n)
    plus a ridge. Covariances are accumulated in float64 over blocks of rows, so memory is O(n d + d^2).

    The released re-implementation (emanuetre/crossmodal) is not followed: it fits partial least squares instead of
    CCA and divides by the sum of the two norms where the cosine has their product.

    Parameters
    ----------
    reg : float, optional
        Ridge relative to the mean variance: ``reg * tr(Cmm) / dm`` is added to the diagonal of Cmm. Zero: none;
        directions without variance are then left out. Default: dm / n, the mean squared error of a covariance
        estimated from n items relative to its mean variance, so that the ridge is as large as what it guards against.
    absolute_reg : float, optional
        Ridge added to both covariances as it is; replaces `reg`.
    standardize : bool
        Divide every feature by its training standard deviation first (constant features stay as they are).
    power : float
        Coordinate j is multiplied by ``rho_j ** power`` (Gong et al., IJCV 2014, use 4); 0 leaves it alone.
    """

    info = MethodInfo(
        name="cca",
        title="CCA",
        category="unsupervised_real",
        group="CCA",
        venue="MM10",
        citation=Citation(
            key="rasiwasia2010crossmodal",
            kind="inproceedings",
            author=(
                "Nikhil Rasiwasia and Jose Costa Pereira and Emanuele Coviello and Gabriel Doyle and Gert R. "
                "G. Lanckriet and Roger Levy and Nuno Vasconcelos"
            ),
            title="A new approach to cross-modal multimedia retrieval",
            venue="Proceedings of the 18th ACM International Conference on Multimedia",
            year=2010,
            pages="251-260",
            doi="10.1145/1873951.1873987",
            note="The method: H. Hotelling, Relations between two sets of variates, Biometrika 28, 1936",
        ),
        url="https://github.com/emanuetre/crossmodal",
        deterministic=True,
    )

    def __init__(
        self,
        reg: float | None = None,
        absolute_reg: float | None = None,
        standardize: bool = False,
        power: float = 0.0,
    ) -> None:
        self.reg = reg
        self.absolute_reg = absolute_reg
        self.standardize = standardize
        self.power = power

    def fit(self, train: Mapping[str, Items], val: Mapping[str, Items] | None, context: Context) -> Self:
        """Whiten both covariances and take the leading singular vectors of the whitened cross-covariance."""
        paired_rows(train, self.info.name)
        (a, left), (b, right) = train.items()
        m = moments(left.features, right.features)
        scale_a, scale_b = self._scales(m.Cxx), self._scales(m.Cyy)
        Caa = m.Cxx * np.outer(scale_a, scale_a)
        Cbb = m.Cyy * np.outer(scale_b, scale_b)
        Cab = m.Cxy * np.outer(scale_a, scale_b)
        n = len(left)
        found = canonical_directions(self._with_ridge(Caa, n), self._with_ridge(Cbb, n), Cab, context.dim or 64)
        self.rho_ = found.rho
        if not len(self.rho_):
            raise MethodError(f"cca found no correlation between {a} and {b} in {n} training pairs")
        if context.dim and len(self.rho_) < context.dim:
            context.logger.warning(
                "cca: %d dimensions were asked for, only %d directions of %s and %s are correlated",
                context.dim,
                len(self.rho_),
                a,
                b,
            )
        weight = self.rho_**self.power
        self.mean_ = {a: m.mean_x, b: m.mean_y}
        self.weights_ = {a: scale_a[:, None] * found.A * weight, b: scale_b[:, None] * found.B * weight}
        self.dims_ = {a: left.dim, b: right.dim}
        return self

    def encode(self, modality: str, features: np.ndarray) -> np.ndarray:
        """Canonical variates ``(x - mean) W``: float32, shape (n, k)."""
        self.check_fitted("weights_")
        self.check_features(modality, features, self.dims_)
        return project(features, self.mean_[modality], self.weights_[modality]).astype(np.float32)

    def _scales(self, C: np.ndarray) -> np.ndarray:
        if not self.standardize:
            return np.ones(len(C))
        variance = np.diag(C)
        return 1 / np.sqrt(np.where(variance > 0, variance, 1.0))

    def _with_ridge(self, C: np.ndarray, n: int) -> np.ndarray:
        if self.absolute_reg is not None:
            return add_ridge(C, self.absolute_reg)
        d = len(C)
        reg = d / n if self.reg is None else self.reg
        return add_ridge(C, reg * np.trace(C) / d)
