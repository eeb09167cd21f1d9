"""Fewer training items: the points of a curve over the size of the training set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmrbench.data.transforms.base import Transform
from cmrbench.data.units import Units

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.data.transforms.base import Part


class TrainShare(Transform):
    """A share of the training instances; smaller shares of one seed are subsets of larger ones.

    Within each class (of several labels, the first) and each group of instances that are in the same modalities, the
    first so many (halves up) in the order of their keys, and of every class at least one instance.
    """

    name = "train"
    summary = "Fewer training items: a share of the instances of each class; smaller shares lie within larger ones"
    example = "train=0.1"

    def learnt(self, split: str, part: Part, dataset: Dataset) -> Part:
        """The instances that are kept, in their order."""
        units = Units.of(part)
        order = np.array(
            sorted(range(len(units.names)), key=lambda u: self.key(str(units.names[u]))),
            np.int64,
        )
        kept = np.zeros(len(order), bool)
        for group in units.groups_of(order):
            classes = np.zeros(len(group), np.int64) if units.labels is None else units.classes_of(group)
            for k in np.unique(classes):
                members = group[classes == k]
                kept[members[: int(self.amount * len(members) + 0.5)]] = True
            if units.labels is None:
                kept[group[0]] = True
            else:
                has = units.labels[group] == 1
                kept[group[has.argmax(0)[has.any(0)]]] = True  # the first that has the label
        return {m: items.take(np.flatnonzero(kept[units.rows[m]])) for m, items in part.items()}
