"""Validation: what must hold of every dataset before anything is computed on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from cmrbench.core.dataset import SPLITS
from cmrbench.core.errors import DataError
from cmrbench.core.items import Items, concatenate
from cmrbench.core.protocol import Protocol
from cmrbench.data.arrays import row_blocks
from cmrbench.data.content import Content, Cut

Parts = Mapping[str, Mapping[str, Items]]
_DTYPES = {"vector": ("float32",), "set": ("float16", "float32"), "tokens": ("int32",), "raw": ("float32",)}
_SHAPES = {"vector": 2, "set": 3, "tokens": 2, "raw": 2}


def validate_items(content: Content, kinds: Mapping[str, str], multilabel: bool) -> None:
    """Check every item: features, ids, labels, texts. Features are read in blocks.

    Parameters
    ----------
    content : Content
    kinds : mapping of modality to str
        ``vector``, ``set``, ``tokens`` or ``raw``.
    multilabel : bool
        Whether an item may have more or fewer labels than one.

    Raises
    ------
    DataError
        One sentence with the file, the modality and the row (counted from 0) or the item.
    """
    for modality, items in content.items.items():
        where = f"{content.file}: {modality}"
        _features(items, kinds[modality], where)
        _ids(items, where)
        if content.splits is not None:
            _splits(content.splits[modality], items, where)
        if items.labels is not None:
            _labels(items, where, content.classes, multilabel)
        for what, told in (("texts", content.texts), ("pictures", content.pictures)):
            if modality in told and len(told[modality]) != len(items):
                raise DataError(f"{where}: {len(items)} items but {len(told[modality])} {what}")


def validate_cut(
    cut: Cut, protocols: tuple[Protocol, ...], multilabel: bool
) -> tuple[dict[str, dict[str, Items]], list[str]]:
    """Check the splits, and that every protocol can be measured on them.

    Parameters
    ----------
    cut : Cut
    protocols : tuple of Protocol
        All that the dataset is measured under.
    multilabel : bool
        Rare labels of multi-label data may be absent from train or from a gallery: that is noted, not refused.

    Returns
    -------
    parts : dict of split to dict of modality to Items
        Ids, instances and labels; no features.
    notes : list of str

    Raises
    ------
    DataError
        One sentence with the file and the item.
    """
    parts = cut.described()
    content = cut.content
    if "train" not in parts:
        raise DataError(f"{content.file}: no item is in the split 'train'")
    _complete(parts, content)
    _disjoint(parts, content.file)
    found = [*_unlabelled(parts), *_classes_without_training(parts["train"], content)]
    for protocol in protocols:
        found += _unanswerable(parts, protocol, content.file)
    tolerated = [f for f in found if multilabel and f.by_label]
    for fault in found:
        if fault not in tolerated:
            raise DataError(f"{content.file}: {fault.text}")
    return parts, [fault.text for fault in tolerated]


@dataclass(frozen=True)
class _Fault:
    text: str
    by_label: bool


def _item(items: Items, row: int) -> str:
    return f"row {row} (item {items.ids[row]})"


def _features(items: Items, kind: str, where: str) -> None:
    features = items.features
    if features.dtype not in _DTYPES[kind] or features.ndim != _SHAPES[kind]:
        expected = f"{' or '.join(_DTYPES[kind])} of {_SHAPES[kind]} dimensions"
        raise DataError(f"{where}: expected {expected}, got {features.dtype} of shape {features.shape}")
    if kind == "raw":
        if features.shape[1]:
            raise DataError(f"{where}: raw items have no columns, got {features.shape[1]}")
        return
    start, zero, first_zero = 0, 0, -1
    for block in row_blocks(features):
        flat = block.reshape(len(block), -1)
        finite = np.isfinite(flat).all(1)
        if not finite.all():
            raise DataError(f"{where}: {_item(items, start + int(np.argmin(finite)))} holds NaN or infinity")
        nonzero = flat.any(1)
        if not nonzero.all():
            first_zero = first_zero if zero else start + int(np.argmin(nonzero))
            zero += int((~nonzero).sum())
        start += len(block)
    if zero:
        more = f", and so are {zero - 1} more" if zero > 1 else ""
        what = f"{_item(items, first_zero)} is all zero{more}"
        raise DataError(f"{where}: {what}; drop such items or describe them otherwise")


def _ids(items: Items, where: str) -> None:
    unique, counts = np.unique(items.ids, return_counts=True)
    if len(unique) < len(items):
        twice = unique[np.argmax(counts > 1)]
        rows = np.flatnonzero(items.ids == twice)[:2]
        raise DataError(f"{where}: rows {rows[0]} and {rows[1]} have the same id {twice}")


def _splits(splits: np.ndarray, items: Items, where: str) -> None:
    if len(splits) != len(items):
        raise DataError(f"{where}: {len(items)} items but {len(splits)} entries of split")
    known = np.isin(splits, ("", *SPLITS))
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


def _unlabelled(parts: Parts) -> Iterator[_Fault]:
    """Items of multi-label data without any label: nothing is relevant to them, and they are relevant to nothing."""
    for modality in next(iter(parts.values())):
        items = concatenate([part[modality] for part in parts.values()])
        if items.labels is not None and not items.labels.any(1).all():
            without = np.flatnonzero(~items.labels.any(1))
            more = f", nor have {len(without) - 1} more" if len(without) > 1 else ""
            yield _Fault(f"{modality}: item {items.ids[without[0]]} has no label{more}", True)


def _classes_without_training(train: Mapping[str, Items], content: Content) -> Iterator[_Fault]:
    for modality, items in train.items():
        if items.labels is not None and not items.labels.any(0).all():
            absent = np.flatnonzero(~items.labels.any(0))
            more = f", nor have {len(absent) - 1} more" if len(absent) > 1 else ""
            yield _Fault(f"{modality}: class {content.classes[absent[0]]!r} has no training item{more}", True)


def _unanswerable(parts: Parts, protocol: Protocol, file: str) -> Iterator[_Fault]:
    """Queries that have nothing relevant in the gallery of another modality."""
    for split in (*protocol.query, *protocol.gallery):
        if split not in parts:
            raise DataError(f"{file}: protocol {protocol.name} needs the split {split!r}, which has no items")
    query = {m: concatenate([parts[s][m] for s in protocol.query]) for m in parts["train"]}
    gallery = {m: concatenate([parts[s][m] for s in protocol.gallery]) for m in parts["train"]}
    for a, b in permutations(query, 2):
        left, right = query[a], gallery[b]
        by_label = protocol.relevance == "label"
        if not by_label:
            found = np.isin(left.instances, right.instances)
        elif left.labels is None or right.labels is None:
            raise DataError(f"{file}: protocol {protocol.name} compares labels, but there are none")
        else:
            found = (left.labels & right.labels.max(0)).any(1)
        if not found.all():
            item, others = left.ids[int(np.argmin(found))], int((~found).sum()) - 1
            more = f", nor have {others} more" if others else ""
            yield _Fault(
                f"{a} query {item} has no relevant {b} in the gallery of protocol {protocol.name}{more}", by_label
            )
