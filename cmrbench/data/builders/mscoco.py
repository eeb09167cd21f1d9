"""MS COCO 2014 or 2017: five captions and the object categories of every picture.

Lin et al., ECCV 2014. Both years give the same 123,287 pictures, cut differently into train and val: 82,783 + 40,504
(2014) and 118,287 + 5,000 (2017). Files, each plain or in ``annotations_trainval2014.zip``:

- ``instances_train2014.json``: ``images`` (id, file_name), ``annotations`` (image_id, category_id and the outline of
  one object or crowd), ``categories`` (80, numbered 1 to 90 with gaps);
- ``captions_train2014.json``: ``annotations`` (id, image_id, caption);
- optionally the pictures, ``train2014/COCO_train2014_000000000009.jpg`` (2017: ``train2017/000000000009.jpg``).

The files are several hundred megabytes of outlines: they are read in one pass and never held.

122,218 pictures have a category (github.com/iTomxy/data, coco/make.clean.py); 82,081 of them are in train2014, and
with 5,000 queries of val2014 these are the 87,081 of some papers (inferred from the sums). Bags of the 2,000 most
frequent words, which the hashing papers use, are not made here: their words are counted over all captions, those of
the queries included, and a builder does not know the split; ``cmrbench extract`` counts them in the training split.
"""

from __future__ import annotations

from array import array
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.builders import _raw
from cmrbench.data.builders._json_records import Record, records
from cmrbench.data.builders.base import BuilderOptions, BuildRequest

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.content import Content

VERSION = 1
PICTURES = 123_287
_INSTANCES = {"images": ("id", "file_name"), "annotations": ("image_id", "category_id"), "categories": ("id", "name")}
_CAPTIONS = {"annotations": ("id", "image_id", "caption")}
_SPLIT_OF = {"train": "train", "val": "query"}


class Options(BuilderOptions):
    """Which files, and what is an item.

    Attributes
    ----------
    year : 2014 or 2017, optional
        Whose files are read; left out: those that are there.
    parts : ``"all"``, ``"train"`` or ``"val"``
    unlabelled : ``"drop"`` or ``"keep"``
        What becomes of pictures without an annotated object: 122,218 or 123,287 items.
    captions : ``"each"`` or ``"joined"``
        A text item is one caption (its id is the caption's), or all captions of a picture joined by a blank.
    """

    year: Literal[2014, 2017] | None = None
    parts: Literal["all", "train", "val"] = "all"
    unlabelled: Literal["drop", "keep"] = "drop"
    captions: Literal["each", "joined"] = "each"


@dataclass
class _Annotated:
    """What is kept of one part: pictures, categories, pairs of picture and category, captions."""

    part: str
    files: dict[int, str] = field(default_factory=dict)
    categories: dict[int, str] = field(default_factory=dict)
    image_ids: array[int] = field(default_factory=lambda: array("q"))
    category_ids: array[int] = field(default_factory=lambda: array("q"))
    captions: dict[int, list[tuple[str, str]]] = field(default_factory=dict)


def build(request: BuildRequest) -> Content:
    """Read pictures, captions and categories; there are no features yet.

    Returns
    -------
    Content
        Modalities ``image`` and ``text`` of kind ``raw``, by ascending picture number, so that the files of both
        years give the same items in the same order. Ids of pictures are their numbers; classes are in the order of
        the category numbers. The source's split: train is ``train``, val is ``query``.

    Raises
    ------
    DataError
        If a file is missing, cut off or not JSON, or annotates pictures or categories that it does not list.
    """
    _raw.modalities(request)
    options, tree = Options.model_validate(request.options), request.tree
    year = _year(tree, options)
    names = ("train", "val") if options.parts == "all" else (options.parts,)
    parts = [_read(tree, part, year) for part in names]
    categories = parts[0].categories
    part_of: dict[int, _Annotated] = {}
    for part in parts:
        if part.categories != categories:
            raise DataError(f"{tree.folder}: train and val of MS COCO {year} do not list the same categories")
        for image in part.files:
            if image in part_of:
                raise DataError(f"{tree.folder}: picture {image} is in both train and val of MS COCO {year}")
            part_of[image] = part
    numbers = np.array(sorted(part_of), np.int64)
    labels = _labels(tree, parts, numbers, sorted(categories))
    notes: list[str] = []
    rows = _kept(options, numbers, part_of, labels, notes)
    if not len(rows):
        raise DataError(f"{tree.folder}: no picture of MS COCO {year} has both a caption and an annotated object")
    kept = [int(n) for n in numbers[rows]]
    pictures = _pictures(tree, [f"{part_of[n].part}{year}/{part_of[n].files[n]}" for n in kept], notes)
    if options.parts == "all" and len(numbers) != PICTURES:
        notes.append(f"{len(numbers):,} pictures are listed; the official files have {PICTURES:,}")
    return _raw.Captioned(
        ids=[str(n) for n in kept],
        labels=labels[rows],
        classes=tuple(categories[c] for c in sorted(categories)),
        captions=[part_of[n].captions[n] for n in kept],
        splits=np.array([_SPLIT_OF[part_of[n].part] for n in kept], dtype="<U7"),
        pictures=pictures,
    ).content(request, options.captions, notes)


