"""Items: the things of one modality that a method is fitted on or encodes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np


def _read_only(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.setflags(write=False)
    return view


@dataclass(frozen=True, eq=False)
class Items:
    """Items of one modality, one row each; all arrays are read-only.

    Attributes
    ----------
    modality : str
        A name such as ``"image"``; nothing depends on which one.
    features : ndarray, shape (n, d), (n, r, d) or (n, length)
        As the dataset gives them: vectors (float32); sets of vectors (float16 or float32); tokens (int32, 0 is
        padding). Items that nothing describes yet have no columns.
    ids : ndarray of str, shape (n,)
        Stable item ids.
    instances : ndarray of str, shape (n,)
        Items of different modalities with one instance id belong together (a picture and its text).
    labels : ndarray, uint8, shape (n, C), or None
        Multi-hot labels; None where the task has none or the method must not see them.
    """

    modality: str
    features: np.ndarray
    ids: np.ndarray
    instances: np.ndarray
    labels: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.features)
        for name in ("ids", "instances", "labels"):
            array = getattr(self, name)
            if array is not None and len(array) != n:
                raise ValueError(f"{self.modality}: {n} feature rows but {len(array)} {name}")
        for name in ("features", "ids", "instances", "labels"):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, _read_only(np.asarray(array)))

    def __len__(self) -> int:
        return len(self.features)

    @property
    def dim(self) -> int:
        """Number of feature columns d."""
        return int(self.features.shape[-1])

    def without_labels(self) -> Items:
        """The same items with the labels withheld."""
        return replace(self, labels=None)

    def take(self, rows: np.ndarray) -> Items:
        """The items at `rows`, in that order (copied)."""
        return Items(
            self.modality,
            self.features[rows],
            self.ids[rows],
            self.instances[rows],
            None if self.labels is None else self.labels[rows],
        )


def concatenate(parts: list[Items]) -> Items:
    """Items of one modality one after another; all parts have labels or none has."""
    first = parts[0]
    if len(parts) == 1:
        return first
    labels = None
    if first.labels is not None:
        labels = np.concatenate([p.labels for p in parts if p.labels is not None])
    return Items(
        first.modality,
        np.concatenate([p.features for p in parts]),
        np.concatenate([p.ids for p in parts]),
        np.concatenate([p.instances for p in parts]),
        labels,
    )
