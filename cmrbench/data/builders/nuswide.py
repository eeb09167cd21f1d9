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
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
from pydantic import model_validator

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.arrays import release, scratch_array
from cmrbench.data.builders.base import BuilderOptions, BuildRequest
from cmrbench.data.content import Content
from cmrbench.data.number_rows import real_number_rows, whole_number_rows

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree

VERSION = 1
PICTURES = 269_648
N_TAGS = 1000

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
_LISTED = re.compile(r"(?:^|[\\/])([^\\/]+)[\\/]([0-9]+_([0-9]+))\.jpg$", re.IGNORECASE)
_Rows = Callable[[BinaryIO, str, int], Iterator[np.ndarray]]


class Options(BuilderOptions):
    """Which pictures and which labels.

    Attributes
    ----------
    concepts : 10, 21 or 81
        Pictures with none of these concepts are left out. 21 if left out, 10 for the subset ``10k``.
    subset : ``""`` or ``"10k"``
        ``10k``: of each class of `CONCEPTS_10K`, `per_class` pictures that have this one of the ten and no other.
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
    ids, photos = _image_list(tree, "Imagelist.txt")
    labels = _labels(tree, options.classes, len(ids))
    tags = _tags(tree, len(ids))
    notes: list[str] = []
    rows = _chosen(options, ids, labels, tags, notes)
    pictures = _pictures(request, ids, rows, notes)
    if pictures is not None:
        rows = rows[[p is not None for p in pictures]]
    features = {}
    if "image" in request.feature_set.modalities:
        features["image"], rows = _image(request, rows, len(ids), ids, notes)
    if "text" in request.feature_set.modalities:
        features["text"] = _text(request, tags, rows, mark=options.untagged == "mark")
    if len(ids) != PICTURES:
        notes.append(f"{len(ids):,} pictures are listed; the official lists have {PICTURES:,}")
    twice = len(rows) - len(np.unique(photos[rows]))
    if twice:
        notes.append(f"{twice} photos occur twice, under two names, and are two items")
    splits = _official_split(tree, ids)
    items = {m: Items(m, f, ids[rows], ids[rows], labels[rows]) for m, f in features.items()}
    return Content(
        file=str(tree.folder),
        items=items,
        splits=None if splits is None else dict.fromkeys(items, splits[rows]),
        classes=options.classes,
        notes=tuple(notes),
        texts={"text": _texts(tree, options, tags, photos, rows)} if "text" in items else {},
        pictures={"image": [p for p in pictures if p]} if pictures is not None else {},
    )


def _image_list(tree: SourceTree, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Ids and photo numbers of a list of pictures."""
    found = tree.find(name)
    ids: list[str] = []
    photos: list[str] = []
    for number, line in enumerate(tree.lines(found, encoding="latin-1"), 1):
        if not line.strip():
            continue
        match = _LISTED.search(line.rstrip())
        if match is None or len(ids) != number - 1:
            raise DataError(
                f"{tree.folder / found} line {number}: expected a picture such as actor\\0001_2124494179.jpg, "
                f"found {line[:80]!r}"
            )
        ids.append(f"{match[1]}/{match[2]}")
        photos.append(match[3])
    if not ids:
        raise DataError(f"{tree.folder / found} lists no picture")
    return np.array(ids), np.array(photos)


def _blocks(tree: SourceTree, name: str, read: _Rows, columns: int, n: int) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of rows with the number of their first row; n rows in all, as many as the image list has."""
    found = tree.find(name)
    file, start = str(tree.folder / found), 0
    with closing(tree.open(found)) as stream:
        for block in read(stream, file, columns):
            if start + len(block) > n:
                break
            yield start, block
            start += len(block)
        else:
            if start == n:
                return
            raise DataError(f"{file} has {start:,} rows, but Imagelist.txt has {n:,} pictures; is the file complete?")
    raise DataError(f"{file} has more than {n:,} rows, the number of pictures in Imagelist.txt")


def _binary(tree: SourceTree, name: str, columns: int, n: int) -> Iterator[tuple[int, np.ndarray]]:
    for start, block in _blocks(tree, name, whole_number_rows, columns, n):
        if block.max(initial=0) > 1:
            row = int((block > 1).any(1).argmax())
            raise DataError(
                f"{tree.folder / tree.find(name)} line {start + row + 1}: expected 0 or 1, found {block[row].max()}"
            )
        yield start, block


def _labels(tree: SourceTree, classes: tuple[str, ...], n: int) -> np.ndarray:
    labels = np.zeros((n, len(classes)), np.uint8)
    for column, concept in enumerate(classes):
        for start, block in _binary(tree, f"AllLabels/Labels_{concept}.txt", 1, n):
            labels[start : start + len(block), column] = block[:, 0]
    return labels


def _tags(tree: SourceTree, n: int) -> np.ndarray:
    """Eight tags a byte: (n, 125) uint8, 34 MB for all pictures."""
    tags = np.zeros((n, N_TAGS // 8), np.uint8)
    for start, block in _binary(tree, "AllTags1k.txt", N_TAGS, n):
        tags[start : start + len(block)] = np.packbits(block.astype(np.uint8), axis=1)
    return tags


def _chosen(options: Options, ids: np.ndarray, labels: np.ndarray, tags: np.ndarray, notes: list[str]) -> np.ndarray:
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
    rows = np.flatnonzero(keep)
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


def _image(
    request: BuildRequest, rows: np.ndarray, n: int, ids: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Features of the rows, and the rows without those that are all zero."""
    spec = request.feature_set.modalities["image"]
    if spec.kind == "raw":
        return np.empty((len(rows), 0), np.float32), rows
    dims = 500 if spec.dims is None else spec.dims
    if dims not in _DESCRIPTORS:
        known = ", ".join(f"{d} ({name})" for d, (name, _) in _DESCRIPTORS.items())
        raise DataError(f"NUS-WIDE has no image descriptor of {dims} columns; it has {known}")
    name, read = _DESCRIPTORS[dims]
    features = scratch_array(request.scratch, "image", (len(rows), dims), np.float32)
    filled = 0
    kept = []
    for start, block in _blocks(request.tree, name, read, dims, n):
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
    notes.append(f"image: {'whole numbers' if read is whole_number_rows else 'decimal numbers'} as float32")
    return features[:filled], remaining


