"""Content: what a builder makes of source files, before it is validated and cut into splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cmrbench.core.dataset import SPLITS
from cmrbench.core.hashing import digest_arrays, digest_lines
from cmrbench.core.items import Items
from cmrbench.data.arrays import Rows

ARRAYS = ("features", "labels", "ids", "instances")


@dataclass(frozen=True, eq=False)
class Content:
    """All items of a dataset in one feature set, in the order of the source file.

    Attributes
    ----------
    file : str
        Source file, for messages. Row numbers there count the items below from 0: they are the file's own rows
        except where a reader leaves items out, and the item's id stands beside them.
    items : mapping of modality to Items
        Features may be memory-mapped from a scratch folder; features of kind ``raw`` have no columns.
    splits : mapping of modality to ndarray of str, shape (n,), or None
        The source's own split of every item, ``""`` where it has none; None: the source knows no split.
    classes : tuple of str
        Names of the label columns; empty where there are no labels.
    notes : tuple of str
        What the builder did to the values, for people (``"float64 rounded to float32"``).
    texts : mapping of modality to sequence of str
        One text an item (a caption, tags), for people, audits and extractors.
    pictures : mapping of modality to sequence of str
        Where an item's raw file lies: a name that the source's `SourceTree` reads.
    """

    file: str
    items: Mapping[str, Items]
    splits: Mapping[str, np.ndarray] | None
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    pictures: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Cut:
    """A content cut into splits: which rows of which modality are in which split.

    Attributes
    ----------
    content : Content
    rows : mapping of split to mapping of modality to ndarray of int
        Ascending rows, in the order of the source; splits that nothing is in are left out.
    """

    content: Content
    rows: Mapping[str, Mapping[str, np.ndarray]]

    @classmethod
    def by(cls, content: Content, assigned: Mapping[str, np.ndarray]) -> Cut:
        """Cut by the split of every item; items whose split is ``""`` are left out."""
        rows = {}
        for split in SPLITS:
            here = {m: np.flatnonzero(assigned[m] == split) for m in content.items}
            if any(len(r) for r in here.values()):
                rows[split] = here
        return cls(content, rows)

    def described(self) -> dict[str, dict[str, Items]]:
        """Ids, instances and labels by split and modality, with features of no columns: small, whatever the data."""
        described: dict[str, dict[str, Items]] = {}
        for split, part in self.rows.items():
            described[split] = {}
            for modality, rows in part.items():
                items = self.content.items[modality]
                bare = Items(modality, np.empty((len(items), 0), np.float32), items.ids, items.instances, items.labels)
                described[split][modality] = bare.take(rows)
        return described

    def fingerprint(self) -> str:
        """SHA-256 over features, labels, ids and instances of all splits, read in blocks."""
        return digest_arrays((f"{split}/{m}/{name}", rows) for split, m, name, rows in self.arrays())

    def arrays(self) -> Iterator[tuple[str, str, str, Any]]:
        """Split, modality, array name and a `Rows` of it, for everything that is there."""
        for split, part in self.rows.items():
            for modality, rows in part.items():
                items = self.content.items[modality]
                for name in ARRAYS:
                    array = getattr(items, name)
                    if array is not None:
                        yield split, modality, name, Rows(array, rows)


def split_digest(part: Mapping[str, Items]) -> str | dict[str, str]:
    """SHA-256 of the item ids of a split in order: one where all modalities have the same ids, else one each."""
    digests = {m: digest_lines(items.ids.tolist()) for m, items in part.items()}
    first = next(iter(digests.values()))
    return first if all(d == first for d in digests.values()) else digests


def split_sizes(part: Mapping[str, Items]) -> int | dict[str, int]:
    """Number of items of a split: one where all modalities have as many, else one each."""
    sizes = {m: len(items) for m, items in part.items()}
    first = next(iter(sizes.values()))
    return first if all(n == first for n in sizes.values()) else sizes


def fingerprint(parts: Mapping[str, Mapping[str, Items]]) -> str:
    """SHA-256 over features, labels, ids and instances of all splits."""
    return digest_arrays(
        (f"{split}/{m}/{name}", array)
        for split, part in parts.items()
        for m, items in part.items()
        for name in ARRAYS
        if (array := getattr(items, name)) is not None
    )
