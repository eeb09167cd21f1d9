"""Unseen classes: what is searched for was never learnt from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.transforms.base import Transform, need_labels

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.data.transforms.base import Part


class Unseen(Transform):
    """A share of the classes is absent from training; queries and galleries have only these.

    Training items with an unseen label are left out, and so are queries and gallery items with a seen one. Where train
    is also the gallery, its items of unseen classes are the gallery: they were not learnt from. Label columns stay
    where they are; those of unseen classes are 0 in training.
    """

    name = "unseen"
    summary = "Zero-shot: a share of the classes is absent from training, and only these are searched for"
    example = "unseen=0.5"

    def check(self, dataset: Dataset) -> None:
        """It needs labels, and some seen and some unseen classes."""
        need_labels(self, dataset)
        self.classes(dataset)

    def classes(self, dataset: Dataset) -> np.ndarray:
        """Numbers of the unseen classes, ascending; the choice goes by the classes' names.

        Raises
        ------
        DataError
            If no class, or every one, would be unseen.
        """
        n = len(dataset.classes)
        unseen = self.chosen(dataset.classes, self.amount)
        if not 0 < len(unseen) < n:
            raise DataError(f"{self.text}: {len(unseen)} of the {n} classes of {dataset.name} would be unseen")
        return np.array([k for k, name in enumerate(dataset.classes) if name in unseen])

    def learnt(self, split: str, part: Part, dataset: Dataset) -> Part:
        """The items of seen classes."""
        return self._only(split, part, dataset, np.setdiff1d(np.arange(len(dataset.classes)), self.classes(dataset)))

    def measured(self, split: str, part: Part, dataset: Dataset) -> Part:
        """The items of unseen classes."""
        return self._only(split, part, dataset, self.classes(dataset))

    def _only(self, split: str, part: Part, dataset: Dataset, classes: np.ndarray) -> Part:
        """Items that have labels, all of them out of `classes`."""
        kept = {}
        for modality, items in part.items():
            if items.labels is None:
                raise DataError(f"{self.text}: the {modality} items of {dataset.name} have no labels")
            inside = items.labels[:, classes].any(1)
            inside &= ~np.delete(items.labels, classes, axis=1).any(1)
            if not inside.any():
                raise DataError(
                    f"{dataset.name}+{self.text}: none of the {len(items)} {modality} items of {split} has only labels "
                    f"out of the {len(classes)} classes that it would keep; take another share or seed"
                )
            kept[modality] = items.take(np.flatnonzero(inside))
        return kept
