"""Which rows of a mapped file are left out: unlabelled and empty ones where that is asked, and repeated ones."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.arrays import row_blocks
from cmrbench.data.builders._mapped_rows import Parts
from cmrbench.data.files import Stored
from cmrbench.data.importing.roles import Role


def leave_out_unlabelled(file: str, parts: Parts, drop: bool) -> list[str]:
    """Refuse items without a label, or leave them out where that is asked; what was done.

    Raises
    ------
    DataError
        With the array and its row; or if nothing is left.
    """
    notes = []
    dropped: Counter[str] = Counter()
    for (modality, _), rows in parts.items():
        assert rows.hot is not None
        bare = ~rows.hot.any(1)
        if bare.any() and not drop:
            row, more = int(np.argmax(bare)), int(bare.sum()) - 1
            others = f", nor have {more:,} more" if more else ""
            raise DataError(
                f"{file}: {modality}: row {row} of {rows.stored.name} has no label{others}; "
                "leave such items out with --drop-unlabelled"
            )
        rows.kept &= ~bare
        dropped[modality] += int(bare.sum())
        if not rows.kept.any():
            raise DataError(f"{file}: {modality}: no row of {rows.stored.name} has a label")
    for modality, count in dropped.items():
        if count:
            notes.append(f"{modality}: {count:,} items without a label left out")
    return notes


def leave_out_empty(file: str, parts: Parts, captions: Collection[str]) -> list[str]:
    """Leave out items whose features are all zero, and the partners that are lost without them; what was done.

    Parameters
    ----------
    file : str
    parts : Parts
    captions : collection of str
        Modalities of which an instance has several items: of these, the empty item goes alone.

    Raises
    ------
    DataError
        If nothing is left.
    """
    gone: dict[str, set[str]] = {}
    counts: Counter[str] = Counter()
    for (modality, part), rows in parts.items():
        for start, block in rows.stored.blocks():
            empty = np.flatnonzero(~block.any(1) & rows.kept[start : start + len(block)]) + start
            counts[modality] += len(empty)
            rows.kept[empty] = False
            if modality not in captions:
                gone.setdefault(part, set()).update(rows.instances[empty].tolist())
    for (_, part), rows in parts.items():
        rows.kept &= ~np.isin(rows.instances, list(gone.get(part, ())))
        if not rows.kept.any():
            raise DataError(f"{file}: no row of {rows.stored.name} is left that is not all zero and has its partner")
    return [
        f"{modality}: {count:,} items that are all zero left out, with their partners"
        for modality, count in counts.items()
        if count
    ]


def take_training_items_out_of_the_gallery(
    arrays: Mapping[Role, Stored], items: Mapping[str, Items], splits: dict[str, np.ndarray]
) -> list[str]:
    """Take training items out of the gallery where a file repeats all of them there, as hashing files do (``I_db``).

    Splits are disjoint here: a protocol whose gallery holds the training items names the split ``train``. Such files
    have no ids, so that items are compared by the values of all their features.
    """
    first = next(iter(items.values()))
    aligned = all(np.array_equal(i.instances, first.instances) for i in items.values())
    split = next(iter(splits.values()))
    if any(r.kind == "ids" for r in arrays) or not aligned or not {"train", "gallery"} <= set(split.tolist()):
        return []
    digests = _digests(items)
    train = Counter(d for d, s in zip(digests, split.tolist(), strict=True) if s == "train")
    n_train = train.total()
    again = []
    for row in np.flatnonzero(split == "gallery").tolist():
        if train[digests[row]] > 0:
            train[digests[row]] -= 1
            again.append(row)
    if not again:
        return []
    n_gallery = int((split == "gallery").sum())
    if len(again) < n_train:
        return [f"{len(again):,} of the {n_gallery:,} gallery items have the values of training items"]
    for own in splits.values():
        own[again] = ""
    return [
        f"all {n_train:,} training items stand among the {n_gallery:,} of the gallery again: they are kept in train "
        "alone, and protocols whose gallery holds the training items name both splits"
    ]


def _digests(items: Mapping[str, Items]) -> list[bytes]:
    """A digest of every row over all modalities."""
    digests = [b""] * len(next(iter(items.values())))
    for own in items.values():
        start = 0
        for block in row_blocks(own.features):
            for k, row in enumerate(np.ascontiguousarray(block), start):
                digests[k] = hashlib.blake2b(digests[k] + row.tobytes(), digest_size=16).digest()
            start += len(block)
    return digests
