"""Builder of the Wikipedia dataset: the packed data.npz, raw_features.mat and its two lists, or the makers' archive."""

from __future__ import annotations

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.arrays import as_features, as_labels, as_strings, read_npz
from cmrbench.data.builders._wiki_files import read_files
from cmrbench.data.builders.base import BuilderOptions, BuildRequest
from cmrbench.data.content import Content

VERSION = 1
PACKED = "data.npz"


class Options(BuilderOptions):
    """None."""


def build(request: BuildRequest) -> Content:
    """Read any of the forms; all give the same items. The 693 test items become the split ``query``."""
    if request.variant != "packed":
        return read_files(request, whole=request.variant == "archive")
    path = request.tree.path(PACKED, request.scratch)
    file = str(path)
    raw = read_npz(path, ("image", "text", "label", "split", "image_id", "text_id"))
    labels_of = request.entry.labels
    classes = tuple(labels_of.names or ()) if labels_of else ()
    n = len(raw["label"])
    labels = as_labels(raw["label"], file, len(classes))
    instances = as_strings(raw["text_id"], file, "text_id", n)
    splits = np.where(raw["split"] == "test", "query", raw["split"])
    items, notes = {}, []
    for modality in request.feature_set.modalities:
        features, note = as_features(raw[modality], file, modality)
        if len(features) != n:
            raise DataError(f"{file}: {len(features)} rows of {modality}, but {n} labels")
        ids = as_strings(raw[f"{modality}_id"], file, f"{modality}_id", n)
        items[modality] = Items(modality, features, ids, instances, labels)
        notes.append(note)
    return Content(file, items, dict.fromkeys(items, splits), classes, tuple(filter(None, notes)))
