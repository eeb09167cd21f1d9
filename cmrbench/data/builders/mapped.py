"""Builder of array files that people bring: every array has a role, see `cmrbench.data.importing.roles`.

MATLAB, HDF5, .npz, .npy and Parquet files in whatever layout; features are copied block by block, so that memory does
not grow with them.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.arrays import scratch_array
from cmrbench.data.builders._mapped_left_out import (
    leave_out_empty,
    leave_out_unlabelled,
    take_training_items_out_of_the_gallery,
)
from cmrbench.data.builders._mapped_rows import Parts, RowReader
from cmrbench.data.builders.base import BuilderOptions, BuildRequest
from cmrbench.data.content import Content
from cmrbench.data.files import SUFFIXES, open_arrays
from cmrbench.data.importing.feature_rows import copy_features
from cmrbench.data.importing.orientation import check_orientation
from cmrbench.data.importing.roles import Role, parse_map, transposed_roles

VERSION = 1


class Options(BuilderOptions):
    """The mapping, and what is to be done to the arrays.

    Attributes
    ----------
    mapping : dict of str to str
        Role to array: ``{"image_train": "I_tr", ...}``.
    transpose : list of str
        Roles whose arrays hold one item a column.
    drop_unlabelled : bool
        Leave out items without a label; otherwise they are refused.
    drop_empty : bool
        Leave out items whose features are all zero, with their partners; otherwise they are refused.
    """

    mapping: dict[str, str]
    transpose: list[str] = Field(default_factory=list)
    drop_unlabelled: bool = False
    drop_empty: bool = False


def build(request: BuildRequest) -> Content:
    """All items of the file, in the order of its parts.

    The split is that of the file's parts or of its array ``split``; files without either have none. Ids are those of
    the file, else the row numbers in each part.
    """
    options = Options.model_validate(request.options)
    names = [n for n in request.tree.names() if n.lower().endswith(SUFFIXES)] or request.tree.names()
    paths = [request.tree.path(n, request.scratch) for n in names]
    modalities = list(request.feature_set.modalities)
    pairs = [f"{role}={array}" for role, array in options.mapping.items()]
    known = tuple(dict.fromkeys([*modalities, *(m for f in request.entry.feature_sets.values() for m in f.modalities)]))
    roles = parse_map(pairs, known)
    turned = transposed_roles(options.transpose, roles, known)
    with open_arrays(paths) as opened:
        arrays = {r: opened[n].transposed() if r in turned else opened[n] for r, n in roles.items()}
        check_orientation(arrays, opened.file)
        labels = request.entry.labels
        if labels is None:
            arrays = {r: s for r, s in arrays.items() if r.kind not in ("label", "class_names")}
        reader = RowReader(arrays, opened.file, modalities)
        labelled = reader.labels(labels.names if labels else None, labels.classes if labels else None)
        parts = reader.rows(labelled)
        if labelled is not None:
            reader.notes += leave_out_unlabelled(opened.file, parts, options.drop_unlabelled)
        if options.drop_empty:
            reader.notes += leave_out_empty(opened.file, parts, reader.indexed)
        items, notes = _features(request, reader, parts)
        reader.notes += notes
        splits = None
        if any(r.part for r in arrays) or Role("split") in arrays:
            splits = {m: _joined(parts, m, "splits") for m in modalities}
            reader.notes += take_training_items_out_of_the_gallery(arrays, items, splits)
        texts = {
            m: _texts(parts, m) for m in modalities if any(p.texts is not None for k, p in parts.items() if k[0] == m)
        }
        return Content(opened.file, items, splits, labelled.classes if labelled else (), tuple(reader.notes), texts)


def _features(request: BuildRequest, reader: RowReader, parts: Parts) -> tuple[dict[str, Items], list[str]]:
    items, notes = {}, []
    for modality in reader.modalities:
        mine = [parts[modality, p] for p in reader.parts]
        columns = {r.stored.name: r.stored.shape[1] for r in mine}
        if len(set(columns.values())) > 1:
            shown = ", ".join(f"{name} has {d:,}" for name, d in columns.items())
            raise DataError(f"{reader.file}: {modality} has different numbers of columns: {shown}")
        n, d = sum(int(r.kept.sum()) for r in mine), mine[0].stored.shape[1]
        target = scratch_array(request.scratch, modality, (n, d), np.float32)
        remedy = "leave such items out with --drop-empty"
        note = copy_features([r.stored for r in mine], [r.kept for r in mine], target, modality, remedy)
        notes += [note] if note else []
        hot = None if mine[0].hot is None else _joined(parts, modality, "hot")
        ids, instances = _joined(parts, modality, "ids"), _joined(parts, modality, "instances")
        items[modality] = Items(modality, target, ids, instances, hot)
    return items, notes


def _joined(parts: Parts, modality: str, what: str) -> np.ndarray:
    """The kept rows of all parts; strings as wide as the longest, so that equal ones have equal fingerprints."""
    values = [getattr(rows, what)[rows.kept] for (m, _), rows in parts.items() if m == modality]
    joined = np.concatenate(values)
    return np.array(joined.tolist(), dtype=np.str_) if joined.dtype.kind == "U" else joined


def _texts(parts: Parts, modality: str) -> list[str]:
    found: list[str] = []
    for (m, _), rows in parts.items():
        if m == modality:
            texts = rows.texts if rows.texts is not None else np.full(len(rows.ids), "")
            found += texts[rows.kept].tolist()
    return found
