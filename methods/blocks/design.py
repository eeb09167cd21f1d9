"""Mapped training items as the design matrix of linear steps, without a second copy in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import numpy as np

from cmrbench_methods.blocks.linear import ROWS, mean_rows, row_blocks
from cmrbench_methods.blocks.maps import AnchorRule, FeatureMap, Scaled

FEW = 64 * 2**20
"""Bytes up to which a design is held in float64; larger ones are held in float32 and read in blocks."""

MAPPED = 1024
"""Rows that are mapped at a time where none are held: few enough to stay near the processor until they are used."""


class Design:
    """Phi (n, m): a feature map of the training items, and the products that methods take with it.

    The rows are held in float64 if they are few, in float32 if not, and never at all where the map is a shift and a
    scaling of features that are there anyway. All products are float64.

    Parameters
    ----------
    features : ndarray
        Training features (n, d).
    map : FeatureMap
    """

    def __init__(self, features: np.ndarray, map: FeatureMap) -> None:
        self.map = map
        self.shape = (len(features), map.width)
        few = 8 * self.shape[0] * self.shape[1] <= FEW
        if not few and isinstance(map, Scaled):
            self._rows, self._ready = features, False
            return
        self._rows = np.empty(self.shape, dtype=np.float64 if few else np.float32)
        self._ready = True
        for rows in row_blocks(len(features)):
            self._rows[rows] = map(features[rows])

    @classmethod
    def over_anchors(cls, features: np.ndarray, rule: AnchorRule, before: Scaled, rng: np.random.Generator) -> Design:
        """``Design(features, rule.fit(features, before, rng))``, with one pass over the kernel where that takes two.

        A centred kernel needs its means before its rows; here they are taken from the rows, and subtracted after.
        """
        design = cls(features, replace(rule, centre=False).fit(features, before, rng))
        if rule.centre:
            design.map = kernel = design.map.centred(mean_rows(design._rows))
            for rows in row_blocks(len(design)):
                design._rows[rows, : len(kernel.mean)] -= kernel.mean
        return design

    def __len__(self) -> int:
        return self.shape[0]

    def block(self, rows: slice) -> np.ndarray:
        """The rows of a slice in float64: not to be written to."""
        part = self._rows[rows]
        if not self._ready:
            return self.map(part)
        return np.asarray(part, dtype=np.float64)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """All rows in order, a slice and its float64 rows at a time; the rows are valid until the next."""
        if not self._ready or self._rows.dtype == np.float64:
            for rows in row_blocks(len(self), ROWS if self._ready else MAPPED):
                yield rows, self.block(rows)
            return
        held = np.empty((min(len(self), ROWS), self.shape[1]))  # asking for new memory takes longer than filling it
        for rows in row_blocks(len(self)):
            part = held[: rows.stop - rows.start]
            part[...] = self._rows[rows]
            yield rows, part

    def array(self) -> np.ndarray:
        """All of Phi in float64, (n, m); not to be written to. For methods that need it whole, on few items."""
        return self.block(slice(None))

    def dot(self, W: np.ndarray) -> np.ndarray:
        """Phi W (n, k) for W (m, k)."""
        out = np.empty((len(self), W.shape[1]))
        for rows, part in self.blocks():
            np.matmul(part, W, out=out[rows])
        return out

    def cross(self, V: np.ndarray) -> np.ndarray:
        """Phi' V (m, k) for V (n, k)."""
        out = np.zeros((self.shape[1], V.shape[1]))
        for rows, part in self.blocks():
            out += part.T @ V[rows]
        return out

    def between(self, other: Design) -> np.ndarray:
        """Phi' Psi (m, k) for the design Psi (n, k) of the same items in another modality."""
        out = np.zeros((self.shape[1], other.shape[1]))
        for rows in row_blocks(len(self)):
            out += self.block(rows).T @ other.block(rows)
        return out

    @cached_property
    def gram(self) -> np.ndarray:
        """Phi' Phi (m, m)."""
        out = np.zeros((self.shape[1],) * 2)
        for _, part in self.blocks():
            out += part.T @ part
        return out

    @cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (m,), never negative, and eigenvectors (m, m) of `gram`."""
        from scipy.linalg import eigh

        values, vectors = eigh(self.gram)
        return np.maximum(values, 0.0), vectors

    @cached_property
    def square_sum(self) -> float:
        """||Phi||^2, the sum of all squared entries."""
        return float(np.trace(self.gram))

    def solve(self, right: np.ndarray, penalty: float) -> np.ndarray:
        """(Phi'Phi + penalty I)^-1 right, for right (m, k) and a positive penalty.

        From one eigendecomposition for all penalties and right sides, so that iterations do not factor again.
        """
        values, vectors = self.spectrum
        return np.asarray(vectors @ ((vectors.T @ right) / (values + penalty)[:, None]))

    def ridge(self, B: np.ndarray, penalty: float) -> np.ndarray:
        """The W (m, k) that minimises ||Phi W - B||^2 + penalty ||W||^2, penalty > 0."""
        return self.solve(self.cross(B), penalty)
