"""Pascal Sentence: 1,000 pictures of 20 PASCAL VOC classes, 50 each, with five sentences each.

Rashtchian et al., NAACL-HLT 2010 workshop on Mechanical Turk. Two layouts:

- the usual redistribution: ``dataset/<class>/<id>.jpg`` and ``sentence/<class>/<id>.txt``, a sentence a line (one
  script that many copies come from forgot the dot: ``<id>txt``);
- the home page itself: an HTML table whose rows hold ``<img src="<class>/<id>.jpg">`` and a table of sentences, with
  the pictures in folders beside it.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING, Literal

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.arrays import as_labels
from cmrbench.data.builders import _raw
from cmrbench.data.builders.base import BuilderOptions, BuildRequest

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.content import Content

VERSION = 1
SENTENCES = 5
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The 20 classes of PASCAL VOC, in alphabetic order."""

_MAX_TEXT_BYTES = 1 << 16
_MAX_PAGE_BYTES = 16 << 20


class Options(BuilderOptions):
    """What a text item is.

    Attributes
    ----------
    sentences : ``"joined"`` or ``"each"``
        One text a picture, its five sentences joined by blanks (what the papers with 800 or 720 training pairs do),
        or five texts a picture, ``<class>/<id>#0`` to ``#4``.
    """

    sentences: Literal["joined", "each"] = "joined"


def build(request: BuildRequest) -> Content:
    """Read pictures and sentences; there are no features yet, and no split.

    Returns
    -------
    Content
        Modalities ``image`` and ``text`` of kind ``raw``, in the order of class and id; instances are
        ``<class>/<id>``, since some pictures are in two classes.

    Raises
    ------
    DataError
        If sentences or pictures are missing altogether, of a class that PASCAL VOC does not have, or unreadable.
    """
    tree, options = request.tree, Options.model_validate(request.options)
    for modality, spec in request.feature_set.modalities.items():
        if spec.kind != "raw":
            raise DataError(
                f"dataset {request.name!r}: {modality}: Pascal Sentence comes without features; extract some"
            )
    sentences = _from_page(tree) if tree.has("*.html") or tree.has("*.htm") else _from_files(tree)
    pictures = _pictures(tree)
    notes = _differences(sentences, pictures)
    ids = sorted(i for i in sentences if sentences[i] and i in pictures)
    if not ids:
        raise DataError(f"{tree.folder}: no picture has sentences of the same class and name")
    odd = sum(len(sentences[i]) != SENTENCES for i in ids)
    if odd:
        notes.append(f"{odd} pictures have more or fewer than {SENTENCES} sentences")
    return _raw.Captioned(
        ids=ids,
        labels=as_labels(np.array([CLASSES.index(i.partition("/")[0]) for i in ids]), str(tree.folder), len(CLASSES)),
        classes=CLASSES,
        captions=[[(f"{i}#{k}", text) for k, text in enumerate(sentences[i])] for i in ids],
        splits=None,
        pictures=[pictures[i] for i in ids],
    ).content(request, options.sentences, notes)


def _identify(name: str, file: str) -> str:
    """``<class>/<id>`` of a file's name, without ``.jpg``, ``.txt`` or ``txt``."""
    parts = name.replace("\\", "/").split("/")
    if len(parts) < 2 or parts[-2].lower() not in CLASSES:
        raise DataError(f"{file}: {name!r} is in no folder of one of the {len(CLASSES)} classes")
    stem = parts[-1][:-3].removesuffix(".")
    return f"{parts[-2].lower()}/{stem}"


def _pictures(tree: SourceTree) -> dict[str, str]:
    """Where the picture of each id lies."""
    found: dict[str, str] = {}
    for name in tree.find_all("*.jpg"):
        found.setdefault(_identify(name, str(tree.folder)), name)
    if not found:
        raise DataError(f"{tree.folder} holds no pictures (dataset/<class>/<id>.jpg)")
    return found


def _from_files(tree: SourceTree) -> dict[str, list[str]]:
    """Sentences by id, from one text file a picture."""
    sentences = {}
    for name, stream in tree.iterate("sentence/*/*txt"):
        where = str(tree.folder / name)
        raw = stream.read(_MAX_TEXT_BYTES + 1)
        if len(raw) > _MAX_TEXT_BYTES:
            raise DataError(f"{where} has more than {_MAX_TEXT_BYTES:,} bytes; five sentences have not")
        lines = (_raw.plain(line) for line in _decoded(raw, where).splitlines())
        sentences[_identify(name, where)] = [line for line in lines if line]
    if not sentences:
        raise DataError(f"{tree.folder} holds neither sentence/<class>/<id>.txt nor the home page (.html)")
    return sentences


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{where} line {line}: not UTF-8 ({error.reason}); convert the file") from None


def _from_page(tree: SourceTree) -> dict[str, list[str]]:
    """Sentences by id, from the table of the home page."""
    found = tree.find("*.html" if tree.has("*.html") else "*.htm")
    page = _Page(str(tree.folder / found))
    page.feed(_decoded(tree.read(found, _MAX_PAGE_BYTES), page.file))
    page.close()
    if not page.sentences:
        raise DataError(f"{page.file} has no table of pictures and sentences; is it the page pascal-sentences?")
    return page.sentences


class _Page(HTMLParser):
    """Collects the cells that follow a picture, up to the next picture."""

    def __init__(self, file: str) -> None:
        super().__init__(convert_charrefs=True)
        self.file = file
        self.sentences: dict[str, list[str]] = {}
        self._current: list[str] | None = None
        self._cell: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            source = dict(attrs).get("src") or ""
            self._cell, self._current = [], None
            if source.lower().endswith(".jpg"):
                self._current = self.sentences.setdefault(_identify(source, self.file), [])
        elif tag == "td":
            self._cell = []

    def handle_data(self, data: str) -> None:
        self._cell.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            text = _raw.plain("".join(self._cell))
            self._cell = []
            if text and self._current is not None:
                self._current.append(text)


def _differences(sentences: dict[str, list[str]], pictures: dict[str, str]) -> list[str]:
    """What is left out, in words."""
    silent = sorted(i for i in pictures if not sentences.get(i))
    unseen = sorted(i for i in sentences if i not in pictures)
    notes = []
    if silent:
        notes.append(f"{len(silent)} pictures without sentences left out: {', '.join(silent[:3])}")
    if unseen:
        notes.append(f"{len(unseen)} sets of sentences without a picture left out: {', '.join(unseen[:3])}")
    return notes
