"""Which items a method is fitted on: the one rule, shared by runs and by the conformance checks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cmrbench.core.items import Items, concatenate


def training_items(
    train: Mapping[str, Items],
    val: Mapping[str, Items] | None,
    *,
    supervised: bool,
    selects: bool,
    pairs: bool = False,
) -> tuple[dict[str, Items], dict[str, Items] | None]:
    """What `Method.fit` is handed.

    Every method has the same items to learn from. One that selects on validation gets train and val apart; one that
    does not gets val as part of train. Methods without supervision get no labels. Methods that learn from pairs get
    pairs (`paired`).

    Returns
    -------
    train, val
        By modality; val is None unless the method selects on it.
    """
    if val is not None and not selects:
        train = {m: concatenate([items, val[m]]) for m, items in train.items()}
    kept_val = val if selects else None
    if pairs:
        train = paired(train)
        kept_val = kept_val and paired(kept_val)
    kept = {m: items if supervised else items.without_labels() for m, items in train.items()}
    if kept_val is None:
        return kept, None
    return kept, {m: items if supervised else items.without_labels() for m, items in kept_val.items()}


def paired(train: Mapping[str, Items]) -> Mapping[str, Items]:
    """The items such that row i of every modality is of the same instance.

    Where an instance has several items of a modality (five captions a picture), it has as many rows as the modality
    with the most items of it, and the items of the others are repeated in turn: a picture stands beside each of its
    captions. Instances follow the order of the modality with the most items; one that lacks a modality is left out.

    Returns
    -------
    mapping of modality to Items
        The given one where rows correspond already, or where no instance has items of all modalities.
    """
    first, *others = train.values()
    if all(np.array_equal(first.instances, items.instances) for items in others):
        return train
    rows = {m: _rows_by_instance(items) for m, items in train.items()}
    longest = max(train, key=lambda m: len(train[m]))
    shared = [i for i in rows[longest] if all(i in r for r in rows.values())]
    if not shared:
        return train
    times = [max(len(r[i]) for r in rows.values()) for i in shared]
    return {
        m: items.take(
            np.array([rows[m][i][k % len(rows[m][i])] for i, n in zip(shared, times, strict=True) for k in range(n)])
        )
        for m, items in train.items()
    }


def _rows_by_instance(items: Items) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for row, instance in enumerate(items.instances.tolist()):
        rows.setdefault(instance, []).append(row)
    return rows
