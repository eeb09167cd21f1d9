"""NUS-WIDE from the official archives: ground truth, tags, image list and low-level features.

Chua et al., CIVR 2009. Files, each plain or in its archive, found by the end of its name:

- ``AllLabels/Labels_<concept>.txt`` (Groundtruth.zip): 81 files, one 0 or 1 a line and picture;
- ``AllTags1k.txt``, ``TagList1k.txt`` (NUS_WID_Tags.zip): 1,000 values of 0 or 1 a line, separated by tabs, and the
  tags' names; ``All_Tags.txt``: a photo's number and all its tags a line;
- ``Imagelist.txt`` (ImageList.zip): ``actor\\0001_2124494179.jpg`` a line, and the official halves
  ``TrainImagelist.txt`` and ``TestImagelist.txt``;
- ``BoW_int.dat`` (NUS_WID_Low_Level_Features.rar, unpacked by hand): 500 counts of visual words a line. The other
  five descriptors of that archive are taken where a feature set asks for their width.

All lists go over the same pictures in the same order. ``TrainTestLabels`` is not read: line 78,372 of its
``Labels_lake_Train.txt`` holds -1130179 (github.com/iTomxy/data).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import model_validator

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.arrays import release, scratch_array
from cmrbench.data.builders._number_rows import real_number_rows, whole_number_rows
from cmrbench.data.builders._nuswide_files import (
    N_TAGS,
    all_tags,
    blocks,
    find_pictures,
    image_list,
    listed_tags,
    official_split,
    read_labels,
    read_tags,
)
from cmrbench.data.builders._raw import undescribed
from cmrbench.data.builders.base import BuilderOptions, BuildRequest
from cmrbench.data.content import Content

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree

VERSION = 1
PICTURES = 269_648

CONCEPTS_81 = (
    "airport", "animal", "beach", "bear", "birds", "boats", "book", "bridge", "buildings", "cars", "castle", "cat",
    "cityscape", "clouds", "computer", "coral", "cow", "dancing", "dog", "earthquake", "elk", "fire", "fish",
    "flags", "flowers", "food", "fox", "frost", "garden", "glacier", "grass", "harbor", "horses", "house", "lake",
    "leaf", "map", "military", "moon", "mountain", "nighttime", "ocean", "person", "plane", "plants", "police",
    "protest", "railroad", "rainbow", "reflection", "road", "rocks", "running", "sand", "sign", "sky", "snow",
    "soccer", "sports", "statue", "street", "sun", "sunset", "surf", "swimmers", "tattoo", "temple", "tiger",
    "tower", "town", "toy", "train", "tree", "valley", "vehicle", "water", "waterfall", "wedding", "whales",
    "window", "zebra",
)  # fmt: skip
"""All concepts, in the order of Concepts81.txt."""

CONCEPTS_21 = (
    "animal", "beach", "buildings", "clouds", "flowers", "grass", "lake", "mountain", "ocean", "person", "plants",
    "reflection", "road", "rocks", "sky", "snow", "sunset", "tree", "vehicle", "water", "window",
)  # fmt: skip
"""The 21 most frequent concepts of AllLabels, in alphabetic order: 195,834 pictures have one of them (DCMH)."""

CONCEPTS_10 = ("animal", "buildings", "clouds", "grass", "lake", "person", "plants", "sky", "water", "window")
"""The 10 most frequent concepts, in alphabetic order: 186,577 pictures have one of them (DJSRH, UCCH)."""

CONCEPTS_10K = ("animal", "clouds", "flowers", "food", "grass", "person", "sky", "toy", "water", "window")
"""The classes of NUS-WIDE-10K (Feng et al., ACM MM 2014): not the ten most frequent ones."""

_DESCRIPTORS = {
    500: ("BoW_int.dat", whole_number_rows),
    64: ("Normalized_CH.dat", real_number_rows),
    144: ("Normalized_CORR.dat", real_number_rows),
    73: ("Normalized_EDH.dat", real_number_rows),
    128: ("Normalized_WT.dat", real_number_rows),
    225: ("Normalized_CM55.dat", real_number_rows),
}


class Options(BuilderOptions):
    """Which pictures and which labels.

    Attributes
    ----------
    concepts : 10, 21 or 81
        Pictures with none of these concepts are left out. 21 if left out, 10 for the subset ``10k``.
    subset : ``""`` or ``"10k"``
        ``10k``: of each class of `CONCEPTS_10K`, `per_class` pictures that have this one of the ten and no other,
        a tag (but see `untagged`), and a visual word where BoW_int.dat is there.
        The original's list of pictures is not public: they are drawn in the order of the SHA-256 of
        ``nuswide10k:<id>``.
    per_class : int
    untagged : ``"drop"`` or ``"mark"``
        What becomes of pictures without any of the 1,000 tags, which papers keep as all-zero rows (5,413 of 195,834
        and 5,212 of 186,577: github.com/iTomxy/data). ``mark`` keeps them and adds a column that is 1 for them.
    texts : ``"1k"`` or ``"all"``
        Whether a picture's text is those of its tags that are in TagList1k.txt, or all that All_Tags.txt has.
    """

    concepts: Literal[10, 21, 81] | None = None
    subset: Literal["", "10k"] = ""
    per_class: int = 1000
    untagged: Literal["drop", "mark"] = "drop"
    texts: Literal["1k", "all"] = "1k"

    @model_validator(mode="after")
    def _consistent(self) -> Options:
        if self.subset and self.concepts not in (None, 10):
            raise ValueError(f"the subset 10k has 10 concepts, not {self.concepts}")
        return self

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the label columns."""
        if self.subset:
            return CONCEPTS_10K
        return {10: CONCEPTS_10, 21: CONCEPTS_21, 81: CONCEPTS_81}[self.concepts or 21]


