"""MIRFlickr-25K from the official archives: 25,000 Flickr pictures with tags and 24 concepts.

Huiskes and Lew, MIR 2008. Files, each plain or in its archive:

- mirflickr25k.zip: ``mirflickr/im1.jpg`` to ``im25000.jpg``; ``mirflickr/meta/tags/tags1.txt``, a tag a line, in lower
  case and without blanks (``meta/tags_raw`` as their owners typed them); ``mirflickr/doc/common_tags.txt``, the 1,386
  tags of at least 20 pictures with their numbers of pictures;
- mirflickr25k_annotations_v080.zip: ``animals.txt`` and 23 others ("potential" labels), one picture's number a line;
  ``baby_r1.txt`` and 13 others ("relevant" ones), which list a part of the same pictures;
- of MIRFLICKR-1M, whose first 25,000 pictures are these (its home page): ``features_edgehistogram/0/0.txt`` and
  ``features_homogeneoustexture/0/0.txt`` (zips of the same names), 150 and 43 numbers, one a line. Pictures count
  from 0 there, ten thousand a folder: ``im1.jpg`` is number 0.

20,015 pictures have one of the common tags and one of the concepts (github.com/iTomxy/data, flickr25k/make.clean.py);
that is the set of DCMH and of most papers since. 24,581 have one of the concepts, whatever their tags: DCHMT, DSPH
and MITH take these (github.com/QinLab-WFU/DSPH, dataset/make_mirflickr25k.py), some of them with an empty text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO, Literal

import numpy as np
from pydantic import Field

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.archives.lines import split_lines
from cmrbench.data.arrays import scratch_array
from cmrbench.data.builders import _raw
from cmrbench.data.builders.base import BuilderOptions, BuildRequest
from cmrbench.data.content import Content

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.catalogue import ModalityFeatures

VERSION = 1
PICTURES = 25_000

CONCEPTS = (
    "animals", "baby", "bird", "car", "clouds", "dog", "female", "flower", "food", "indoor", "lake", "male", "night",
    "people", "plant_life", "portrait", "river", "sea", "sky", "structures", "sunset", "transport", "tree", "water",
)  # fmt: skip
"""The 24 potential labels, in alphabetic order."""

RELEVANT = (
    "baby_r1", "bird_r1", "car_r1", "clouds_r1", "dog_r1", "female_r1", "flower_r1", "male_r1", "night_r1",
    "people_r1", "portrait_r1", "river_r1", "sea_r1", "tree_r1",
)  # fmt: skip
"""The 14 relevant labels, for pictures in which the concept is what one looks at."""

DESCRIPTORS = {150: "features_edgehistogram", 43: "features_homogeneoustexture"}

_NUMBER = re.compile(r"(?:im|tags)?([0-9]{1,7})\.(?:jpg|txt)$", re.IGNORECASE)
_MAX_DESCRIPTOR_BYTES = 1 << 16


class Options(BuilderOptions):
    """Which pictures, labels and tags.

    Attributes
    ----------
    min_images : int
        Tags of fewer pictures, as common_tags.txt counts them, are no columns of the text features: 20 (all of that
        list) gives 1,386.
    untagged : ``"drop"`` or ``"keep"``
        What becomes of pictures with none of these tags.
    unlabelled : ``"drop"`` or ``"keep"``
        What becomes of pictures with none of the labels. ``drop`` and ``drop``: 20,015 items; ``keep`` the untagged:
        24,581; ``keep`` both: 25,000.
    labels : 24 or 38
        The potential labels, or the relevant ones as classes of their own beside them (SSDH).
    texts : ``"clean"``, ``"raw"`` or ``"common"``
        A picture's text is all its tags, as meta/tags or meta/tags_raw has them, or those that are columns.
    """

    min_images: int = Field(20, ge=20)
    untagged: Literal["drop", "keep"] = "drop"
    unlabelled: Literal["drop", "keep"] = "drop"
    labels: Literal[24, 38] = 24
    texts: Literal["clean", "raw", "common"] = "clean"


def build(request: BuildRequest) -> Content:
    """Read tags, labels, and descriptors where a feature set asks for their width.

    Returns
    -------
    Content
        Modalities ``image`` and ``text`` with the same ids (``im1``), by picture number; no split.

    Raises
    ------
    DataError
        If a file is missing or damaged, a label names a picture that has no tags file, or a descriptor has another
        length.
    """
    asked = _raw.modalities(request, described=("image", "text"))
    options, tree, specs = Options.model_validate(request.options), request.tree, request.feature_set.modalities
    if options.untagged == "keep" and "text" in specs and specs["text"].kind == "vector":
        raise DataError(
            f"dataset {request.name!r}: pictures without a common tag have no text vector; set untagged: drop, or ask "
            "for raw texts"
        )
    columns = {tag: k for k, tag in enumerate(_common_tags(tree, options.min_images))}
    tags = _tags(tree, "tags")
    numbers = np.array(sorted(tags))
    classes = CONCEPTS if options.labels == 24 else tuple(sorted(CONCEPTS + RELEVANT))
    labels = _labels(tree, classes, numbers)
    notes: list[str] = []
    rows = _kept(options, tree, [any(t in columns for t in tags[n]) for n in numbers.tolist()], labels, notes)
    features: dict[str, np.ndarray] = {}
    if "image" in asked:
        features["image"], rows = _image(request, specs["image"], numbers, rows, notes)
    if "text" in asked:
        features["text"] = _text(request, specs["text"], columns, tags, numbers[rows])
    if len(numbers) != PICTURES:
        notes.append(f"{len(numbers):,} pictures have a file of tags; the official archive has {PICTURES:,}")
    texts = _texts(tree, options, columns, tags, numbers[rows])
    silent = texts.count("")
    if silent and "text" in asked:
        notes.append(f"{silent:,} pictures have no tag at all: their text is empty")
    ids = np.array([f"im{n}" for n in numbers[rows]])
    pictures = _raw.pictures(tree, ["im*.jpg"], lambda name: f"im{_number(name)}", ids.tolist())
    if pictures is None and "image" in asked and specs["image"].kind == "raw":
        raise DataError(f"{tree.folder} holds none of the pictures, such as {ids[0]}.jpg")
    return Content(
        file=str(tree.folder),
        items={m: Items(m, features[m], ids, ids, labels[rows]) for m in asked},
        splits=None,
        classes=classes,
        notes=tuple(notes),
        texts={"text": texts} if "text" in asked else {},
        pictures={"image": pictures} if "image" in asked and pictures is not None else {},
    )


def _common_tags(tree: SourceTree, min_images: int) -> list[str]:
    """Tags of at least that many pictures, in the order of common_tags.txt: the order of the text columns."""
    found = tree.find("common_tags.txt")
    tags = []
    for number, line in enumerate(tree.lines(found), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 2 or not _raw.is_number(fields[1]):
            raise DataError(
                f"{tree.folder / found} line {number}: expected a tag and its number of pictures, found {line[:80]!r}"
            )
        if int(fields[1]) >= min_images:
            tags.append(fields[0])
    if not tags or len(set(tags)) < len(tags):
        raise DataError(
            f"{tree.folder / found} lists no tag of at least {min_images} pictures, or one twice; expected 1,386 tags"
        )
    return tags


def _number(name: str) -> int:
    """The number in ``im12.jpg``, ``tags12.txt`` or ``12.txt``; -1 for other names."""
    match = _NUMBER.fullmatch(name.rpartition("/")[2])
    return int(match[1]) if match else -1


def _tags(tree: SourceTree, folder: str) -> dict[int, tuple[str, ...]]:
    """The tags of every picture, in one pass over 25,000 small files."""
    tags = {}
    for name, stream in tree.iterate(f"meta/{folder}/tags*.txt"):
        number = _number(name)
        if number < 1 or number in tags:
            raise DataError(f"{tree.folder / name}: expected the tags of one picture, such as tags1.txt")
        tags[number] = tuple(t for line in split_lines(stream, str(tree.folder / name), "utf-8") if (t := line.strip()))
    if not tags:
        raise DataError(f"{tree.folder} holds no tags (meta/{folder}/tags1.txt); is mirflickr25k.zip there?")
    return tags


def _labels(tree: SourceTree, classes: tuple[str, ...], numbers: np.ndarray) -> np.ndarray:
    labels = np.zeros((len(numbers), len(classes)), np.uint8)
    row_of = {number: row for row, number in enumerate(numbers.tolist())}
    for column, concept in enumerate(classes):
        found = tree.find(f"{concept}.txt")
        listed = 0
        for number, line in enumerate(tree.lines(found), 1):
            text = line.strip()
            if not text:
                continue
            row = row_of.get(int(text)) if _raw.is_number(text) else None
            if row is None:
                raise DataError(
                    f"{tree.folder / found} line {number}: expected the number of a picture that has tags, "
                    f"found {text[:40]!r}"
                )
            labels[row, column] = 1
            listed += 1
        if not listed:
            raise DataError(f"{tree.folder / found} lists no picture; is the file complete?")
    return labels


def _kept(options: Options, tree: SourceTree, tagged: list[bool], labels: np.ndarray, notes: list[str]) -> np.ndarray:
    """Row numbers of the pictures that are items."""
    has_tag, has_label = np.array(tagged), labels.any(1)
    keep = np.ones(len(labels), bool)
    if options.unlabelled == "drop":
        keep &= has_label
        notes.append(f"{(~has_label).sum():,} pictures with none of the {labels.shape[1]} labels left out")
    else:
        notes.append(f"{(~has_label).sum():,} pictures have none of the {labels.shape[1]} labels")
    untagged = (keep & ~has_tag).sum()
    if options.untagged == "drop":
        keep &= has_tag
        notes.append(f"{untagged:,} of the others have none of the common tags and are left out too")
    else:
        notes.append(f"{untagged:,} of the others have none of the common tags")
    if not keep.any():
        raise DataError(f"{tree.folder}: no picture has both a label and one of the common tags")
    return np.flatnonzero(keep)


def _text(
    request: BuildRequest,
    spec: ModalityFeatures,
    columns: dict[str, int],
    tags: dict[int, tuple[str, ...]],
    numbers: np.ndarray,
) -> np.ndarray:
    """Which of the common tags each picture has."""
    if spec.kind == "raw":
        return _raw.undescribed(len(numbers))
    features = scratch_array(request.scratch, "text", (len(numbers), len(columns)), np.float32)
    for row, number in enumerate(numbers.tolist()):
        features[row, [columns[t] for t in tags[number] if t in columns]] = 1
    return features


def _texts(
    tree: SourceTree,
    options: Options,
    columns: dict[str, int],
    tags: dict[int, tuple[str, ...]],
    numbers: np.ndarray,
) -> list[str]:
    """A picture's tags, separated by blanks."""
    told = _tags(tree, "tags_raw") if options.texts == "raw" else tags
    missing = [n for n in numbers.tolist() if n not in told]
    if missing:
        raise DataError(f"{tree.folder} holds no meta/tags_raw/tags{missing[0]}.txt; is mirflickr25k.zip complete?")
    if options.texts == "common":
        return [" ".join(t for t in told[n] if t in columns) for n in numbers.tolist()]
    return [" ".join(told[n]) for n in numbers.tolist()]


