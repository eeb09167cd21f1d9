"""Small datasets for the checks: seeded, easy, and bent into the shapes that break methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from cmrbench.core.dataset import Dataset
from cmrbench.core.items import Items
from cmrbench.data.synthetic import make_synthetic

Parts = Mapping[str, Items]

DIMS = (20, 12, 16)
CLASSES = 8


def small_dataset(modalities: int = 2, *, multilabel: bool = False, dims: tuple[int, ...] = DIMS) -> Dataset:
    """An easy dataset of `modalities` modalities of unequal dimensions: 97 training items, 8 classes."""
    return make_synthetic(
        n_train=97,
        n_val=32,
        n_query=48,
        n_gallery=72,
        dims=dims,
        classes=CLASSES,
        modalities=modalities,
        multilabel=multilabel,
        noise=0.5,
        seed=11,
    )


def with_parts(dataset: Dataset, **changed: Parts) -> Dataset:
    """The dataset with some splits replaced, and those left out that became empty; sizes and dimensions follow."""
    parts = {split: changed.get(split) or dataset.part(split) for split in dataset.sizes}
    parts = {split: part for split, part in parts.items() if all(len(items) for items in part.values())}
    return replace(
        dataset,
        dims={m: items.dim for m, items in parts["train"].items()},
        sizes={split: {m: len(items) for m, items in part.items()} for split, part in parts.items()},
        opener=parts.__getitem__,
    )


def each(parts: Parts, change: Callable[[Items], Items]) -> dict[str, Items]:
    """`change` applied to the items of every modality."""
    return {modality: change(items) for modality, items in parts.items()}


def labels_of(items: Items) -> np.ndarray:
    """The labels, which the items of the small datasets always have until they are withheld."""
    if items.labels is None:
        raise ValueError(f"the {items.modality} items have no labels")
    return items.labels


def take(items: Items, start: int, stop: int, step: int = 1) -> Items:
    """Every `step`-th of the items from `start` to `stop`."""
    return items.take(np.arange(start, stop, step))


def first_of_each_class(items: Items) -> Items:
    """One item per class: the first that carries it."""
    return items.take(np.unique(np.argmax(labels_of(items), axis=0)))


def with_constant_columns(items: Items) -> Items:
    """The first column set to zero and every third one to a value of its own."""
    features = np.array(items.features)
    features[:, 0] = 0
    for column in range(1, items.dim, 3):
        features[:, column] = column
    return replace(items, features=features)


def mislabelled(parts: Parts, seed: int) -> dict[str, Items]:
    """Features of every modality dealt out anew over ids and labels: neither labels nor pairs say anything."""
    dealt = {}
    for number, (modality, items) in enumerate(parts.items()):
        rows = np.random.default_rng([seed, number]).permutation(len(items))
        dealt[modality] = replace(items, features=items.features[rows])
    return dealt


def memory_mapped(items: Items, folder: str, name: str) -> Items:
    """The same items with features that lie in a file.

    The map is copy-on-write, so that a method that writes behind numpy's back does not end the whole process here.
    """
    path = f"{folder}/{name}-{items.modality}.npy"
    np.save(path, items.features)
    return replace(items, features=np.load(path, mmap_mode="c"))


def writable(items: Items) -> Items:
    """The same items in fresh memory that a careless method could write to."""
    copy = replace(items)
    for name in ("features", "labels"):
        array = getattr(items, name)
        if array is not None:
            object.__setattr__(copy, name, np.array(array))
    return copy
