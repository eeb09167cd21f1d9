"""Which arrays a dataset is written as for others: whole ones where rows correspond, else one a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.dataset import SPLITS
from cmrbench.data.arrays import row_blocks
from cmrbench.data.importing.roles import Role

if TYPE_CHECKING:
    from cmrbench.core.dataset import Dataset
    from cmrbench.core.items import Items


@dataclass(frozen=True, eq=False)
class Column:
    """One array, read in blocks of rows.

    Attributes
    ----------
    name : str
        Its role, as `data import` knows it.
    what : str
        For people.
    shape : tuple of int
    dtype : dtype
        Of strings, as wide as the longest.
    blocks : callable
        Gives the rows from the first block on.
    """

    name: str
    what: str
    shape: tuple[int, ...]
    dtype: np.dtype
    blocks: Callable[[], Iterator[np.ndarray]]

    @property
    def is_text(self) -> bool:
        """Whether it holds strings."""
        return self.dtype.kind == "U"

    def whole(self) -> np.ndarray:
        """All rows in memory."""
        return np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *self.blocks()])


@dataclass(frozen=True, eq=False)
class Layout:
    """All arrays of a dataset.

    Attributes
    ----------
    columns : tuple of Column
    tables : mapping of str to tuple of Column
        The same as tables of equal rows: ``data``, or one a modality.
    extra : tuple of Column
        What has no rows of items: the names of the classes.
    """

    columns: tuple[Column, ...]
    tables: dict[str, tuple[Column, ...]]
    extra: tuple[Column, ...]

    @property
    def all(self) -> tuple[Column, ...]:
        """Every array that is written: columns, then extra."""
        return (*self.columns, *self.extra)


def layout(dataset: Dataset) -> Layout:
    """The arrays of a dataset; of memory-mapped features nothing is read before they are written."""
    splits = [s for s in SPLITS if s in dataset.sizes]
    source = _Source(dataset, {s: dataset.part(s) for s in splits})
    extra = [_texts("class_names", "name of each label column", [list(dataset.classes)])] if dataset.classes else []
    if all(_alike(list(part.values())) for part in source.parts.values()):
        columns = _rows(source, splits)
        return Layout(tuple(columns), {"data": tuple(columns)}, tuple(extra))
    columns = [c for m in dataset.modalities for s in splits for c in _own(source, m, [s], s)]
    tables = {m: (*_own(source, m, splits), _splits(source, m, splits)) for m in dataset.modalities}
    return Layout(tuple(columns), tables, tuple(extra))


@dataclass(frozen=True, eq=False)
class _Source:
    """A dataset with its splits opened."""

    dataset: Dataset
    parts: Mapping[str, Mapping[str, Items]]

    def of(self, modality: str, splits: Sequence[str]) -> list[Items]:
        return [self.parts[s][modality] for s in splits]


def _alike(items: Sequence[Items]) -> bool:
    """Whether row i of every modality is one instance, with the same labels."""
    first, *others = items
    return len(set(first.instances.tolist())) == len(first) and all(
        np.array_equal(first.instances, other.instances)
        and (first.labels is None) == (other.labels is None)
        and (first.labels is None or other.labels is None or np.array_equal(first.labels, other.labels))
        for other in others
    )


def _rows(source: _Source, splits: Sequence[str]) -> list[Column]:
    modalities = source.dataset.modalities
    first = source.of(modalities[0], splits)
    columns = [c for m in modalities for c in _features(source, Role("features", m), splits)]
    columns += _labels(Role("label"), first)
    instances = [i.instances.tolist() for i in first]
    columns += [_splits(source, modalities[0], splits), _ids(Role("ids"), instances)]
    for m in modalities:
        ids = [i.ids.tolist() for i in source.of(m, splits)]
        if ids != instances:
            columns.append(_ids(Role("ids", m), ids))
        columns += _told(source, Role("texts", m), splits)
    return columns


def _own(source: _Source, modality: str, splits: Sequence[str], part: str = "") -> list[Column]:
    """All arrays of one modality: of all splits, or of one."""
    items = source.of(modality, splits)
    columns = _features(source, Role("features", modality, part), splits)
    columns += _labels(Role("label", modality, part), items)
    columns.append(_ids(Role("ids", modality, part), [i.ids.tolist() for i in items]))
    columns.append(_ids(Role("instances", modality, part), [i.instances.tolist() for i in items]))
    return columns + _told(source, Role("texts", modality, part), splits)


def _features(source: _Source, role: Role, splits: Sequence[str]) -> list[Column]:
    """The features of a modality; nothing for one that has none yet."""
    kind = source.dataset.kind(role.modality)
    if kind == "raw":
        return []
    items = source.of(role.modality, splits)

    def blocks() -> Iterator[np.ndarray]:
        for own in items:
            yield from row_blocks(own.features)

    axes = {"vector": "one vector an item", "set": "a set of vectors an item", "tokens": "tokens; 0 is padding"}
    first = items[0].features
    shape = (sum(map(len, items)), *first.shape[1:])
    return [Column(str(role), f"{role.modality} features, {axes[kind]}", shape, first.dtype, blocks)]


def _labels(role: Role, items: Sequence[Items]) -> list[Column]:
    labels = [i.labels for i in items if i.labels is not None]
    if not labels:
        return []
    values = np.concatenate(labels)
    return [Column(str(role), "multi-hot labels", values.shape, values.dtype, lambda: iter([values]))]


def _splits(source: _Source, modality: str, splits: Sequence[str]) -> Column:
    return _texts("split", "split of each row", [[s] * len(source.parts[s][modality]) for s in splits])


def _ids(role: Role, parts: list[list[str]]) -> Column:
    what = {
        ("ids", True): f"ids of the {role.modality} items",
        ("ids", False): "ids of the instances",
        ("instances", True): f"the instance of each {role.modality} item",
    }
    return _texts(str(role), what[role.kind, bool(role.modality)], parts)


def _told(source: _Source, role: Role, splits: Sequence[str]) -> list[Column]:
    told = [source.dataset.texts(s, role.modality) for s in splits]
    if any(t is None for t in told):
        return []
    return [_texts(str(role), f"one text an item of {role.modality}", [t for t in told if t is not None])]


def _texts(name: str, what: str, parts: list[list[str]]) -> Column:
    values = np.array([v for part in parts for v in part], dtype=np.str_)
    return Column(name, what, values.shape, values.dtype, lambda: iter([values]))
