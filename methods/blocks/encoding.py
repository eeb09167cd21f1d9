"""Signs of linear projections at the speed of float32, equal to those of float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cmrbench_methods.blocks.linear import product, row_blocks

ROWS = 4096
"""Rows that are projected at a time: they stay in the second-level cache between the passes over them."""


@dataclass(frozen=True, eq=False)
class LinearSigns:
    """Whether ``(z - mean)'w_k >= t_k``, for float32 features z and every bit k.

    The projections are computed in float32. The error of a product of d terms is at most ``gamma_(d+1) |z||w|`` with
    gamma_n = n u / (1 - n u) and u = 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), so a
    projection that is farther from its threshold has the sign that float64 gives it. Rows with one that is nearer are
    projected again in float64.

    Attributes
    ----------
    mean, weights, threshold : ndarray
        float64, (d,), (d, bits), (bits,).
    directions, offsets : ndarray
        float32: the weights scaled to unit length, and the thresholds for rows that are not centred.
    slack : float
        Relative error of a projection, and of its comparison with the threshold.
    """

    mean: np.ndarray
    weights: np.ndarray
    threshold: np.ndarray
    directions: np.ndarray
    offsets: np.ndarray
    slack: float

    @classmethod
    def of(cls, mean: np.ndarray, weights: np.ndarray, threshold: np.ndarray | float) -> LinearSigns:
        """Prepare the projection of features (n, d)."""
        length = np.linalg.norm(weights, axis=0)
        length = np.where(length > 0, length, 1.0)
        thresholds = np.broadcast_to(np.asarray(threshold, dtype=np.float64), length.shape)
        return cls(
            mean,
            weights,
            thresholds,
            np.ascontiguousarray(weights / length, dtype=np.float32),
            ((mean @ weights + thresholds) / length).astype(np.float32),
            1.01 * (len(mean) + 8) * 2.0**-24,
        )

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Signs of float32 features (n, d): bool, (n, bits)."""
        out = np.empty((len(features), self.weights.shape[1]), dtype=bool)
        certain = np.empty(len(features), dtype=bool)
        largest = float(np.abs(self.offsets).max(initial=0.0))
        for rows in row_blocks(len(features), ROWS):
            block = np.ascontiguousarray(features[rows])
            with np.errstate(over="ignore", invalid="ignore"):
                values = block @ self.directions
                values -= self.offsets
                np.greater_equal(values, 0, out=out[rows])
                length = np.sqrt(np.einsum("ij,ij->i", block, block))
                np.abs(values, out=values)
                certain[rows] = values.min(axis=1) > self.slack * (length + largest)
        again = np.flatnonzero(~certain)
        for rows in row_blocks(len(again), ROWS):
            out[again[rows]] = self.exactly(features[again[rows]])
        return out

    def exactly(self, features: np.ndarray) -> np.ndarray:
        """The same in float64."""
        centred = features.astype(np.float64, order="C") - self.mean
        return np.asarray(product(centred, self.weights) - self.threshold >= 0)
