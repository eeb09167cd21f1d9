"""From source files to items that are checked and cut into splits; nothing is written but scratch files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.cache import scratch_folder
from cmrbench.data.content import Content, Cut, split_digest, split_sizes

if TYPE_CHECKING:
    from cmrbench.data.resolve import Resolved


@contextmanager
def read_content(resolved: Resolved) -> Iterator[tuple[Cut, dict[str, dict[str, Items]], list[str]]]:
    """Build, validate and cut the data, and check splits, dimensions and classes against the catalogue.

    Big arrays lie in a scratch folder of the cache until the block ends.

    Yields
    ------
    cut : Cut
    parts : dict of split to dict of modality to Items
        Ids, instances and labels.
    notes : list of str
        What was done to the values, for people.
    """
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.builders import build
    from cmrbench.data.builders.base import BuildRequest
    from cmrbench.data.splits.schemes import assign
    from cmrbench.data.validate import validate_cut, validate_items

    located = resolved.located
    with scratch_folder() as scratch, SourceTree(located.folder, sorted(resolved.files_to_read())) as tree:
        content = build(
            BuildRequest(resolved.name, resolved.entry, resolved.feature_set, tree, scratch, located.variant)
        )
        _as_registered(resolved, content)
        validate_items(content, resolved.kinds, resolved.multilabel)
        assigned = assign(resolved.split.scheme, content.items, content.splits, _lists(resolved.lists))
        cut = Cut.by(content, assigned)
        parts, notes = validate_cut(cut, resolved.protocols, resolved.multilabel)
        check_splits(parts, resolved.records, content.file)
        yield cut, parts, [*content.notes, *_left_out(assigned), *notes]


def _lists(folder: Path | None) -> Any:
    if folder is None:
        return None
    from cmrbench.data.splits.frozen import read_lists

    return read_lists(folder)


def _as_registered(resolved: Resolved, content: Content) -> None:
    for modality, spec in resolved.feature_set.modalities.items():
        if modality not in content.items:
            raise DataError(f"{content.file}: there is no {modality}, which the feature set names")
        dim = content.items[modality].dim
        if spec.dims is not None and dim != spec.dims:
            raise DataError(f"{content.file}: {modality} has {dim} columns, the catalogue says {spec.dims}")
    known = resolved.entry.labels.classes if resolved.entry.labels else None
    if known is not None and len(content.classes) != known:
        raise DataError(f"{content.file}: {len(content.classes)} classes, the catalogue says {known}")


def _left_out(assigned: Mapping[str, np.ndarray]) -> list[str]:
    return [
        f"{modality}: {count:,} of {len(splits):,} items are in no split"
        for modality, splits in assigned.items()
        if (count := int((splits == "").sum()))
    ]


def check_splits(parts: Mapping[str, Mapping[str, Items]], records: Mapping[Any, Any] | None, file: str) -> None:
    """Raise a DataError unless the splits are the registered ones, order included."""
    if records is None:
        return
    if parts.keys() != records.keys():
        raise DataError(f"{file}: splits are {', '.join(parts)}, the catalogue says {', '.join(records)}")
    for split, record in records.items():
        if split_digest(parts[split]) != record.sha256 or split_sizes(parts[split]) != record.items:
            raise DataError(f"{file}: the items of split {split} are not the registered ones, in the registered order")
