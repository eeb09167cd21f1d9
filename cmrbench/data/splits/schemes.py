"""Split schemes carried out: which split every item is in, the same on every machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cmrbench.core.dataset import SPLITS
from cmrbench.core.errors import DataError
from cmrbench.data.splits.units import Units
from cmrbench.data.splits.validation import by_hash, validation_rows

if TYPE_CHECKING:
    from cmrbench.core.items import Items
    from cmrbench.data.splits.models import DrawScheme, OrderScheme, Scheme, SourceScheme

Lists = Mapping[str, Mapping[str, Sequence[str]]]
"""Frozen ids by split and modality; the modality ``""`` holds instance ids."""

Pick = Callable[[str, Any, np.ndarray, np.ndarray], np.ndarray]
"""``pick(split, size, pool, whole)``: so many units of `pool`; shares are of `whole`."""


def assign(
    scheme: Scheme,
    items: Mapping[str, Items],
    source: Mapping[str, np.ndarray] | None = None,
    lists: Lists | None = None,
) -> dict[str, np.ndarray]:
    """The split of every item.

    What is drawn are instances: all items of an instance, of whatever modality, go together. Instances that are in
    the same modalities form a group, and each group gives its share, so that shares hold in every modality also
    where items have no partners. A count is spread over the groups by their sizes.

    Parameters
    ----------
    scheme : Scheme
    items : mapping of modality to Items
        In the order of the source file.
    source : mapping of modality to ndarray of str, optional
        The source's own split of every item, ``""`` for none; the scheme ``source`` needs it.
    lists : Lists, optional
        The scheme ``ids`` needs them; see `cmrbench.data.splits.frozen.read_lists`.

    Returns
    -------
    dict of modality to ndarray of str, shape (n,)
        ``train``, ``val``, ``query``, ``gallery``, or ``""`` for items that are left out.

    Raises
    ------
    DataError
        If the data is too small for the scheme or lacks what it needs, with the numbers.
    """
    if scheme.kind == "ids":
        if lists is None:
            raise DataError("split scheme ids: its lists of ids are missing")
        return _listed(items, lists)
    units = Units.of(items)
    if scheme.kind == "source":
        if source is None:
            raise DataError("split scheme source: the source gives no split; use the scheme draw, order or ids")
        splits = _own(scheme, units, source)
    elif scheme.kind == "draw":
        splits = _drawn(scheme, units)
    else:
        splits = _ordered(scheme, units)
    return {m: splits[rows] for m, rows in units.rows.items()}


def _own(scheme: SourceScheme, units: Units, source: Mapping[str, np.ndarray]) -> np.ndarray:
    splits = units.agreed(source, "split")
    unknown = np.flatnonzero(~np.isin(splits, [*SPLITS, ""]))
    if len(unknown):
        value, name = str(splits[unknown[0]]), units.names[unknown[0]]
        raise DataError(f"the source puts instance {name} into the split {value!r}; known: {', '.join(SPLITS)}")
    if scheme.val is None or (splits == "val").any():
        return splits
    pool = np.flatnonzero(splits == scheme.val_from)
    if not len(pool):
        raise DataError(f"split scheme source: val is cut from {scheme.val_from}, but the source has no such items")
    if isinstance(scheme.val, float) and scheme.val > 0.5:
        raise DataError(f"split scheme source: val takes the share {scheme.val} of {scheme.val_from}; at most 0.5")
    if scheme.val_rule == "hash" and isinstance(scheme.val, float):
        chosen = np.concatenate([g[_validation(units, g, scheme.val)] for g in units.groups_of(pool)])
    elif scheme.val_rule == "hash":
        chosen = _take(units, pool[by_hash(units.names[pool])], scheme.val, pool, units.labels is not None)
    else:
        chosen = _take(units, pool if scheme.val_rule == "first" else pool[::-1], scheme.val, pool, False)
    splits[_some(chosen, scheme.val, "source: val", pool)] = "val"
    return splits


def _validation(units: Units, group: np.ndarray, share: float) -> np.ndarray:
    return validation_rows(units.names[group], None if units.labels is None else units.labels[group], share)


def _drawn(scheme: DrawScheme, units: Units) -> np.ndarray:
    if (scheme.per_class or scheme.each) and units.labels is None:
        raise DataError("split scheme draw: sizes by class need labels, but the items have none; draw without them")

    def pick(split: str, size: Any, pool: np.ndarray, whole: np.ndarray) -> np.ndarray:
        if scheme.each:
            fewer = split == "train" and scheme.top_up is not None
            return _take_each(units, pool, size, scheme, fewer, f"draw: {split}")
        return _take(units, pool, size, whole, scheme.per_class, f"draw: {split}")

    return _fill(scheme, by_hash(units.names, f"{scheme.seed}:"), pick)


def _ordered(scheme: OrderScheme, units: Units) -> np.ndarray:
    def pick(split: str, end: Any, pool: np.ndarray, whole: np.ndarray) -> np.ndarray:
        side, _, text = end.partition(" ")
        size = float(text) if "." in text else int(text)
        return _take(units, pool if side == "first" else pool[::-1], size, whole, False, f"order: {split}")

    return _fill(scheme, np.arange(len(units.names)), pick)


def _fill(scheme: DrawScheme | OrderScheme, order: np.ndarray, pick: Pick) -> np.ndarray:
    """Take the splits one after another from what the ones before have left."""
    splits = np.zeros(len(order), "<U7")

    def unused(split: str = "") -> np.ndarray:
        of_split: np.ndarray = order[splits[order] == split]
        return of_split

    for split in ("query", "train", "val", "gallery"):
        size = getattr(scheme, split)
        if size in (None, "rest") or (split == "val" and scheme.val_from == "train"):
            continue
        splits[_some(pick(split, size, unused(), order), size, f"{scheme.kind}: {split}", order)] = split
        if split == "train" and scheme.kind == "draw" and scheme.top_up is not None:
            splits[_missing(scheme.top_up, int((splits == "train").sum()), unused())] = "train"
    for split in ("train", "gallery"):
        if getattr(scheme, split) == "rest":
            splits[_some(unused(), "rest", f"{scheme.kind}: {split}", order)] = split
    if scheme.val is not None and scheme.val_from == "train":
        train = unused("train")
        chosen = _some(pick("val", scheme.val, train, train), scheme.val, f"{scheme.kind}: val", train)
        if len(chosen) == len(train):
            raise DataError(f"split scheme {scheme.kind}: val takes all {len(train)} training instances; take fewer")
        splits[chosen] = "val"
    return splits


def _some(chosen: np.ndarray, size: Any, what: str, whole: np.ndarray) -> np.ndarray:
    if not len(chosen):
        raise DataError(f"split scheme {what} is {size} of {len(whole):,} instances, which leaves it empty")
    return chosen


def _missing(total: int, there: int, unused: np.ndarray) -> np.ndarray:
    if there > total:
        raise DataError(f"split scheme draw: top_up is {total:,}, but the classes already give {there:,} to train")
    if total - there > len(unused):
        raise DataError(
            f"split scheme draw: top_up asks for {total - there:,} more instances, but {len(unused):,} are left"
        )
    return unused[: total - there]


def spread(total: int, sizes: np.ndarray) -> np.ndarray:
    """`total` dealt out in proportion to `sizes` by largest remainders; equal remainders: the earlier one first."""
    exact = total * sizes.astype(object)  # Python's integers: no rounding, no overflow
    whole = int(sizes.sum())
    quota = np.array([int(x) // whole for x in exact], np.int64)
    remainders = [-(int(x) % whole) for x in exact]
    quota[np.argsort(remainders, kind="stable")[: total - int(quota.sum())]] += 1
    return quota


def _take(
    units: Units, pool: np.ndarray, size: int | float, whole: np.ndarray, per_class: bool, what: str = "source: val"
) -> np.ndarray:
    """The first units of `pool`, so many or that share of `whole`, each group and class in proportion."""
    groups = units.groups_of(pool)
    if isinstance(size, float):
        kinds = [units.group[g[0]] for g in groups]
        quotas = [int(size * int((units.group[whole] == kind).sum()) + 0.5) for kind in kinds]
    else:
        if size > len(pool):
            raise DataError(
                f"split scheme {what} asks for {size:,} instances, but {len(pool):,} of {len(whole):,} are left"
            )
        quotas = spread(size, np.array([len(g) for g in groups])).tolist()
    chosen = [np.empty(0, np.int64)]
    for group, quota in zip(groups, quotas, strict=True):
        if quota > len(group):
            raise DataError(f"split scheme {what} asks for {quota:,} instances, but {len(group):,} are left")
        parts = [group]
        if per_class:
            classes = units.classes_of(group)
            parts = [group[classes == k] for k in np.unique(classes)]
        shares = spread(quota, np.array([len(p) for p in parts]))
        chosen += [p[:n] for p, n in zip(parts, shares, strict=True)]
    return np.concatenate(chosen)


def _take_each(units: Units, pool: np.ndarray, count: int, scheme: DrawScheme, fewer: bool, what: str) -> np.ndarray:
    """`count` units of every class and group, class by class; `fewer`: a class may have less."""
    assert units.labels is not None
    chosen = [np.empty(0, np.int64)]
    for group in units.groups_of(pool):
        free = np.ones(len(group), bool)
        first = units.classes_of(group)
        for k in range(units.labels.shape[1]):
            of_class = first == k if scheme.each_by == "first" else units.labels[group, k] == 1
            places = np.flatnonzero(of_class & free)
            wanted = count * scheme.first_class if k == 0 else count
            if len(places) < wanted and not fewer:
                raise DataError(
                    f"split scheme {what} asks for {wanted:,} instances of each class, "
                    f"but class number {k} has {len(places):,} left"
                )
            free[places[:wanted]] = False
        chosen.append(group[~free])
    return np.concatenate(chosen)


def _listed(items: Mapping[str, Items], lists: Lists) -> dict[str, np.ndarray]:
    """Frozen lists: by instance where the modality is ``""``, else by item."""
    found = {m: np.zeros(len(i), "<U7") for m, i in items.items()}
    for split, by_modality in lists.items():
        if split not in SPLITS:
            raise DataError(f"split scheme ids: there is a list for {split!r}; known: {', '.join(SPLITS)}")
        for modality, ids in by_modality.items():
            if modality and modality not in items:
                raise DataError(f"split scheme ids: there is a list for {modality!r}; the data has {', '.join(items)}")
            what = f"{modality or 'instances'} in {split}"
            twice = [name for name, count in Counter(ids).items() if count > 1]
            if twice:
                raise DataError(f"split scheme ids: the list of {what} has {twice[0]} twice")
            absent = set(ids)
            for m in [modality] if modality else list(items):
                absent -= _mark(found[m], items[m], items[m].ids if modality else items[m].instances, ids, split)
            if absent:
                raise DataError(
                    f"split scheme ids: {len(absent):,} of the {len(ids):,} ids of {what} are not in the data, "
                    f"{min(absent)} for one"
                )
    return found


def _mark(splits: np.ndarray, items: Items, names: np.ndarray, ids: Sequence[str], split: str) -> set[str]:
    """Put the items with these names into a split; returns the names that were found."""
    rows = np.flatnonzero(np.isin(names, np.asarray(ids, dtype=np.str_)))
    taken = rows[splits[rows] != ""]
    if len(taken):
        raise DataError(
            f"split scheme ids: {items.modality} {items.ids[taken[0]]} is listed in both {splits[taken[0]]} and {split}"
        )
    splits[rows] = split
    return set(names[rows].tolist())