def build(request: BuildRequest) -> Content:
    """Read the pictures and tags of the chosen concepts.

    Returns
    -------
    Content
        Modalities ``image`` and ``text`` with the same ids (``actor/0001_2124494179``), in the order of
        Imagelist.txt. The source's splits are the official halves, ``train`` and ``query``, where their lists are
        there.

    Raises
    ------
    DataError
        If a file is missing, differs in length from the image list or holds anything but numbers.
    """
    options, tree = Options.model_validate(request.options), request.tree
    ids, photos = image_list(tree, "Imagelist.txt")
    labels = read_labels(tree, options.classes, len(ids))
    tags = read_tags(tree, len(ids))
    notes: list[str] = []
    described = _described(tree, len(ids), notes) if options.subset else None
    rows = _chosen(options, ids, labels, tags, described, notes)
    asked = request.feature_set.modalities
    pictures: dict[str, list[str]] = {}
    if "image" in asked and asked["image"].kind == "raw":
        rows, pictures["image"] = _with_pictures(request, ids, rows, notes)
    features = {}
    if "image" in asked:
        features["image"], rows = _image(request, rows, ids, notes)
    if "text" in asked:
        features["text"] = _text(request, tags, rows, mark=options.untagged == "mark")
    if len(ids) != PICTURES:
        notes.append(f"{len(ids):,} pictures are listed; the official lists have {PICTURES:,}")
    twice = len(rows) - len(np.unique(photos[rows]))
    if twice:
        notes.append(f"{twice} photos occur twice, under two names, and are two items")
    texts = {}
    if "text" in asked:
        texts["text"] = listed_tags(tree, tags[rows]) if options.texts == "1k" else all_tags(tree, photos, rows)
    splits = official_split(tree, ids)
    items = {m: Items(m, f, ids[rows], ids[rows], labels[rows]) for m, f in features.items()}
    return Content(
        file=str(tree.folder),
        items=items,
        splits=None if splits is None else dict.fromkeys(items, splits[rows]),
        classes=options.classes,
        notes=tuple(notes),
        texts=texts,
        pictures=pictures,
    )


def _described(tree: SourceTree, n: int, notes: list[str]) -> np.ndarray | None:
    """Which pictures have any visual word: (n,) bool. A subset of a fixed size is drawn among these alone."""
    name, read = _DESCRIPTORS[500]
    if not tree.has(name):
        notes.append(f"drawn without {name}: among pictures without a visual word, too")
        return None
    described = np.zeros(n, bool)
    for start, block in blocks(tree, name, read, 500, n):
        described[start : start + len(block)] = block.any(1)
    return described


