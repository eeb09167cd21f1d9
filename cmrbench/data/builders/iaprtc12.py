"""IAPR TC-12: 20,000 photographs with descriptions, labelled by the regions of SAIAPR TC-12.

Grubinger et al., OntoImage 2006; Escalante et al., CVIU 2010. Files, each plain or in its archive:

- iaprtc12.tgz: ``iaprtc12/annotations_complete_eng/00/112.eng``, one document a picture with the elements TITLE,
  DESCRIPTION, NOTES, LOCATION, DATE and IMAGE, in ISO-8859-1; ``iaprtc12/images/00/112.jpg``;
- saiaprtc12ok.part1.rar to part3.rar, unpacked by hand: ``benchmark/saiapr_tc-12/00/labels.txt``, a line of picture,
  region and label number for each region; ``matlab/wlist.txt``, a label number and its name a line.

Of the 276 labels of the hierarchy 255 occur in the 20,000 pictures: these are the 255 classes of the hashing papers.
One labelled picture has no English description, which leaves 19,999 items where papers print 20,000 (both counts are
asserted by a public loader of these folders, the class ``IPAR_TC_12`` by Cqy2019).
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Literal

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.builders import _raw
from cmrbench.data.builders.base import BuilderOptions, BuildRequest

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.content import Content

VERSION = 1
LABELS_THAT_OCCUR = 255

_LANGUAGES = {"english": "eng", "german": "ger"}
_MAX_DOCUMENT_BYTES = 1 << 20
_ELEMENT = re.compile(rb"<(TITLE|DESCRIPTION)\s*>(.*?)</\1\s*>", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"([0-9]{1,7})\.[a-z]+$", re.IGNORECASE)


class Options(BuilderOptions):
    """What is an item, and what its text.

    Attributes
    ----------
    text : ``"description"``, ``"title"`` or ``"both"``
        ``both``: the title, a blank, the description.
    language : ``"english"`` or ``"german"``
    unlabelled : ``"drop"`` or ``"keep"``
        What becomes of pictures without a labelled region.
    """

    text: Literal["description", "title", "both"] = "description"
    language: Literal["english", "german"] = "english"
    unlabelled: Literal["drop", "keep"] = "drop"


def build(request: BuildRequest) -> Content:
    """Read descriptions and region labels; there are no features yet, and no split.

    Returns
    -------
    Content
        Modalities ``image`` and ``text`` of kind ``raw`` with the same ids (``112``), by picture number. Classes are
        the labels that occur in any picture, in the order of their numbers.

    Raises
    ------
    DataError
        If descriptions or labels are missing altogether, or a line of labels is not three whole numbers.
    """
    _raw.modalities(request)
    options, tree = Options.model_validate(request.options), request.tree
    notes: list[str] = []
    regions = _regions(tree)
    texts = _documents(tree, options, notes)
    occurring = sorted({label for found in regions.values() for label in found})
    if len(occurring) != LABELS_THAT_OCCUR:
        notes.append(f"{len(occurring)} labels occur; in the official files {LABELS_THAT_OCCUR} do")
    places = _raw.located(tree, ["images/*/*.jpg", "images/*.jpg"], lambda name: str(_number(name)))
    numbers = _chosen(options, regions, texts, places, notes)
    if not numbers:
        raise DataError(
            f"{tree.folder}: no picture (images/00/112.jpg) has both {options.language} text and a labelled region"
        )
    column_of = {label: column for column, label in enumerate(occurring)}
    labels = np.zeros((len(numbers), len(occurring)), np.uint8)
    for row, number in enumerate(numbers):
        labels[row, [column_of[label] for label in regions.get(number, ())]] = 1
    return _raw.Captioned(
        ids=[str(n) for n in numbers],
        labels=labels,
        classes=_names(tree, occurring, notes),
        captions=[[(str(n), texts[n])] for n in numbers],
        splits=None,
        pictures=[places[str(n)] for n in numbers],
    ).content(request, "joined", notes)


def _chosen(
    options: Options,
    regions: dict[int, set[int]],
    texts: dict[int, str],
    places: dict[str, str],
    notes: list[str],
) -> list[int]:
    """Numbers of the pictures that are items, ascending."""
    chosen = sorted(texts.keys() | regions.keys())
    for missing, what in (
        ({n for n in chosen if n not in texts}, f"labelled pictures that have no {options.language} text"),
        ({n for n in chosen if n in texts and str(n) not in places}, "described pictures that are not there"),
    ):
        if missing:
            notes.append(f"{len(missing):,} {what} left out, {min(missing)} the first")
            chosen = [n for n in chosen if n not in missing]
    unlabelled = sum(n not in regions for n in chosen)
    if unlabelled and options.unlabelled == "keep":
        notes.append(f"{unlabelled:,} pictures have no labelled region: their labels are all 0")
    elif unlabelled:
        notes.append(f"{unlabelled:,} pictures without a labelled region left out")
        chosen = [n for n in chosen if n in regions]
    return chosen


def _number(name: str) -> int:
    """The picture's number in a file's name; -1 for other names."""
    match = _NUMBER.fullmatch(name.rpartition("/")[2])
    return int(match[1]) if match else -1


def _regions(tree: SourceTree) -> dict[int, set[int]]:
    """The labels of the regions of every picture."""
    files = tree.find_all("labels.txt")
    if not files:
        tree.find("labels.txt")  # says what is there instead, such as an archive that is not read
    regions: dict[int, set[int]] = {}
    for name in files:
        for number, line in enumerate(tree.lines(name), 1):
            fields = line.split()
            if not fields:
                continue
            if len(fields) != 3 or not all(map(_raw.is_number, fields)):
                raise DataError(
                    f"{tree.folder / name} line {number}: expected the numbers of a picture, a region and a label, "
                    f"found {line[:80]!r}"
                )
            regions.setdefault(int(fields[0]), set()).add(int(fields[2]))
    return regions


def _documents(tree: SourceTree, options: Options, notes: list[str]) -> dict[int, str]:
    """The text of every picture, in one pass over the archive."""
    language = _LANGUAGES[options.language]
    texts: dict[int, str] = {}
    silent = 0
    for name, stream in tree.iterate(f"annotations_complete_{language}/*/*.{language}"):
        number, where = _number(name), tree.folder / name
        raw = stream.read(_MAX_DOCUMENT_BYTES + 1)
        if number < 0 or number in texts or len(raw) > _MAX_DOCUMENT_BYTES:
            raise DataError(f"{where}: expected the description of one picture, such as 00/112.{language}")
        found = {element.upper(): _raw.plain(html.unescape(_decoded(text))) for element, text in _ELEMENT.findall(raw)}
        if b"DESCRIPTION" not in found and b"TITLE" not in found:
            raise DataError(f"{where} has neither a TITLE nor a DESCRIPTION; is the file complete?")
        title, description = found.get(b"TITLE", ""), found.get(b"DESCRIPTION", "")
        text = {"title": title, "description": description, "both": f"{title} {description}".strip()}[options.text]
        if text:
            texts[number] = text
        else:
            silent += 1
    if not texts:
        raise DataError(
            f"{tree.folder} holds no annotations_complete_{language}/00/112.{language}; is iaprtc12.tgz there?"
        )
    if silent:
        notes.append(f"{silent:,} pictures whose {options.text} is empty left out")
    return texts


def _decoded(raw: bytes) -> str:
    """ISO-8859-1 as browsers read it: bytes that are control characters there are those of Windows-1252."""
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _names(tree: SourceTree, labels: list[int], notes: list[str]) -> tuple[str, ...]:
    """Names of the labels by wlist.txt; ``label 66`` where it has none."""
    names: dict[int, str] = {}
    for found in tree.find_all("wlist.txt"):
        for number, line in enumerate(tree.lines(found), 1):
            code, _, name = line.strip().partition("\t")
            if not code:
                continue
            if not _raw.is_number(code):
                raise DataError(
                    f"{tree.folder / found} line {number}: expected a label's number, a tab and its name, "
                    f"found {line[:80]!r}"
                )
            if name.strip():
                names[int(code)] = name.strip()
    unnamed = [label for label in labels if label not in names]
    if unnamed:
        notes.append(f"{len(unnamed)} labels have no name in wlist.txt and are named by their number")
    return tuple(names.get(label, f"label {label}") for label in labels)
