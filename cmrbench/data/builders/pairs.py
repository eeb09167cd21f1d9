"""Builder of the embedded datasets: features and labels in features_int8.npz, ids, texts and tags in pairs.parquet."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.arrays import as_labels, read_npz
from cmrbench.data.builders.base import BuilderOptions, BuildRequest
from cmrbench.data.content import Content
from cmrbench.data.pictures import part_of

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.catalogue import ModalityFeatures

VERSION = 1
FEATURES, PAIRS = "features_int8.npz", "pairs.parquet"
PICTURES, OFFSETS = "thumbs64_q50.webpcat", "thumbs64_q50.offsets.npy"
_BAG = ("bow_indptr", "bow_indices", "bow_vocab")


class Options(BuilderOptions):
    """What to take for labels.

    Attributes
    ----------
    tags : list of str or None
        The column `tags` gives the labels, with these tags left out, and items without a tag go; None: the classes.
    """

    tags: list[str] | None = None


def build(request: BuildRequest) -> Content:
    """Read one feature set. Items that a modality cannot describe are left out of all modalities, with a note."""
    tags = Options.model_validate(request.options).tags
    features, pairs = (request.tree.path(name, request.scratch) for name in (FEATURES, PAIRS))
    file = str(features)
    specs = request.feature_set.modalities
    needed = {"label", "split", *(["class_names"] if tags is None else []), *chain(*map(_arrays, specs.values()))}
    arrays = read_npz(features, sorted(needed))
    described = {spec.read.get("column", "") for spec in specs.values() if spec.read.get("kind") == "char_ngrams"}
    text_of = {m: spec.read.get("column", m) for m, spec in specs.items() if m.startswith("text")}
    columns = _columns(pairs, {"id", *described, *text_of.values(), *(["tags"] if tags is not None else [])})
    ids = np.array(columns["id"])
    if len(ids) != len(arrays["label"]):
        raise DataError(f"{pairs} has {len(ids)} rows, but {file} has {len(arrays['label'])}")

    notes = []
    if tags is None:
        classes = tuple(str(c) for c in arrays["class_names"])
        labels = as_labels(arrays["label"], file, len(classes))
    else:
        classes, labels = tag_labels(columns["tags"], tags)
    kept = tagged = np.asarray(labels.any(1))
    if not tagged.all():
        notes.append(f"{int((~tagged).sum())} items without a tag left out")
    for column in sorted(described):
        kept = np.logical_and(kept, [bool(text.strip()) for text in columns[column]])
    if described:
        notes.append(f"{int((tagged & ~kept).sum())} items without a text in every language left out")

    rows = np.flatnonzero(kept)
    items = {}
    for modality, spec in specs.items():
        values = _features(spec, arrays, columns, file, modality)[rows]
        items[modality] = Items(modality, values, ids[rows], ids[rows], labels[rows])
    texts = {m: [columns[c][r] for r in rows] for m, c in text_of.items()}
    pictures = _pictures(request.tree, request.scratch, rows)
    splits = dict.fromkeys(items, arrays["split"][rows])
    return Content(file, items, splits, classes, tuple(notes), texts, {"image": pictures} if pictures else {})


def _pictures(tree: SourceTree, scratch: Path, rows: np.ndarray) -> list[str]:
    if not (tree.has(PICTURES) and tree.has(OFFSETS)):
        return []
    bounds = np.load(tree.path(OFFSETS, scratch), allow_pickle=False).tolist()
    return [part_of(PICTURES, bounds[r], bounds[r + 1]) for r in rows.tolist()]


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


def _arrays(spec: ModalityFeatures) -> tuple[str, ...]:
    """The arrays that a modality is made of."""
    column = spec.read.get("column", "")
    return {"int8": (column, f"{column}_scale"), "bag_of_words": _BAG}.get(spec.read.get("kind", ""), ())


def _features(
    spec: ModalityFeatures,
    arrays: dict[str, np.ndarray],
    columns: dict[str, list[str]],
    file: str,
    modality: str,
) -> np.ndarray:
    kind, column = spec.read.get("kind"), spec.read.get("column", "")
    if kind not in ("int8", "bag_of_words", "char_ngrams"):
        raise DataError(f"the catalogue does not say how {modality} is read from {file}")
    if kind == "int8":
        stored, scale = (arrays[name].astype(np.float32) for name in _arrays(spec))
        return stored * scale
    if kind == "bag_of_words":
        indptr, indices, words = (arrays[name] for name in _BAG)
        return bag_of_words(indptr, indices, len(words))
    return char_ngrams(columns[column], spec.dims or 512)


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
