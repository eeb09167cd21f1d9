"""Draw a split by a scheme, or take somebody's lists, check it as registered ones are checked, and freeze it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import DataError, UsageError
from cmrbench.core.names import OWN_FORM, is_own_name
from cmrbench.data.cache import cache_root, new_folder
from cmrbench.data.content import split_sizes
from cmrbench.data.reading import read_content
from cmrbench.data.resolve import resolve
from cmrbench.data.splits.frozen import FORMAT, RECORD, frozen_splits, read_lists, write_lists
from cmrbench.data.validate import validate_cut

if TYPE_CHECKING:
    from cmrbench.core.items import Items
    from cmrbench.core.names import DatasetName
    from cmrbench.data.catalogue import Catalogue
    from cmrbench.data.resolve import Resolved
    from cmrbench.data.splits.models import Scheme


@dataclass(frozen=True)
class FrozenSplit:
    """A split that has been frozen.

    Attributes
    ----------
    name : str
        How it is named from now on: ``NAME:SPLIT``.
    folder : Path
    sizes : mapping of split to int, or to mapping of modality to int
    protocols : tuple of str
        The dataset's protocols that measure it.
    notes : tuple of str
        What was done to the values or left out, for people.
    """

    name: str
    folder: Path
    sizes: Mapping[str, int | dict[str, int]]
    protocols: tuple[str, ...]
    notes: tuple[str, ...]


def freeze(name: DatasetName, split: str, how: Scheme | Path, catalogue: Catalogue) -> FrozenSplit:
    """Draw or take a split of a dataset and freeze it in the cache; nothing is written unless it is sound.

    Parameters
    ----------
    name : DatasetName
        The dataset, in the feature set whose items are cut.
    split : str
        The new split's name.
    how : Scheme or Path
        How to draw it, or the folder with somebody's lists (`cmrbench.data.splits.frozen`).
    catalogue : Catalogue

    Raises
    ------
    UsageError
        If the name is taken or cannot be used.
    DataError
        If the data is too small, or the split is not sound: a class without training items, a query without anything
        relevant, a split that the protocols need.
    """
    plain = _checked(name, split, catalogue)
    resolved = _with(plain, split, how)
    final = cache_root() / "splits" / resolved.name / split
    with read_content(resolved) as (cut, parts, notes):
        resolved = _measured(resolved, tuple(parts))
        notes = list(dict.fromkeys([*notes, *validate_cut(cut, resolved.protocols, resolved.multilabel)[1]]))
        lists = _instances(parts) if not isinstance(how, Path) else read_lists(how)
        sizes = {s: split_sizes(part) for s, part in parts.items()}
    record: dict[str, Any] = {
        "format": FORMAT,
        "dataset": resolved.name,
        "split": split,
        "feature_set": resolved.feature_set_name,
        "scheme": {"from": how.name} if isinstance(how, Path) else how.model_dump(),
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "sources": dict(resolved.located.hashes),
        "sizes": sizes,
    }
    with _once(final) as temporary:
        record["files"] = write_lists(lists, temporary)
        (temporary / RECORD).write_text(json.dumps(record, indent=1, ensure_ascii=False), encoding="utf-8")
    protocols = tuple(p.name for p in resolved.protocols)
    used = {"train", "val"}.union(*((*p.query, *p.gallery) for p in resolved.protocols))
    notes += [
        f"no protocol of {resolved.name} names the split {s}: its items are not measured"
        for s in sizes
        if s not in used
    ]
    return FrozenSplit(f"{resolved.name}:{split}", final, sizes, protocols, tuple(notes))


@contextmanager
def _once(final: Path) -> Iterator[Path]:
    """A folder that becomes `final`, unless another process has made one of that name meanwhile."""
    with new_folder(final, f"freeze the split {final.name}") as temporary:
        yield temporary
        if final.exists():
            raise UsageError(
                f"the split {final.name!r} has been made by another process meanwhile; choose another name"
            )


def _checked(name: DatasetName, split: str, catalogue: Catalogue) -> Resolved:
    if name.split or name.transforms:
        raise UsageError(f"{name} names a split or a transform; a new split is drawn from NAME or NAME/FEATURE_SET")
    if not is_own_name(split):
        raise UsageError(f"--as {split!r} is no name of a split; expected {OWN_FORM}")
    registered, entry = catalogue.resolve(name.dataset), catalogue.entry(name.dataset)
    if entry.builder == "synthetic":
        raise UsageError(
            f"dataset {registered!r} is made in memory; its splits are its parameters n_train, n_query ..."
        )
    taken = {*entry.splits, *frozen_splits(registered)}
    if split in taken or (cache_root() / "splits" / registered / split).exists():
        raise UsageError(f"dataset {registered!r} has a split {split!r} already; a frozen split is never drawn anew")
    return resolve(name, catalogue)


def _with(resolved: Resolved, split: str, how: Scheme | Path) -> Resolved:
    """The dataset with the new split; no protocol measures it yet."""
    from cmrbench.data.catalogue import NamedSplit
    from cmrbench.data.splits.models import IdsScheme

    return replace(
        resolved,
        split_name=split,
        split=NamedSplit(scheme=IdsScheme(file=split) if isinstance(how, Path) else how),
        is_default_split=False,
        lists=how if isinstance(how, Path) else None,
        brought=(),
    )


def _measured(resolved: Resolved, parts: tuple[str, ...]) -> Resolved:
    """The dataset with the protocols that these parts have the items for."""
    made = replace(resolved, brought=parts)
    if not made.protocols:
        needed = "; ".join(
            f"{p.name}: {', '.join(dict.fromkeys([*p.query, *p.gallery]))}" for p in made.entry.protocols
        )
        raise DataError(f"no protocol of {made.name} measures a split of {', '.join(parts)}; they need {needed}")
    return made


def _instances(parts: Mapping[str, Mapping[str, Items]]) -> dict[str, dict[str, list[str]]]:
    """Instance ids by split, in the order in which the file first has them: whole instances were drawn."""
    return {
        split: {"": list(dict.fromkeys(i for items in part.values() for i in items.instances.tolist()))}
        for split, part in parts.items()
    }
