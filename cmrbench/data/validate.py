"""Validation: what must hold of every dataset before anything is computed on it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import numpy as np

from cmrbench.core.dataset import SPLITS
from cmrbench.core.errors import DataError
from cmrbench.core.items import Items, concatenate
from cmrbench.core.protocol import Protocol
from cmrbench.data.content import Content

Parts = Mapping[str, Mapping[str, Items]]


def validate(content: Content, protocols: tuple[Protocol, ...], multilabel: bool) -> dict[str, dict[str, Items]]:
    """Check everything and return the splits.

    Parameters
    ----------
    content : Content
    protocols : tuple of Protocol
        All that the dataset is measured under.
    multilabel : bool
        Whether an item may have more or fewer labels than one.

    Raises
    ------
    DataError
        One sentence with the file, the modality and the row (counted from 0) or the item.
    """
    for modality, items in content.items.items():
        where = f"{content.file}: {modality}"
        _features(items, where)
        _ids(items, where)
        _splits(content.splits[modality], items, where)
        if items.labels is not None:
            _labels(items, where, content.classes, multilabel)
    parts = content.parts()
    if "train" not in parts:
        raise DataError(f"{content.file}: no item is in the split 'train'")
    _complete(parts, content)
    _disjoint(parts, content.file)
    _every_class_in_train(parts["train"], content)
    for protocol in protocols:
        _measurable(parts, protocol, content.file)
    return parts


def _item(items: Items, row: int) -> str:
    return f"row {row} (item {items.ids[row]})"


def _features(items: Items, where: str) -> None:
    if items.features.dtype != np.float32 or items.features.ndim != 2:
        raise DataError(f"{where}: expected float32 rows, got {items.features.dtype} of shape {items.features.shape}")
    finite = np.isfinite(items.features).all(1)
    if not finite.all():
        raise DataError(f"{where}: {_item(items, int(np.argmin(finite)))} holds NaN or infinity")
    nonzero = items.features.any(1)
    if not nonzero.all():
        row, count = int(np.argmin(nonzero)), int((~nonzero).sum())
        more = f", and so are {count - 1} more" if count > 1 else ""
        raise DataError(f"{where}: {_item(items, row)} is all zero{more}; drop such items or describe them otherwise")


def _ids(items: Items, where: str) -> None:
    unique, counts = np.unique(items.ids, return_counts=True)
    if len(unique) < len(items):
        twice = unique[np.argmax(counts > 1)]
        rows = np.flatnonzero(items.ids == twice)[:2]
        raise DataError(f"{where}: rows {rows[0]} and {rows[1]} have the same id {twice}")


def _splits(splits: np.ndarray, items: Items, where: str) -> None:
    if len(splits) != len(items):
        raise DataError(f"{where}: {len(items)} items but {len(splits)} entries of split")
    known = np.isin(splits, SPLITS)
    if not known.all():
        row = int(np.argmin(known))
        raise DataError(f"{where}: {_item(items, row)} is in split {str(splits[row])!r}; known: {', '.join(SPLITS)}")


def _labels(items: Items, where: str, classes: tuple[str, ...], multilabel: bool) -> None:
    labels = items.labels
    assert labels is not None
    if labels.dtype != np.uint8 or labels.ndim != 2 or labels.shape[1] != len(classes):
        raise DataError(
            f"{where}: expected uint8 labels of {len(classes)} columns, got {labels.dtype} of shape {labels.shape}"
        )
    if labels.max(initial=0) > 1:
        row = int(np.argmax(labels.max(1) > 1))
        raise DataError(f"{where}: {_item(items, row)} has a label that is neither 0 nor 1")
    counts = labels.sum(1, dtype=np.int64)
    if not multilabel and (counts != 1).any():
        row = int(np.argmax(counts != 1))
        raise DataError(f"{where}: {_item(items, row)} has {counts[row]} labels, but the dataset has one an item")


def _complete(parts: Parts, content: Content) -> None:
    for split, part in parts.items():
        for modality, items in part.items():
            if not len(items):
                raise DataError(f"{content.file}: {modality}: no item is in the split {split!r}")


def _disjoint(parts: Parts, file: str) -> None:
    """No instance in two splits. A protocol that lets training items be the gallery names the split ``train``."""
    home: dict[str, str] = {}
    for split, part in parts.items():
        here = {i for items in part.values() for i in items.instances.tolist()}
        shared = sorted(here & home.keys())
        if shared:
            raise DataError(
                f"{file}: instance {shared[0]} is in both {home[shared[0]]} and {split}; splits are disjoint"
            )
        home |= dict.fromkeys(here, split)


def _every_class_in_train(train: Mapping[str, Items], content: Content) -> None:
    for modality, items in train.items():
        if items.labels is not None and not items.labels.any(0).all():
            name = content.classes[int(np.argmin(items.labels.any(0)))]
            raise DataError(f"{content.file}: {modality}: class {name!r} has no training item")


def _measurable(parts: Parts, protocol: Protocol, file: str) -> None:
    """Every query finds something relevant in the gallery of every other modality."""
    for split in (*protocol.query, *protocol.gallery):
        if split not in parts:
            raise DataError(f"{file}: protocol {protocol.name} needs the split {split!r}, which has no items")
    query = {m: concatenate([parts[s][m] for s in protocol.query]) for m in parts["train"]}
    gallery = {m: concatenate([parts[s][m] for s in protocol.gallery]) for m in parts["train"]}
    for a, b in permutations(query, 2):
        left, right = query[a], gallery[b]
        if protocol.relevance == "instance":
            found = np.isin(left.instances, right.instances)
        elif left.labels is None or right.labels is None:
            raise DataError(f"{file}: protocol {protocol.name} compares labels, but there are none")
        else:
            found = (left.labels & right.labels.max(0)).any(1)
        if not found.all():
            item = left.ids[int(np.argmin(found))]
            raise DataError(f"{file}: {a} query {item} has no relevant {b} in the gallery of protocol {protocol.name}")
