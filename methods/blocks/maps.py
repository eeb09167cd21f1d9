"""Feature maps: what a shallow hashing method does to features before its linear algebra.

A map takes features (n, d) to float64 rows (n, m), item by item, with statistics of the training items only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from cmrbench.core.errors import MethodError
from cmrbench_methods.blocks.kernels import rbf
from cmrbench_methods.blocks.linear import mean_rows, row_blocks, unit_rows


class FeatureMap(Protocol):
    """Anything that maps features (n, d) to float64 rows (n, `width`)."""

    @property
    def width(self) -> int:
        """Columns of the mapped rows."""
        ...

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Mapped rows of features (n, d)."""
        ...


@dataclass(frozen=True, eq=False)
class Scaled:
    """Rows shifted by a mean and, if asked, scaled to unit Euclidean length before or after (zero rows stay zero).

    Attributes
    ----------
    mean : ndarray
        float64, (d,); zeros for features as they are.
    unit : str
        ``""``, ``"first"`` (unit length, then minus the mean) or ``"last"`` (minus the mean, then unit length).
    """

    mean: np.ndarray
    unit: str = ""

    @classmethod
    def fit(cls, features: np.ndarray, *, centre: bool = True, unit: str = "") -> Scaled:
        """Take the mean of training features (n, d) of any float type; `unit` as in `Scaled`."""
        zero = cls(np.zeros(features.shape[1]), "first" if unit == "first" else "")
        if not centre:
            return cls(zero.mean, unit)
        if not zero.unit:
            return cls(mean_rows(features), unit)
        total = sum(zero(features[rows]).sum(axis=0) for rows in row_blocks(len(features)))
        return cls(np.asarray(total / len(features)), unit)

    @property
    def width(self) -> int:
        """Columns: those of the features."""
        return len(self.mean)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Shifted and scaled rows: float64, (n, d)."""
        rows = features.astype(np.float64, order="C")
        if self.unit == "first":
            rows = unit_rows(rows)
        rows -= self.mean
        return unit_rows(rows) if self.unit == "last" else rows


@dataclass(frozen=True, eq=False)
class AnchorKernel:
    """RBF features over anchors: ``exp(-gamma ||z - a||^2)`` minus a training mean, and perhaps a constant column.

    Attributes
    ----------
    before : Scaled
        What happens to the features first.
    anchors : ndarray
        float64, (m, d), in the space of `before`.
    gamma : float
    mean : ndarray
        Training means of the kernel columns, (m,); zeros where the method does not centre them.
    constant : bool
        Whether a column of ones follows.
    """

    before: Scaled
    anchors: np.ndarray
    gamma: float
    mean: np.ndarray
    constant: bool = False

    @property
    def width(self) -> int:
        """Columns: one for each anchor, and the constant."""
        return len(self.anchors) + self.constant

    def centred(self, mean: np.ndarray) -> AnchorKernel:
        """This kernel minus the training means of its columns, (width,)."""
        return replace(self, mean=mean[: len(self.anchors)])

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Kernel rows: float64, (n, width)."""
        out = np.ones((len(features), self.width))
        for rows in row_blocks(len(features), 2048):
            kernel = rbf(self.before(features[rows]), self.anchors, self.gamma)
            np.subtract(kernel, self.mean, out=out[rows, : len(self.anchors)])
        return out


@dataclass(frozen=True)
class AnchorRule:
    """How anchors and the width of their kernel are chosen.

    Attributes
    ----------
    count : int
        Anchors; never more than there are training items.
    choose : str
        ``"random"`` training items, or ``"kmeans"`` centres (random start, at most 100 Lloyd steps).
    width : str or float
        ``"anchors"``: gamma = 1 / (2 s), s the mean squared distance of training items to anchors (BATCH, SCRATCH).
        ``"pairs"``: gamma = 1 / s, s the mean squared distance of all n^2 pairs of training items, each with itself
        included (SePH, MTFH, GSPH). A number sigma: gamma = 1 / (2 sigma^2) (SRLCH, FOMH, DCH).
    centre : bool
        Whether the training means of the kernel columns are subtracted.
    constant : bool
        Whether a column of ones is added.
    """

    count: int
    choose: str = "random"
    width: str | float = "anchors"
    centre: bool = True
    constant: bool = False

    def fit(self, features: np.ndarray, before: Scaled, rng: np.random.Generator) -> AnchorKernel:
        """Choose the anchors among training features (n, d) and measure width and means, all after `before`."""
        if self.choose not in ("random", "kmeans"):
            raise MethodError(f"anchors are chosen at random or as kmeans centres, not {self.choose!r}")
        n = len(features)
        if self.choose == "random" or self.count >= n:
            picked = np.sort(rng.choice(n, min(self.count, n), replace=False))
            anchors = before(features[picked])
        else:
            anchors = centres(before(features), self.count, rng)
        gamma = self._gamma(features, before, anchors)
        kernel = AnchorKernel(before, anchors, gamma, np.zeros(len(anchors)), self.constant)
        if not self.centre:
            return kernel
        total = np.zeros(kernel.width)
        for rows in row_blocks(n):
            total += kernel(features[rows]).sum(axis=0)
        return kernel.centred(total / n)

    def _gamma(self, features: np.ndarray, before: Scaled, anchors: np.ndarray) -> float:
        if not isinstance(self.width, str):
            return 1 / (2 * self.width**2)
        # The mean squared distance between two sets follows from their means and mean squared norms.
        n = len(features)
        mean, square = np.zeros(anchors.shape[1]), 0.0
        for rows in row_blocks(n):
            z = before(features[rows])
            mean += z.sum(axis=0)
            square += float((z * z).sum())
        mean, square = mean / n, square / n
        if self.width == "pairs":
            spread = 2 * (square - float(mean @ mean))
            return 1 / spread if spread > 0 else 1.0
        if self.width != "anchors":
            raise MethodError(f"the kernel width is 'anchors', 'pairs' or a number, not {self.width!r}")
        spread = square + float((anchors * anchors).sum(axis=1).mean()) - 2 * float(mean @ anchors.mean(axis=0))
        return 1 / (2 * spread) if spread > 0 else 1.0


def centres(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means centres of float64 rows (n, d): (count, d). Random items as start, at most 100 Lloyd steps."""
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    start = rows[np.sort(rng.choice(len(rows), count, replace=False))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct rows than centres
        fitted = KMeans(count, init=start, n_init=1, max_iter=100, algorithm="lloyd", tol=0).fit(rows)
    return np.asarray(fitted.cluster_centers_)
