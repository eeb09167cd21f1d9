"""Content: what a reader makes of source files, before it is validated and cut into splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cmrbench.core.dataset import SPLITS
from cmrbench.core.hashing import digest_arrays, digest_lines
from cmrbench.core.items import Items

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
    splits : mapping of modality to ndarray of str, shape (n,)
        The split of every item.
    classes : tuple of str
        Names of the label columns; empty where there are no labels.
    notes : tuple of str
        What the reader did to the values, for people (``"float64 rounded to float32"``).
    """

    file: str
    items: Mapping[str, Items]
    splits: Mapping[str, np.ndarray]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def parts(self) -> dict[str, dict[str, Items]]:
        """The items by split and modality, in the order of the source; splits that nothing is in are left out."""
        parts = {}
        for split in SPLITS:
            rows = {m: np.flatnonzero(self.splits[m] == split) for m in self.items}
            if any(len(r) for r in rows.values()):
                parts[split] = {m: self.items[m].take(r) for m, r in rows.items()}
        return parts


def split_digest(part: Mapping[str, Items]) -> str | dict[str, str]:
    """SHA-256 of the item ids of a split in order: one where all modalities have the same ids, else one each."""
    digests = {m: digest_lines(items.ids.tolist()) for m, items in part.items()}
    first = next(iter(digests.values()))
    return first if all(d == first for d in digests.values()) else digests


def fingerprint(parts: Mapping[str, Mapping[str, Items]]) -> str:
    """SHA-256 over features, labels, ids and instances of all splits."""
    return digest_arrays(
        (f"{split}/{m}/{name}", array)
        for split, part in parts.items()
        for m, items in part.items()
        for name in ARRAYS
        if (array := getattr(items, name)) is not None
    )