def _chosen(
    options: Options,
    ids: np.ndarray,
    labels: np.ndarray,
    tags: np.ndarray,
    described: np.ndarray | None,
    notes: list[str],
) -> np.ndarray:
    """Row numbers of the pictures that are items, ascending."""
    if options.subset:
        keep = labels.sum(1, dtype=np.int64) == 1
        notes.append(f"{(~keep).sum():,} pictures with none or several of the {labels.shape[1]} concepts left out")
    else:
        keep = labels.any(1)
        notes.append(f"{(~keep).sum():,} pictures with none of the {labels.shape[1]} concepts left out")
    untagged = keep & ~tags.any(1)
    if options.untagged == "drop":
        keep &= ~untagged
        notes.append(f"{untagged.sum():,} of the others have none of the {N_TAGS:,} tags and are left out too")
    else:
        notes.append(f"{untagged.sum():,} pictures have none of the {N_TAGS:,} tags; one more column is 1 for them")
    if described is not None:
        notes.append(f"{(keep & ~described).sum():,} of these have no visual word and are left out too")
        keep &= described
    rows = np.flatnonzero(keep)
    if not len(rows):
        raise DataError(f"NUS-WIDE: none of the {len(ids):,} listed pictures has one of the concepts and a tag")
    return _draw(options, ids, labels, rows) if options.subset else rows


def _draw(options: Options, ids: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """`per_class` rows of every class, those first in the order of a hash of their ids."""
    taken = []
    for column, concept in enumerate(options.classes):
        members = rows[labels[rows, column] == 1]
        if len(members) < options.per_class:
            raise DataError(
                f"NUS-WIDE-10K: {len(members)} pictures have {concept!r} as their only one of the ten concepts, "
                f"but per_class is {options.per_class}"
            )
        order = np.argsort([hashlib.sha256(f"nuswide10k:{i}".encode()).digest() for i in ids[members].tolist()])
        taken.append(members[order[: options.per_class]])
    return np.sort(np.concatenate(taken))


def _with_pictures(
    request: BuildRequest, ids: np.ndarray, rows: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, list[str]]:
    """The rows whose pictures are there, and where these lie."""
    found = find_pictures(request.tree, ids[rows])
    missing = found.count(None)
    if missing == len(found):
        raise DataError(f"{request.tree.folder} holds none of the pictures, such as {ids[rows[0]]}.jpg")
    if missing:
        notes.append(f"{missing:,} pictures are not there and left out")
    return rows[[p is not None for p in found]], [p for p in found if p is not None]


def _image(request: BuildRequest, rows: np.ndarray, ids: np.ndarray, notes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Features of the rows, and the rows without those that are all zero."""
    spec = request.feature_set.modalities["image"]
    if spec.kind == "raw":
        return undescribed(len(rows)), rows
    dims = 500 if spec.dims is None else spec.dims
    if dims not in _DESCRIPTORS:
        known = ", ".join(f"{d} ({name})" for d, (name, _) in _DESCRIPTORS.items())
        raise DataError(f"NUS-WIDE has no image descriptor of {dims} columns; it has {known}")
    name, read = _DESCRIPTORS[dims]
    features = scratch_array(request.scratch, "image", (len(rows), dims), np.float32)
    filled = 0
    kept = []
    for start, block in blocks(request.tree, name, read, dims, len(ids)):
        here = rows[np.searchsorted(rows, start) : np.searchsorted(rows, start + len(block))]
        values = block[here - start].astype(np.float32)
        described = values.any(1)
        kept.append(here[described])
        features[filled : filled + len(kept[-1])] = values[described]
        filled += len(kept[-1])
        release(features)
    remaining = np.concatenate(kept)
    if filled < len(rows):
        first = ids[np.setdiff1d(rows, remaining)[0]]
        notes.append(f"{len(rows) - filled:,} pictures whose row of {name} is all zero left out, {first} the first")
    notes.append(f"image: {'whole numbers as float32, exactly' if dims == 500 else 'decimals rounded to float32'}")
    return features[:filled], remaining


def _text(request: BuildRequest, tags: np.ndarray, rows: np.ndarray, mark: bool) -> np.ndarray:
    if request.feature_set.modalities["text"].kind == "raw":
        return undescribed(len(rows))
    features = scratch_array(request.scratch, "text", (len(rows), N_TAGS + mark), np.float32)
    for start in range(0, len(rows), 4096):
        block = np.unpackbits(tags[rows[start : start + 4096]], axis=1)
        features[start : start + len(block), :N_TAGS] = block
        if mark:
            features[start : start + len(block), N_TAGS] = ~block.any(1)
        release(features)
    return features
