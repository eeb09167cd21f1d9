"""Label noise: training labels that are wrong, evenly or towards a class that is easily taken for the true one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cmrbench.core.errors import DataError, UsageError
from cmrbench.data.transforms.base import Transform, keep_classes, need_labels, number, picked

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.core.items import Items
    from cmrbench.data.transforms.base import Part


@dataclass(frozen=True)
class _LabelNoise(Transform):
    """Wrong labels for a share of the items of train and val, in each modality by itself.

    Attributes
    ----------
    joint : bool
        All items of an instance are wrong together and in the same way.
    """

    joint: bool = False

    words: ClassVar[str] = "[:joint]"

    @classmethod
    def of(cls, amount: float, seed: int, words: Sequence[str]) -> Transform:
        """Beside the amount there may be ``joint``."""
        if words not in ([], ["joint"]):
            raise UsageError(f"{cls.name}: {words[0]!r} means nothing to it; expected {cls.form()}")
        return cls(amount, seed, joint=bool(words))

    @property
    def text(self) -> str:
        """The one text of this value."""
        return self._text(number(self.amount) + (":joint" if self.joint else ""))

    def check(self, dataset: Dataset) -> None:
        """It needs labels of two classes or more."""
        need_labels(self, dataset)
        if len(dataset.classes) < 2:
            raise DataError(f"{self.text}: {dataset.name} has one class, which cannot be taken for another one")

    def learnt(self, split: str, part: Part, dataset: Dataset) -> Part:
        """The items with labels of which some are wrong."""
        found = {}
        for modality, items in part.items():
            found[modality] = noisy = self._noisy(items, split)
            if split == "train":
                keep_classes(items, noisy, self, dataset)
        return found

    def _noisy(self, items: Items, split: str) -> Items:
        if items.labels is None:
            return items
        names = (items.instances if self.joint else items.ids).tolist()
        among = () if self.joint else (items.modality,)
        wrong = self.chosen(names, self.amount, *among)
        labels = items.labels.copy()
        for row, name in enumerate(names):
            if name in wrong and labels[row].any():
                if labels[row].all():
                    raise DataError(
                        f"{self.text}: {items.modality} item {items.ids[row]} of {split} has every label; "
                        f"none can be taken for another one"
                    )
                labels[row] = self._wrong(labels[row], *among, name)
        return replace(items, labels=labels)

    @abstractmethod
    def _wrong(self, labels: np.ndarray, *parts: object) -> np.ndarray:
        """Other labels, as many."""


class SymmetricNoise(_LabelNoise):
    """Each label of the chosen items becomes another class, all of them equally likely.

    MRL (Hu et al., CVPR 2021) draws the new class from all classes in each view independently, so that a share 1/C of
    its noise changes nothing, and keeps validation labels; ELRCMR (Xu et al., ACM MM 2022) has noisy validation labels.
    Here the new class is never the old one, and validation items are training items.

    Items with several labels: one label after another becomes a class that the item does not have at that time and
    that is not its old one. The number of labels stays.
    """

    name = "noise"
    summary = "Wrong training labels: each label of a share of the training items becomes another class, any of them"
    example = "noise=0.4"

    def _wrong(self, labels: np.ndarray, *parts: object) -> np.ndarray:
        now = labels.copy()
        for k in np.flatnonzero(labels).tolist():
            others = np.flatnonzero(now == 0)  # k itself is among the labels still
            now[k] = 0
            now[others[picked(self.key("class", *parts, k), len(others))]] = 1
        return now


class AsymmetricNoise(_LabelNoise):
    """Each label k of the chosen items becomes k+1, the last class the first.

    "Pair flipping" of Co-teaching (Han et al., NeurIPS 2018), which needs no knowledge of which classes look alike;
    Patrini et al. (CVPR 2017) name the confused classes of MNIST and CIFAR by hand instead.
    """

    name = "asymmetric"
    summary = "Wrong training labels: each label of a share of the training items becomes the next class in order"
    example = "asymmetric=0.4"

    def _wrong(self, labels: np.ndarray, *parts: object) -> np.ndarray:
        return np.roll(labels, 1)
