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


def unit_rows(labels: np.ndarray) -> np.ndarray:
    """Rows scaled to unit Euclidean length, float64; zero rows stay zero."""
    rows = np.asarray(labels, dtype=np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)
