"""Transforms applied: a dataset whose splits are changed when they are opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cmrbench.core.dataset import Dataset
from cmrbench.core.errors import UsageError
from cmrbench.core.hashing import digest
from cmrbench.data.transforms.base import LEARNT, Transform
from cmrbench.data.transforms.registry import parse

if TYPE_CHECKING:
    from cmrbench.core.items import Items


def apply(dataset: Dataset, transforms: tuple[str, ...]) -> Dataset:
    """The dataset with transforms applied, one after another.

    Nothing is opened here, and opening a split changes that split only. The fingerprint is over that of the original
    and the canonical texts.

    Parameters
    ----------
    dataset : Dataset
    transforms : tuple of str
        Texts such as ``"noise=0.4"``; see `cmrbench.data.transforms.parse`.

    Raises
    ------
    UsageError
        If a text names no transform, or two are equal.
    DataError
        If the dataset is not one that a transform can be applied to.
    """
    for text in transforms:
        transform = parse(text)
        if transform.text in dataset.transforms:
            raise UsageError(f"{dataset.name}: {transform.text} is named twice; give the second one another seed")
        transform.check(dataset)
        dataset = _applied(dataset, transform)
    return dataset


def _applied(dataset: Dataset, transform: Transform) -> Dataset:
    opener = Transformed(dataset, transform)
    return replace(
        dataset,
        name=f"{dataset.name}+{transform.text}",
        sizes=Sizes(tuple(dataset.sizes), opener),
        fingerprint=digest({"of": dataset.fingerprint, "transform": transform.text}, length=64),
        opener=opener,
        transforms=(*dataset.transforms, transform.text),
        notes=(*dataset.notes, f"{transform.text}: {transform.summary[0].lower()}{transform.summary[1:]}"),
        describer=dataset.describer and Described(dataset, opener),
    )


@dataclass(frozen=True, eq=False)
class Transformed:
    """Opens a split of a dataset and changes it.

    Attributes
    ----------
    dataset : Dataset
        What is changed.
    transform : Transform
    """

    dataset: Dataset
    transform: Transform

    def __call__(self, split: str) -> Mapping[str, Items]:
        """The items of a split by modality; those of train and val to be learnt from."""
        if split not in LEARNT:
            return self.measured(split)
        return self.transform.learnt(split, self.dataset.part(split), self.dataset)

    def measured(self, split: str) -> Mapping[str, Items]:
        """The items of a split by modality to be measured on."""
        return self.transform.measured(split, self.dataset.measured(split), self.dataset)


@dataclass(frozen=True, eq=False)
class Sizes(Mapping[str, Mapping[str, int]]):
    """Numbers of items by split and modality, counted when they are asked for."""

    splits: tuple[str, ...]
    opener: Callable[[str], Mapping[str, Items]]
    counted: dict[str, Mapping[str, int]] = field(default_factory=dict)

    def __getitem__(self, split: str) -> Mapping[str, int]:
        if split not in self.splits:
            raise KeyError(split)
        if split not in self.counted:
            self.counted[split] = {m: len(items) for m, items in self.opener(split).items()}
        return self.counted[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self.splits)

    def __len__(self) -> int:
        return len(self.splits)

    def __contains__(self, split: object) -> bool:
        return split in self.splits


@dataclass(frozen=True, eq=False)
class Described:
    """Texts or pictures of the items that are left, in their order."""

    dataset: Dataset
    opener: Callable[[str], Mapping[str, Items]]

    def __call__(self, split: str, modality: str, what: str) -> list[str] | None:
        """One text an item, or None where there are none."""
        assert self.dataset.describer is not None
        values = self.dataset.describer(split, modality, what)
        if values is None:
            return None
        by_id = dict(zip(self.dataset.part(split)[modality].ids.tolist(), values, strict=True))
        return [by_id[name] for name in self.opener(split)[modality].ids.tolist()]
