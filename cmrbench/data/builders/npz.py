"""Builder of anybody's own features: one data.npz with an array a modality, `label`, `split`, and optional ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.arrays import as_features, as_labels, as_strings, read_npz
from cmrbench.data.builders.base import BuilderOptions, BuildRequest
from cmrbench.data.content import Content

if TYPE_CHECKING:
    from cmrbench.data.catalogue import Entry

VERSION = 1


class Options(BuilderOptions):
    """None."""


def build(request: BuildRequest) -> Content:
    """Read the layout that docs/data.md describes: row i of every array is one instance.

    ``<modality>`` (n, d) real numbers; ``label`` (n,) class numbers or (n, C) multi-hot; ``split`` (n,) out of
    train, val, query, gallery; optional ``ids`` (n,) and ``class_names`` (C,).
    """
    entry, feature_set = request.entry, request.feature_set
    source = next(s.file for s in entry.variants()[request.variant] if not s.attachment)
    path = request.tree.path(source, request.scratch)
    file = str(path)
    needed = [*feature_set.modalities, "split", *(["label"] if entry.labels else [])]
    optional = ("ids", "class_names") if entry.labels else ("ids",)
    raw = read_npz(path, needed, optional)

    items, notes = {}, []
    n = len(raw["split"]) if raw["split"].ndim else 0
    splits = as_strings(raw["split"], file, "split", n)
    ids = as_strings(raw["ids"], file, "ids", n) if "ids" in raw else np.array([f"{i:07d}" for i in range(n)])
    labels, classes = _labels(entry, raw, file, n)
    for modality in feature_set.modalities:
        features, note = as_features(raw[modality], file, modality)
        if len(features) != n:
            raise DataError(f"{file}: {modality} has {len(features)} rows, but split has {n}")
        items[modality] = Items(modality, features, ids, ids, labels)
        notes.append(note)
    return Content(file, items, dict.fromkeys(items, splits), classes, tuple(filter(None, notes)))


def _labels(entry: Entry, raw: dict[str, np.ndarray], file: str, n: int) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if entry.labels is None:
        return None, ()
    names = entry.labels.names
    if "class_names" in raw:
        found = as_strings(raw["class_names"], file, "class_names", raw["class_names"].size).tolist()
        if names is not None and found != names:
            raise DataError(f"{file}: class_names differ from those of the catalogue")
        names = found
    if raw["label"].shape[:1] != (n,):
        raise DataError(f"{file}: label has the shape {raw['label'].shape}, but split has {n} rows")
    labels = as_labels(raw["label"], file, len(names) if names is not None else entry.labels.classes)
    return labels, tuple(names if names is not None else (f"class{k}" for k in range(labels.shape[1])))