def _image(
    request: BuildRequest, spec: ModalityFeatures, numbers: np.ndarray, rows: np.ndarray, notes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Descriptors of the rows, and the rows without those that are all zero."""
    if spec.kind == "raw":
        return _raw.undescribed(len(rows)), rows
    tree, dims = request.tree, 150 if spec.dims is None else spec.dims
    if dims not in DESCRIPTORS:
        known = ", ".join(f"{d} ({name})" for d, name in DESCRIPTORS.items())
        raise DataError(f"MIRFlickr has no image descriptor of {dims} columns; it has {known}")
    features = scratch_array(request.scratch, "image", (len(rows), dims), np.float32)
    row_of = {number: row for row, number in enumerate(numbers[rows].tolist())}
    filled = np.zeros(len(rows), bool)
    # Folders 0 to 2 of a hundred hold the first 30,000 pictures.
    for name, stream in tree.iterate(f"{DESCRIPTORS[dims]}*/[0-2]/*.txt"):
        row = row_of.get(_number(name) + 1)
        if row is not None:
            features[row] = _descriptor(stream, str(tree.folder / name), dims)
            filled[row] = True
    if not filled.all():
        first = int(numbers[rows][~filled][0])
        raise DataError(
            f"{tree.folder} holds no {DESCRIPTORS[dims]}/{(first - 1) // 10_000}/{first - 1}.txt, the descriptor of "
            f"im{first}.jpg; get {DESCRIPTORS[dims]}.zip of MIRFLICKR-1M"
        )
    described = features.any(1)
    if not described.all():
        notes.append(f"{(~described).sum():,} pictures whose descriptor is all zero left out")
        for target, source in enumerate(np.flatnonzero(described).tolist()):
            features[target] = features[source]
    notes.append("image: decimal numbers as float32")
    return features[: int(described.sum())], rows[described]


def _descriptor(stream: BinaryIO, where: str, dims: int) -> np.ndarray:
    raw = stream.read(_MAX_DESCRIPTOR_BYTES + 1)
    fields = raw.split()
    try:
        values = np.array([float(f) for f in fields])
    except ValueError:
        raise DataError(f"{where}: expected {dims} numbers, one a line, found something else") from None
    if len(values) != dims or not np.isfinite(values).all():
        raise DataError(f"{where}: expected {dims} finite numbers, found {len(values)}; is the file complete?")
    return values
