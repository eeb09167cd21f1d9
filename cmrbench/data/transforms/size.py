"""Fewer training items: the points of a curve over the size of the training set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmrbench.data.splits.units import Units
from cmrbench.data.transforms.base import Transform, picked

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.data.transforms.base import Part


class TrainShare(Transform):
    """A share of the training instances; smaller shares of one seed are subsets of larger ones.

    There is one order of the instances, and a share is so many of its first (halves up). It begins with one instance
    of every class; the others are interleaved such that any beginning holds about the same share of each class (of
    several labels, the first counts). Instances that are in the same modalities are ordered by themselves, so that the
    share holds in each modality.
    """

    name = "train"
    summary = "Fewer training items: a share of the instances of each class; smaller shares lie within larger ones"
    example = "train=0.1"

    def learnt(self, split: str, part: Part, dataset: Dataset) -> Part:
        """The instances that are kept, in their order."""
        units = Units.of(part)
        order = sorted(range(len(units.names)), key=lambda u: self.key(str(units.names[u])))
        kept = np.zeros(len(order), bool)
        for group in units.groups_of(np.array(order, np.int64)):
            ranked, classes = self._ranked(group, units)
            kept[ranked[: max(classes, int(self.amount * len(group) + 0.5))]] = True
        return {m: items.take(np.flatnonzero(kept[units.rows[m]])) for m, items in part.items()}

    def _ranked(self, group: np.ndarray, units: Units) -> tuple[np.ndarray, int]:
        """The units of a group in the order in which they are kept, and how many stay whatever the share."""
        if units.labels is None:
            return group, 1
        place = np.empty(len(group))
        classes = units.classes_of(group)
        for k in np.unique(classes).tolist():
            members = classes == k
            offset = picked(self.key("class", k), 1 << 32) / (1 << 32)
            place[members] = (np.arange(members.sum()) + offset) / members.sum()
        has = units.labels[group] == 1
        first = np.unique(has.argmax(0)[has.any(0)])
        place[first] = -1
        return group[np.argsort(place, kind="stable")], max(1, len(first))