def _year(tree: SourceTree, options: Options) -> int:
    if options.year is not None:
        return options.year
    there = [year for year in (2014, 2017) if tree.has(f"instances_*{year}.json")]
    if len(there) == 2:
        raise DataError(f"{tree.folder} holds the annotations of both 2014 and 2017; leave one there, or set year")
    return there[0] if there else 2014


def _read(tree: SourceTree, part: str, year: int) -> _Annotated:
    """The annotations of one part; objects in the order of the file."""
    found = _Annotated(part)
    instances, captions = (tree.find(f"{kind}_{part}{year}.json") for kind in ("instances", "captions"))
    where = str(tree.folder / instances)
    with closing(tree.open(instances)) as stream:
        for section, element in records(stream, where, _INSTANCES):
            if section == "images":
                number, name = _field(element, "id", int, where), _field(element, "file_name", str, where)
                if number in found.files or "/" in name or "\\" in name:
                    raise DataError(f"{where}: picture {number} ({name[:80]!r}) is listed twice or is no file name")
                found.files[number] = name
            elif section == "annotations":
                found.image_ids.append(_field(element, "image_id", int, where))
                found.category_ids.append(_field(element, "category_id", int, where))
            else:
                found.categories[_field(element, "id", int, where)] = _field(element, "name", str, where)
    where = str(tree.folder / captions)
    with closing(tree.open(captions)) as stream:
        for _, element in records(stream, where, _CAPTIONS):
            number, text = _field(element, "image_id", int, where), _field(element, "caption", str, where)
            if number not in found.files:
                raise DataError(f"{where} has a caption of picture {number}, which {instances} does not list")
            if told := _raw.plain(text):
                found.captions.setdefault(number, []).append((str(_field(element, "id", int, where)), told))
    return found


def _field(element: Record | None, key: str, kind: type, where: str) -> Any:
    value = element.get(key) if element is not None else None
    fits = isinstance(value, kind) and not isinstance(value, bool)
    if not fits or (isinstance(value, int) and not 0 <= value < 1 << 62):
        raise DataError(f"{where}: expected {key!r} with a {kind.__name__} in every element, found {element!r:.120}")
    return value


def _labels(tree: SourceTree, parts: list[_Annotated], numbers: np.ndarray, categories: list[int]) -> np.ndarray:
    """Multi-hot labels of all pictures; crowds count as objects do."""
    labels = np.zeros((len(numbers), len(categories)), np.uint8)
    for part in parts:
        image_ids, category_ids = np.array(part.image_ids), np.array(part.category_ids)
        for what, ids, known in (
            ("picture", image_ids, np.array(sorted(part.files))),
            ("category", category_ids, np.array(categories)),
        ):
            unknown = ids[~np.isin(ids, known)]
            if len(unknown):
                raise DataError(
                    f"{tree.folder}: an object of the {part.part} annotations names {what} {unknown[0]}, "
                    "which the file does not list"
                )
        labels[np.searchsorted(numbers, image_ids), np.searchsorted(categories, category_ids)] = 1
    return labels


def _kept(
    options: Options, numbers: np.ndarray, part_of: dict[int, _Annotated], labels: np.ndarray, notes: list[str]
) -> np.ndarray:
    """Row numbers of the pictures that are items."""
    labelled = labels.any(1)
    silent = np.array([int(n) not in part_of[int(n)].captions for n in numbers])
    keep = ~silent
    if silent.any():
        notes.append(f"{silent.sum():,} pictures without a caption left out")
    if options.unlabelled == "drop":
        notes.append(f"{(keep & ~labelled).sum():,} pictures without an annotated object left out")
        keep &= labelled
    else:
        notes.append(f"{(keep & ~labelled).sum():,} pictures have no annotated object: their labels are all 0")
    counts = {len(part_of[int(n)].captions[int(n)]) for n in numbers[keep]}
    if len(counts) > 1:
        notes.append(f"pictures have {min(counts)} to {max(counts)} captions")
    return np.flatnonzero(keep)


def _pictures(tree: SourceTree, wanted: list[str], notes: list[str]) -> list[str]:
    """Where the pictures lie; where the official archives will hold them, if those are not there yet."""
    found: dict[str, str] = {}
    for folder in dict.fromkeys(w.partition("/")[0] for w in wanted):
        here = [w for w in wanted if w.startswith(f"{folder}/")]
        places = _raw.pictures(tree, [f"{folder}/*.jpg"], lambda name: "/".join(name.split("/")[-2:]), here)
        if places is None:
            notes.append(f"the pictures of {folder} are not there: their places are those in {folder}.zip")
            places = [f"{folder}.zip/{w}" for w in here]
        found |= dict(zip(here, places, strict=True))
    return [found[w] for w in wanted]
