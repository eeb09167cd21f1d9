"""Wrong and missing partners: pairs that do not belong together, and instances that lack a modality."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cmrbench.core.errors import DataError, UsageError
from cmrbench.data.transforms.base import Transform, keep_classes, number, picked

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.core.items import Items
    from cmrbench.data.transforms.base import Part


class Unpaired(Transform):
    """The partners of a share of the training instances are dealt out among them, so that none keeps its own.

    Noisy correspondence as in NCR (Huang et al., NeurIPS 2021), which shuffles the captions of a share of the pictures
    at random: there, some may come back to their own picture. All modalities but the first change places, each in a way
    of its own. An item keeps its features, labels and id; it gets another instance, and stands in that instance's row.
    Validation items too few to be shuffled keep their partners.
    """

    name = "unpaired"
    summary = "Wrong pairs: the partners of a share of the training instances are shuffled among them"
    example = "unpaired=0.3"

    def learnt(self, split: str, part: Part, dataset: Dataset) -> Part:
        """The items with partners dealt out anew."""
        complete = _complete(part)
        chosen = sorted(self.chosen(complete, self.amount), key=lambda name: self.key("order", name))
        if not chosen:
            return part
        if len(chosen) < len(part):
            if split == "val":
                return part
            raise DataError(
                f"{dataset.name}+{self.text}: {len(chosen)} of {len(complete)} complete instances of {split} cannot be "
                f"shuffled among {len(part)} modalities; take a larger share"
            )
        shuffled = {}
        for shift, (modality, items) in enumerate(part.items()):
            owner = {name: chosen[(place + shift) % len(chosen)] for place, name in enumerate(chosen)}
            shuffled[modality] = _moved(items, owner) if shift else items
        return shuffled


def _complete(part: Part) -> set[str]:
    """Instances that have items of every modality."""
    each = [set(items.instances.tolist()) for items in part.values()]
    return set.intersection(*each)


def _moved(items: Items, owner: dict[str, str]) -> Items:
    """The items with other instances, in the rows where those instances stood."""
    names = items.instances.tolist()
    place = {name: row for row, name in reversed(list(enumerate(names)))}
    now = [owner.get(name, name) for name in names]
    order = np.argsort([place[name] for name in now], kind="stable")
    return replace(items.take(order), instances=np.array(now)[order])


@dataclass(frozen=True)
class Missing(Transform):
    """The items of one modality are taken away from a share of the training instances.

    Only instances that have other modalities, too, lose one. Methods that learn from pairs are handed the instances
    that are complete.

    Attributes
    ----------
    modality : str
        ``""``: every chosen instance loses one of its modalities, all of them equally likely.
    """

    modality: str = ""

    name = "missing"
    summary = "Missing modality: a share of the training instances loses one modality (the one that is named, or any)"
    example = "missing=text:0.2"
    words: ClassVar[str] = "[:MODALITY]"

    @classmethod
    def of(cls, amount: float, seed: int, words: Sequence[str]) -> Transform:
        """Beside the amount there may be a modality."""
        if len(words) > 1:
            raise UsageError(f"{cls.name}: {words[1]!r} is one modality too many; expected {cls.form()}")
        return cls(amount, seed, modality=words[0] if words else "")

    @property
    def text(self) -> str:
        """The one text of this value."""
        return self._text(f"{self.modality}:{number(self.amount)}" if self.modality else number(self.amount))

    def check(self, dataset: Dataset) -> None:
        """The dataset must have the modality."""
        if self.modality and self.modality not in dataset.modalities:
            raise DataError(
                f"{self.text}: {dataset.name} has no modality {self.modality!r}; it has {', '.join(dataset.modalities)}"
            )

    def learnt(self, split: str, part: Part, dataset: Dataset) -> Part:
        """The items without those that are missing."""
        modalities: dict[str, list[str]] = {}
        for modality, items in part.items():
            for name in set(items.instances.tolist()):
                modalities.setdefault(name, []).append(modality)
        able = {n for n, has in modalities.items() if len(has) > 1 and (not self.modality or self.modality in has)}
        lost = {n: self._loses(n, modalities[n]) for n in self.chosen(able, self.amount)}
        kept = {}
        for modality, items in part.items():
            stays = np.array([lost.get(name) != modality for name in items.instances.tolist()], bool)
            if not stays.any():
                raise DataError(f"{dataset.name}+{self.text}: no {modality} item is left in {split}; take less of it")
            kept[modality] = items if stays.all() else items.take(np.flatnonzero(stays))
            if split == "train":
                keep_classes(items, kept[modality], self, dataset)
        return kept

    def _loses(self, instance: str, has: list[str]) -> str:
        return self.modality or has[picked(self.key("modality", instance), len(has))]