def _text(request: BuildRequest, tags: np.ndarray, rows: np.ndarray, mark: bool) -> np.ndarray:
    if request.feature_set.modalities["text"].kind == "raw":
        return np.empty((len(rows), 0), np.float32)
    features = scratch_array(request.scratch, "text", (len(rows), N_TAGS + mark), np.float32)
    for start in range(0, len(rows), 4096):
        block = np.unpackbits(tags[rows[start : start + 4096]], axis=1)
        features[start : start + len(block), :N_TAGS] = block
        if mark:
            features[start : start + len(block), N_TAGS] = ~block.any(1)
        release(features)
    return features


def _texts(tree: SourceTree, options: Options, tags: np.ndarray, photos: np.ndarray, rows: np.ndarray) -> list[str]:
    """A picture's tags, separated by blanks."""
    if options.texts == "1k":
        found = tree.find("TagList1k.txt")
        names = [line.strip() for line in tree.lines(found) if line.strip()]
        if len(names) != N_TAGS:
            raise DataError(
                f"{tree.folder / found} names {len(names):,} tags, but AllTags1k.txt has {N_TAGS:,} columns"
            )
        return [" ".join(names[k] for k in np.flatnonzero(np.unpackbits(tags[row]))) for row in rows]
    found = tree.find("All_Tags.txt")
    wanted, texts, count = set(rows.tolist()), [], 0
    for row, line in enumerate(tree.lines(found)):
        photo, *words = line.split() or [""]
        if row >= len(photos) or photo != photos[row]:
            listed = photos[row] if row < len(photos) else "nothing more"
            raise DataError(f"{tree.folder / found} line {row + 1}: photo {photo!r}, but Imagelist.txt has {listed}")
        if row in wanted:
            texts.append(" ".join(words))
        count += 1
    if count != len(photos):
        raise DataError(f"{tree.folder / found} has {count:,} lines, but Imagelist.txt has {len(photos):,} pictures")
    return texts


def _official_split(tree: SourceTree, ids: np.ndarray) -> np.ndarray | None:
    """``train`` and ``query`` by the official lists; None where they are not there."""
    if not (tree.has("TrainImagelist.txt") and tree.has("TestImagelist.txt")):
        return None
    split: dict[str, str] = {}
    for half, name in (("train", "TrainImagelist.txt"), ("query", "TestImagelist.txt")):
        for i in _image_list(tree, name)[0].tolist():
            if i in split:
                raise DataError(f"{tree.folder / tree.find(name)}: {i} is in a list twice")
            split[i] = half
    return np.array([split.get(i, "") for i in ids.tolist()], dtype="<U7")


def _pictures(request: BuildRequest, ids: np.ndarray, rows: np.ndarray, notes: list[str]) -> list[str | None] | None:
    """Where each row's picture lies; None: not asked for, or for a row: not there."""
    spec = request.feature_set.modalities.get("image")
    if spec is None or spec.kind != "raw":
        return None
    known = {"/".join(name.split("/")[-2:])[:-4].lower(): name for name in request.tree.find_all("*.jpg")}
    pictures = [known.get(i.lower()) for i in ids[rows].tolist()]
    missing = pictures.count(None)
    if missing == len(pictures):
        raise DataError(f"{request.tree.folder} holds none of the pictures, such as {ids[rows[0]]}.jpg")
    if missing:
        notes.append(f"{missing:,} pictures are not there and left out")
    return pictures
