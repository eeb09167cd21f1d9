"""Standardisation with the statistics of the training items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cmrbench.core.items import Items


@dataclass(frozen=True, eq=False)
class Scaling:
    """Maps features x to (x - mean) / scale, column by column.

    Attributes
    ----------
    mean, scale : ndarray, float32, shape (d,)
        ``scale`` is 1 in columns that are constant in training, so that such a column becomes 0.
    """

    mean: np.ndarray
    scale: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Scaled copy of features (n, d), float32."""
        return (np.asarray(features, np.float32) - self.mean) / self.scale


def standard_scaling(features: np.ndarray) -> Scaling:
    """Zero mean and unit standard deviation (divisor n) in every column of features (n, d).

    A column whose deviation is within the rounding error of its mean is treated as constant.
    """
    x = np.asarray(features, np.float64)
    mean, std = x.mean(0), x.std(0)
    constant = std <= np.finfo(np.float32).eps * np.maximum(np.abs(x).max(0), np.finfo(np.float32).tiny)
    return Scaling(mean.astype(np.float32), np.where(constant, 1.0, std).astype(np.float32))


def no_scaling(dim: int) -> Scaling:
    """The identity on `dim` columns."""
    return Scaling(np.zeros(dim, np.float32), np.ones(dim, np.float32))


def fit_scalings(train: Mapping[str, Items], standardize: bool) -> dict[str, Scaling]:
    """One scaling per modality: standardisation by its training items, or the identity."""
    return {m: standard_scaling(items.features) if standardize else no_scaling(items.dim) for m, items in train.items()}
