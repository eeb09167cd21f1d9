"""What a transform is, and the random choices that they share: by item, not by place in the file."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from cmrbench.core.errors import DataError, UsageError

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.core.items import Items

    Part = Mapping[str, Items]

LEARNT = ("train", "val")
"""The splits that methods learn from: validation items are training items for methods that do not select on them."""


@dataclass(frozen=True)
class Transform(ABC):
    """One change of a dataset, as an immutable value whose text is its name.

    Methods learn from what `learnt` makes of the splits train and val, and are measured on what `measured` makes of
    the splits that a protocol names: where train is also the gallery, its items are measured as they are.

    Attributes
    ----------
    amount : float
        How much: a share of items or instances, unless the transform says otherwise.
    seed : int
        Seed of its choices. Each choice comes from a hash of the transform's name, the seed and the item's id, so that
        it depends neither on the order of the items nor on other splits, and more of a transform includes less of it.
    """

    amount: float
    seed: int = 0

    name: ClassVar[str]
    """What is typed before the ``=``."""
    summary: ClassVar[str]
    """What it does, for people."""
    example: ClassVar[str]
    most: ClassVar[float] = 1.0
    """The largest amount."""
    words: ClassVar[str] = ""
    """What may stand beside the amount, for messages."""

    @classmethod
    def of(cls, amount: float, seed: int, words: Sequence[str]) -> Transform:
        """The transform with these words beside the amount.

        Raises
        ------
        UsageError
            If a word is none of its own.
        """
        if words:
            raise UsageError(f"{cls.name}: {words[0]!r} means nothing to it; expected {cls.form()}")
        return cls(amount, seed)

    @classmethod
    def form(cls) -> str:
        """How it is written."""
        return f"{cls.name}=AMOUNT{cls.words}[:seed=N], such as {cls.example}"

    @property
    def text(self) -> str:
        """The one text of this value; equal texts do equal things."""
        return self._text(number(self.amount))

    def _text(self, value: str) -> str:
        return f"{self.name}={value}" + (f":seed={self.seed}" if self.seed else "")

    def check(self, dataset: Dataset) -> None:  # noqa: B027  (most have nothing to check)
        """Raise a DataError if the dataset is not one that this can be done to; opens nothing."""

    @abstractmethod
    def learnt(self, split: str, part: Part, dataset: Dataset) -> Part:
        """What methods learn from in place of `part`.

        Parameters
        ----------
        split : str
            ``train`` or ``val``.
        part : mapping of modality to Items
        dataset : Dataset
            What is changed; its training items may be opened.
        """

    def measured(self, split: str, part: Part, dataset: Dataset) -> Part:
        """What is measured in place of `part`, which may be of any split."""
        return part

    def key(self, *parts: object) -> bytes:
        """32 random bytes for these names."""
        return hashlib.sha256("\x1f".join(map(str, (self.name, self.seed, *parts))).encode()).digest()

    def chosen(self, names: Iterable[str], share: float, *parts: object) -> set[str]:
        """That share (halves up) of the different names: those whose `key` is lowest."""
        different = sorted(set(names), key=lambda n: self.key(*parts, n))
        return set(different[: int(share * len(different) + 0.5)])


def number(value: float) -> str:
    """``0.4`` for 0.4 and ``1`` for 1.0."""
    return f"{value:.10g}"


def picked(key: bytes, n: int) -> int:
    """A uniform choice out of 0 ... n-1 by a key; its bias is below n / 2**64."""
    return int.from_bytes(key[:8], "little") * n >> 64


def keep_classes(before: Items, after: Items, transform: Transform, dataset: Dataset) -> None:
    """Raise a DataError if a class that the training items had is gone: methods may count on each."""
    if before.labels is None or after.labels is None:
        return
    gone = before.labels.any(0) & ~after.labels.any(0)
    if gone.any():
        name = dataset.classes[int(np.argmax(gone))] if dataset.classes else str(int(np.argmax(gone)))
        raise DataError(
            f"{dataset.name}+{transform.text}: class {name!r} is left without a training {before.modality} item; "
            f"take less of {transform.name} or another seed"
        )


def need_labels(transform: Transform, dataset: Dataset) -> None:
    """Raise a DataError unless the dataset has labels."""
    if not dataset.classes:
        raise DataError(f"{transform.text}: {dataset.name} has no labels, which {transform.name} changes or reads")
