"""Which items a method is fitted on: the one rule, shared by runs and by the conformance checks."""

from __future__ import annotations

from collections.abc import Mapping

from cmrbench.core.items import Items, concatenate


def training_items(
    train: Mapping[str, Items],
    val: Mapping[str, Items] | None,
    *,
    supervised: bool,
    selects: bool,
) -> tuple[dict[str, Items], dict[str, Items] | None]:
    """What `Method.fit` is handed.

    Every method has the same items to learn from. One that selects on validation gets train and val apart; one that
    does not gets val as part of train. Methods without supervision get no labels.

    Returns
    -------
    train, val
        By modality; val is None unless the method selects on it.
    """
    if val is not None and not selects:
        train = {m: concatenate([items, val[m]]) for m, items in train.items()}
    kept = {m: items if supervised else items.without_labels() for m, items in train.items()}
    if val is None or not selects:
        return kept, None
    return kept, {m: items if supervised else items.without_labels() for m, items in val.items()}
