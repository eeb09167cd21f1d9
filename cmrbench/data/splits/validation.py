"""Splits: the frozen rule that cuts a validation split where a dataset comes without one."""

from __future__ import annotations

import hashlib

import numpy as np


def by_hash(names: np.ndarray, prefix: str = "") -> np.ndarray:
    """Places of the names in the order of the SHA-256 of ``prefix + name``."""
    digests = [hashlib.sha256(f"{prefix}{name}".encode()).digest() for name in names.tolist()]
    return np.array(sorted(range(len(digests)), key=digests.__getitem__), np.int64)


def validation_rows(ids: np.ndarray, labels: np.ndarray | None, share: float) -> np.ndarray:
    """Rows of training items that become the validation split.

    Within every class (of an item with several labels, the first) the items are put in the order of the SHA-256 of
    their ids, and the first ``round(share * class size)`` are taken, halves up: the same items on every machine,
    whatever their order in the file, and every class with the same share.

    Parameters
    ----------
    ids : ndarray of str, shape (n,)
        Ids of the training items.
    labels : ndarray, shape (n, C), or None
        Multi-hot labels; None: one class.
    share : float
        Between 0 and 0.5.

    Returns
    -------
    ndarray of int
        Row numbers, ascending.
    """
    order = by_hash(ids)
    groups = np.zeros(len(ids), np.int64) if labels is None else labels.argmax(1)
    taken = [
        members[: int(share * len(members) + 0.5)]
        for group in np.unique(groups)
        for members in [order[groups[order] == group]]
    ]
    return np.sort(np.concatenate(taken)) if taken else np.empty(0, np.int64)
