"""Reader of the embedded datasets: features and labels in features_int8.npz, ids, texts and tags in pairs.parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.arrays import as_labels, open_npz
from cmrbench.data.content import Content

if TYPE_CHECKING:
    from cmrbench.data.catalogue import Entry, FeatureSet, ModalityFeatures

VERSION = 1
FEATURES, PAIRS = "features_int8.npz", "pairs.parquet"


def read(entry: Entry, feature_set: FeatureSet, folder: Path, variant: str) -> Content:
    """Read one feature set. Items that a modality cannot describe are left out of all modalities, with a note."""
    file = str(folder / FEATURES)
    with open_npz(folder / FEATURES) as stored:
        arrays = {name: stored[name] for name in stored.files}
    specs = feature_set.modalities
    texts = {spec.read.column for spec in specs.values() if spec.read and spec.read.kind == "char_ngrams"}
    columns = _columns(folder / PAIRS, {"id", *texts, *(["tags"] if entry.tags is not None else [])})
    ids = np.array(columns["id"])
    if len(ids) != len(arrays["label"]):
        raise DataError(f"{folder / PAIRS} has {len(ids)} rows, but {file} has {len(arrays['label'])}")

    notes = []
    if entry.tags is None:
        classes = tuple(str(c) for c in arrays["class_names"])
        labels = as_labels(arrays["label"], file, len(classes))
    else:
        classes, labels = tag_labels(columns["tags"], entry.tags)
    kept = np.asarray(labels.any(1))
    if not kept.all():
        notes.append(f"{int((~kept).sum())} items without a tag left out")
    for column in sorted(texts):
        kept = np.logical_and(kept, [bool(text.strip()) for text in columns[column]])
    if texts:
        notes.append(f"{int((~kept).sum())} items without a text in every language left out")

    rows = np.flatnonzero(kept)
    items = {}
    for modality, spec in specs.items():
        features = _features(spec, arrays, columns, file, modality)[rows]
        items[modality] = Items(modality, features, ids[rows], ids[rows], labels[rows])
    return Content(file, items, dict.fromkeys(items, arrays["split"][rows]), classes, tuple(notes))


def _columns(path: Path, names: set[str]) -> dict[str, list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path, columns=sorted(names))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}") from None
    missing = names - set(table.column_names)
    if missing:
        raise DataError(f"{path} has no column {', '.join(sorted(missing))}")
    return {name: ["" if v is None else str(v) for v in table[name].to_pylist()] for name in names}


def _features(
    spec: ModalityFeatures,
    arrays: dict[str, np.ndarray],
    columns: dict[str, list[str]],
    file: str,
    modality: str,
) -> np.ndarray:
    if spec.read is None:
        raise DataError(f"the catalogue does not say how {modality} is read from {file}")
    try:
        if spec.read.kind == "int8":
            stored, scale = arrays[spec.read.column], arrays[f"{spec.read.column}_scale"]
            return stored.astype(np.float32) * scale.astype(np.float32)
        if spec.read.kind == "bag_of_words":
            return bag_of_words(arrays["bow_indptr"], arrays["bow_indices"], len(arrays["bow_vocab"]))
    except KeyError as error:
        raise DataError(f"{file} has no array {error.args[0]}") from None
    return char_ngrams(columns[spec.read.column], spec.dims or 512)


def bag_of_words(indptr: np.ndarray, indices: np.ndarray, n_words: int) -> np.ndarray:
    """Binary bag of words (n, n_words + 1) from CSR parts.

    The last column is 1 for items in which no word of the vocabulary occurs and 0 for all others: such an item says
    exactly that, instead of being a zero vector that has no direction.
    """
    bounds = indptr.astype(np.int64)
    counts = np.diff(bounds)
    bag = np.zeros((len(counts), n_words + 1), np.float32)
    bag[np.repeat(np.arange(len(counts)), counts), indices.astype(np.int64)] = 1
    bag[counts == 0, n_words] = 1
    return bag


def char_ngrams(texts: list[str], width: int) -> np.ndarray:
    """Character 2- to 4-grams inside words, hashed into `width` signed columns, unit length; nothing is fitted."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        analyzer="char_wb", ngram_range=(2, 4), n_features=width, norm="l2", dtype=np.float32
    )
    return np.asarray(vectorizer.transform(texts).toarray(), np.float32)


def tag_labels(tags: list[str], left_out: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """Multi-hot labels from ``"animal|bird"`` strings; classes are the tags in alphabetical order."""
    sets = [set(t.split("|")) - {""} for t in tags]
    classes = sorted(set().union(*sets) - set(left_out))
    column = {c: k for k, c in enumerate(classes)}
    labels = np.zeros((len(sets), len(classes)), np.uint8)
    for row, present in enumerate(sets):
        labels[row, [column[t] for t in present if t in column]] = 1
    return tuple(classes), labels
