"""The instances of a dataset as what a split is drawn over: all items of an instance go together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.errors import DataError

if TYPE_CHECKING:
    from cmrbench.core.items import Items


@dataclass(frozen=True, eq=False)
class Units:
    """The instances, in the order in which the file first has them, modality by modality.

    Attributes
    ----------
    names : ndarray of str, shape (u,)
        Instance ids, all different.
    rows : mapping of modality to ndarray of int, shape (n,)
        The number of every item's instance.
    group : ndarray of int, shape (u,)
        Equal for instances that are in the same modalities.
    labels : ndarray, uint8, shape (u, C), or None
        The labels that any item of the instance has; None where no modality has labels.
    """

    names: np.ndarray
    rows: Mapping[str, np.ndarray]
    group: np.ndarray
    labels: np.ndarray | None

    @classmethod
    def of(cls, items: Mapping[str, Items]) -> Units:
        """The instances of all modalities.

        Raises
        ------
        DataError
            If modalities have labels of different widths.
        """
        everything = np.concatenate([i.instances for i in items.values()])
        names, first, inverse = np.unique(everything, return_index=True, return_inverse=True)
        order = np.argsort(first)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        ends = np.cumsum([len(i) for i in items.values()])[:-1]
        rows = dict(zip(items, np.split(place[inverse.reshape(-1)], ends), strict=True))
        group = np.zeros(len(names), np.int64)
        for bit, own in enumerate(rows.values()):
            group[np.unique(own)] |= 1 << bit
        return cls(names[order], rows, group, _labels(items, rows, len(names)))

    def groups_of(self, units: np.ndarray) -> list[np.ndarray]:
        """`units` by group, in their order; groups in the order of their numbers."""
        kinds = self.group[units]
        return [units[kinds == kind] for kind in np.unique(kinds)]

    def classes_of(self, units: np.ndarray) -> np.ndarray:
        """The first label of each of `units`; -1 for one without labels."""
        assert self.labels is not None
        hot = self.labels[units]
        return np.where(hot.any(1), hot.argmax(1), -1)

    def agreed(self, values: Mapping[str, np.ndarray], what: str) -> np.ndarray:
        """One text an instance out of one an item.

        Raises
        ------
        DataError
            If items of one instance differ in it, or there are not as many values as items.
        """
        found = np.zeros(len(self.names), "<U16")
        seen = np.zeros(len(self.names), bool)
        for modality, rows in self.rows.items():
            own = np.asarray(values[modality]).astype("<U16")
            if len(own) != len(rows):
                raise DataError(f"{modality}: {len(rows)} items but {len(own)} entries of {what}")
            fresh = rows[~seen[rows]]
            found[fresh] = own[~seen[rows]]
            seen[fresh] = True
            differs = np.flatnonzero(found[rows] != own)
            if len(differs):
                unit = rows[differs[0]]
                raise DataError(
                    f"{modality}: an item of instance {self.names[unit]} has the {what} {str(own[differs[0]])!r}, "
                    f"another one {str(found[unit])!r}; items of one instance belong together"
                )
        return found


def _labels(items: Mapping[str, Items], rows: Mapping[str, np.ndarray], n: int) -> np.ndarray | None:
    labelled = {m: i.labels for m, i in items.items() if i.labels is not None}
    widths = {m: labels.shape[1] for m, labels in labelled.items()}
    if len(set(widths.values())) > 1:
        said = ", ".join(f"{m} {w}" for m, w in widths.items())
        raise DataError(f"modalities have labels of different numbers of classes: {said}")
    if not labelled:
        return None
    hot = np.zeros((n, next(iter(widths.values()))), np.uint8)
    for modality, labels in labelled.items():
        own = rows[modality]
        order = np.argsort(own, kind="stable")
        starts = np.flatnonzero(np.diff(own[order], prepend=-1))
        if len(starts):
            hot[own[order][starts]] |= np.maximum.reduceat(labels[order], starts, axis=0)
    return hot
