"""Label matrices as closed-form methods use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.errors import MethodError

if TYPE_CHECKING:
    from cmrbench.core.items import Items


def labels_of(items: Items, method: str) -> np.ndarray:
    """The multi-hot labels (n, C) of items, or an error that names the method if they have none."""
    if items.labels is None:
        raise MethodError(f"{method} needs labels, and the {len(items)} {items.modality} items it was given have none")
    return items.labels


def similar(G: np.ndarray, B: np.ndarray) -> np.ndarray:
    """``G G' B`` (n, K) for label rows G (n, C), without the n x n similarity."""
    return np.asarray(G @ (G.T @ B))


def shares_label(labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether items have a label in common: bool, (n, m), for multi-hot labels (n, C) and (m, C)."""
    return np.asarray(labels @ others.T > 0)
