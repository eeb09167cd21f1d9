"""The small arrays of a mapped file: ids, instances, labels and splits of every row, before features are touched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.arrays import whole_numbers
from cmrbench.data.files import Stored
from cmrbench.data.importing.label_forms import Labelled, read_labels, stored_vector
from cmrbench.data.importing.roles import SPLIT_OF, Role

_SPLITS = {
    "train": ("train", "training", "tr"),
    "val": ("val", "valid", "validation"),
    "query": ("query", "test", "te"),
    "gallery": ("gallery", "database", "retrieval", "db"),
    "": ("",),
}
_SPLIT = {spelt: split for split, all_spelt in _SPLITS.items() for spelt in all_spelt}


@dataclass(eq=False)
class Rows:
    """The rows of one modality in one part of the file.

    Attributes
    ----------
    stored : Stored
        The features.
    ids, instances : ndarray of str, shape (n,)
    splits : ndarray of str, shape (n,)
    hot : ndarray, uint8, shape (n, C), or None
    kept : ndarray of bool, shape (n,)
    texts : ndarray of str, shape (n,), or None
    """

    stored: Stored
    ids: np.ndarray
    instances: np.ndarray
    splits: np.ndarray
    hot: np.ndarray | None
    kept: np.ndarray = field(init=False)
    texts: np.ndarray | None = None

    def __post_init__(self) -> None:
        self.kept = np.ones(len(self.ids), bool)


Parts = dict[tuple[str, str], Rows]
"""By modality and part."""


class RowReader:
    """Reads ids, labels and splits of the mapped arrays.

    Parameters
    ----------
    arrays : mapping of Role to Stored
    file : str
    modalities : sequence of str
        Those that have features, in order.
    """

    def __init__(self, arrays: Mapping[Role, Stored], file: str, modalities: list[str]) -> None:
        self.arrays = arrays
        self.file = file
        self.modalities = modalities
        self.parts = list(dict.fromkeys(r.part for r in arrays if r.kind == "features"))
        self.indexed = [m for m in modalities if any((r.kind, r.modality) == ("instances", m) for r in arrays)]
        self.named = len(self.indexed) == len(modalities)
        """Whether every item names its instance, so that there is nothing to count rows of."""
        self.notes: list[str] = []

    def labels(self, names: list[str] | None, count: int | None) -> Labelled | None:
        """All label arrays in the same columns; None where there are none."""
        found = {str(r): s for r, s in self.arrays.items() if r.kind == "label"}
        if not found:
            return None
        class_names = self.arrays.get(Role("class_names"))
        if class_names is not None:
            own = [str(n) for n in stored_vector(class_names).tolist()]
            if names is not None and own != names:
                raise DataError(
                    f"{class_names.where}: names of classes differ from those of the catalogue; leave them out with "
                    "--map class_names= if the labels mean the same"
                )
            names = own
        labelled = read_labels(found, names, count)
        self.notes += labelled.notes
        return labelled

    def rows(self, labelled: Labelled | None) -> Parts:
        """The rows by modality and part."""
        paired = not self.named and self._paired(labelled)
        made: Parts = {}
        for part in self.parts:
            base = self._base_ids(part) if paired else None
            for modality in self.modalities:
                made[modality, part] = self._rows(modality, part, base, labelled)
        for modality in self.modalities:
            self._different(modality, [made[modality, p] for p in self.parts])
        return made

    def _paired(self, labelled: Labelled | None) -> bool:
        """Whether row i of all modalities is one instance: equal counts, and equal labels where each has its own."""
        own = [m for m in self.modalities if m not in self.indexed]
        for part in self.parts:
            counts = {m: self.arrays[Role("features", m, part)].shape[0] for m in own}
            if len(set(counts.values())) > 1:
                shown = ", ".join(f"{m} {n:,}" for m, n in counts.items())
                return self._unpaired(f"modalities have different numbers of items ({shown})", part)
            hot = {m: labelled.hot.get(str(Role("label", m, part))) for m in own} if labelled else {}
            given = {m: h for m, h in hot.items() if h is not None}
            first = next(iter(given.values()), None)
            for modality, other in given.items():
                assert first is not None
                if not np.array_equal(first, other):
                    row = int(np.argmax((first != other).any(1)))
                    return self._unpaired(f"{next(iter(given))} and {modality} have other labels in row {row}", part)
        return True

    def _unpaired(self, why: str, part: str) -> bool:
        where = f" of {part}" if part else ""
        if any(r.kind == "ids" and not r.modality for r in self.arrays):
            raise DataError(f"{self.file}: ids are given for pairs, but {why}{where}; take them out with --map ids=")
        if self.indexed:
            raise DataError(f"{self.file}: {why}{where}, so that {self.indexed[0]}_instances says nothing")
        self.notes.append(f"{why}{where}: items are taken to have no partners")
        return False

    def _base_ids(self, part: str) -> np.ndarray:
        """Ids of the instances of a part: those given, else a modality's own, else row numbers."""
        first = next(m for m in self.modalities if m not in self.indexed)
        n = self.arrays[Role("features", first, part)].shape[0]
        own = [m for m in self.modalities if m not in self.indexed]
        for role in (Role("ids", "", part), *(Role("ids", m, part) for m in own)):
            if role in self.arrays:
                return self._strings(role, n)
        return _numbered(part, n)

    def _rows(self, modality: str, part: str, base: np.ndarray | None, labelled: Labelled | None) -> Rows:
        stored = self.arrays[Role("features", modality, part)]
        n = stored.shape[0]
        index = self._index(modality, part, base) if modality in self.indexed and base is not None else None
        if index is not None and len(index) != n:
            role = Role("instances", modality, part)
            raise DataError(f"{self.arrays[role].where} has {len(index):,} entries, but {modality} has {n:,} rows")
        own_ids = Role("ids", modality, part)
        if index is not None and base is not None:
            instances = base[index]
            ids = self._strings(own_ids, n) if own_ids in self.arrays else _counted(instances)
        else:
            plain = base if base is not None else _numbered(part, n)
            ids = self._strings(own_ids, n) if own_ids in self.arrays else plain
            instances = base if base is not None else np.char.add(f"{modality}:", ids)
            if self.named:
                instances = self._strings(Role("instances", modality, part), n)
        splits = np.full(n, SPLIT_OF[part]) if part else self._splits(n, index)
        made = Rows(stored, ids, instances, splits, self._hot(modality, part, index, labelled))
        texts = Role("texts", modality, part)
        if texts in self.arrays:
            made.texts = stored_vector(self.arrays[texts])
            if len(made.texts) != n or not self.arrays[texts].is_text:
                raise DataError(f"{self.arrays[texts].where} does not hold {n:,} strings, one an item of {modality}")
        return made

    def _hot(self, modality: str, part: str, index: np.ndarray | None, labelled: Labelled | None) -> np.ndarray | None:
        if labelled is None:
            return None
        own = labelled.hot.get(str(Role("label", modality, part)))
        if own is not None:
            return own
        shared = labelled.hot[str(Role("label", "", part))]
        return shared if index is None else shared[index]

    def _index(self, modality: str, part: str, base: np.ndarray) -> np.ndarray:
        """The row of its instance for every item."""
        role = Role("instances", modality, part)
        if role not in self.arrays:
            raise DataError(f"{self.file}: there is no array for {role}; give it with --map {role}=ARRAY")
        stored = self.arrays[role]
        values = whole_numbers(stored_vector(stored))
        named = any(r.kind == "ids" and r.modality != modality for r in self.arrays)
        if values.dtype.kind in "iu" and not named:
            return self._row_numbers(stored, values.astype(np.int64), len(base))
        place = {name: k for k, name in enumerate(base.tolist())}
        found = np.array([place.get(str(v), -1) for v in values.tolist()], np.int64)
        if (found < 0).any():
            row = int(np.argmax(found < 0))
            raise DataError(f"{stored.where}: row {row} is {str(values[row])!r}, which is the id of no instance")
        return found

    def _row_numbers(self, stored: Stored, values: np.ndarray, n: int) -> np.ndarray:
        low, high = int(values.min()), int(values.max())
        if low >= 1 and high == n:
            self.notes.append(f"{stored.name} counts rows from 1")
            return values - 1
        if low == 0 and high < n:
            return values
        raise DataError(
            f"{stored.where} holds {low} to {high}, which are not the row numbers of {n:,} instances, from 0 or from 1"
        )

    def _splits(self, n: int, index: np.ndarray | None) -> np.ndarray:
        stored = self.arrays.get(Role("split"))
        if stored is None:
            return np.full(n, "")
        values = stored_vector(stored)
        if not stored.is_text:
            raise DataError(
                f"{stored.where} holds {stored.dtype}; a split is train, val, query or gallery, as a string"
            )
        made = []
        for row, value in enumerate(values.tolist()):
            if value.strip().lower() not in _SPLIT:
                raise DataError(f"{stored.where}: row {row} is {value!r}; expected train, val, query or gallery")
            made.append(_SPLIT[value.strip().lower()])
        splits = np.array(made, dtype=np.str_)
        if index is not None:
            splits = splits[index] if index.max(initial=-1) < len(splits) else splits
        if len(splits) != n:
            raise DataError(f"{stored.where} has {len(splits):,} entries, but there are {n:,} rows of features")
        return splits

    def _strings(self, role: Role, n: int) -> np.ndarray:
        stored = self.arrays[role]
        values = whole_numbers(stored_vector(stored))
        if values.dtype.kind in "iu":
            values = values.astype(np.str_)
        if values.dtype.kind != "U":
            raise DataError(f"{stored.where}: ids are strings or whole numbers, not {stored.dtype}")
        if len(values) != n:
            raise DataError(f"{stored.where} has {len(values):,} entries, but there are {n:,} rows of features")
        for row, value in enumerate(values.tolist()):
            if not value or "\n" in value or "\r" in value:
                raise DataError(f"{stored.where}: row {row} is {value!r}; expected a non-empty single line")
        return values

    def _different(self, modality: str, rows: list[Rows]) -> None:
        """Refuse an id that two items of a modality have."""
        ids = np.concatenate([r.ids for r in rows])
        unique, counts = np.unique(ids, return_counts=True)
        if len(unique) == len(ids):
            return
        twice = str(unique[np.argmax(counts > 1)])
        places = [f"row {i} of {r.stored.name}" for r in rows for i in np.flatnonzero(r.ids == twice).tolist()]
        raise DataError(f"{self.file}: {modality}: {places[0]} and {places[1]} have the same id {twice!r}")


def _numbered(part: str, n: int) -> np.ndarray:
    prefix = f"{part}-" if part else ""
    return np.array([f"{prefix}{i:07d}" for i in range(n)], dtype=np.str_)


def _counted(instances: np.ndarray) -> np.ndarray:
    """``a``, ``a``, ``b`` as ``a-0``, ``a-1``, ``b-0``."""
    seen: dict[str, int] = {}
    made = []
    for name in instances.tolist():
        made.append(f"{name}-{seen.get(name, 0)}")
        seen[name] = seen.get(name, 0) + 1
    return np.array(made, dtype=np.str_)
