"""The Wikipedia dataset's own files: features and lists, and in the archive of UCSD SVCL texts and pictures.

Rasiwasia et al., ACM MM 2010. Files, in the archive or unpacked, found by the end of their names:

- ``raw_features.mat`` (``I_tr``, ``T_tr``, ``I_te``, ``T_te``), ``trainset_txt_img_cat.list`` and
  ``testset_txt_img_cat.list`` (``text id``, ``image id``, category from 1), also to be had without the archive;
- ``texts/<text id>.xml``: a document with ``<text>`` and the id of its picture, ``<image id=...>``. Not well-formed:
  the text holds bare ``&`` and ``<``. It is searched as text and never given to an XML parser;
- ``images/<category>/<image id>.jpg`` and ``categories.list``.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.arrays import as_features, as_labels, as_strings
from cmrbench.data.builders._raw import plain, undescribed
from cmrbench.data.builders.base import BuildRequest
from cmrbench.data.content import Content
from cmrbench.data.files import open_arrays

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree

MATLAB = "raw_features.mat"
LISTS = {"train": "trainset_txt_img_cat.list", "query": "testset_txt_img_cat.list"}
_MATRICES = {"image": ("I_tr", "I_te"), "text": ("T_tr", "T_te")}
_MAX_TEXT_BYTES = 4 << 20
_TEXT = re.compile(r"<(/?)text(?:\s[^<>]{0,200})?>", re.IGNORECASE)
_PICTURE = re.compile(r"<image\s[^<>]{0,200}?\bid\s{0,5}=\s{0,5}[\"']?([^\"'\s<>]{1,200})", re.IGNORECASE)
_DECLARED = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


def read_files(request: BuildRequest, whole: bool) -> Content:
    """Read the archive (`whole`), or the features and lists alone; the 693 test items are the split ``query``.

    Returns
    -------
    Content
        The same ids, instances, labels, order and features in both cases; of the archive with texts and pictures,
        and modalities of kind ``raw`` with these only.

    Raises
    ------
    DataError
        If lists, matrices, texts and pictures do not belong together, or a text declares entities.
    """
    tree = request.tree
    lists = {split: _listed(tree, name) for split, name in LISTS.items()}
    entries = [entry for listed in lists.values() for entry in listed]
    file = str(tree.folder / tree.find(MATLAB))
    n, classes = len(entries), _classes(request)
    labels = as_labels(np.array([category for _, _, category in entries]), file, len(classes))
    ids = {
        "text": as_strings(np.array([text for text, _, _ in entries]), file, "text id", n),
        "image": as_strings(np.array([image for _, image, _ in entries]), file, "image id", n),
    }
    notes: list[str] = []
    items = {}
    for modality, spec in request.feature_set.modalities.items():
        if modality not in _MATRICES:
            raise DataError(f"dataset {request.name!r}: the archive has image and text, not {modality!r}")
        features = undescribed(n)
        if spec.kind != "raw":
            features, note = as_features(_matrix(request, modality, lists), file, modality)
            notes.append(note)
        items[modality] = Items(modality, features, ids[modality], ids["text"], labels)
    splits = np.array([split for split, listed in lists.items() for _ in listed])
    return Content(
        file=file,
        items=items,
        splits=dict.fromkeys(items, splits),
        classes=classes,
        texts={"text": _texts(tree, ids, notes)} if whole and "text" in items else {},
        pictures={"image": _pictures(tree, ids["image"], labels, classes, notes)} if whole and "image" in items else {},
        notes=tuple(filter(None, notes)),
    )


def _listed(tree: SourceTree, name: str) -> list[tuple[str, str, int]]:
    """Lines of ``text id, image id, category``, the category from 0."""
    found = tree.find(name)
    entries = []
    for number, line in enumerate(tree.lines(found), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3 or not re.fullmatch(r"[1-9][0-9]{0,3}", fields[2]):
            raise DataError(
                f"{tree.folder / found} line {number}: expected 'text-id image-id category', found {line[:80]!r}"
            )
        entries.append((fields[0], fields[1], int(fields[2]) - 1))
    if not entries:
        raise DataError(f"{tree.folder / found} lists nothing")
    return entries


def _classes(request: BuildRequest) -> tuple[str, ...]:
    """The catalogue's names, which those of categories.list must be, where there is one."""
    tree, entry = request.tree, request.entry
    known = tuple(entry.labels.names or ()) if entry.labels else ()
    if not tree.has("categories.list"):
        return known
    found = tree.find("categories.list")
    listed = tuple(line.split()[-1] for line in tree.lines(found) if line.split())
    if known and listed != known:
        raise DataError(f"{tree.folder / found} lists {', '.join(listed)[:200]}; the catalogue says {', '.join(known)}")
    return listed


def _matrix(request: BuildRequest, modality: str, lists: dict[str, list[tuple[str, str, int]]]) -> np.ndarray:
    """Training rows, then test rows."""
    path = request.tree.path(request.tree.find(MATLAB), request.scratch)
    parts = []
    with open_arrays(path) as arrays:
        for name, (split, listed) in zip(_MATRICES[modality], lists.items(), strict=True):
            rows = arrays[name].read()
            if len(rows) != len(listed):
                raise DataError(
                    f"{path}: {name} has {len(rows)} {modality} rows, but {LISTS[split]} has {len(listed)} lines"
                )
            parts.append(rows)
    return np.concatenate(parts)


def _texts(tree: SourceTree, ids: dict[str, np.ndarray], notes: list[str]) -> list[str]:
    """The section of each item, white space as single blanks."""
    wanted = dict(zip(ids["text"].tolist(), ids["image"].tolist(), strict=True))
    texts: dict[str, str] = {}
    latin = other = 0
    for name, stream in tree.iterate("texts/*.xml"):
        text_id = name.rpartition("/")[2][:-4]
        if text_id not in wanted:
            continue
        where = str(tree.folder / name)
        raw = stream.read(_MAX_TEXT_BYTES + 1)
        texts[text_id], picture, was_latin = section(raw, where)
        latin += was_latin
        other += picture not in ("", wanted[text_id])
    missing = [i for i in wanted if i not in texts]
    if missing:
        raise DataError(f"{tree.folder}: {len(missing)} texts are missing, texts/{missing[0]}.xml the first")
    if latin:
        notes.append(f"{latin} texts are not UTF-8 and were read as Latin-1")
    if other:
        notes.append(f"{other} texts name another picture than the lists; the lists were followed")
    empty = sum(not t for t in texts.values())
    if empty:
        notes.append(f"{empty} texts are empty")
    return [texts[i] for i in ids["text"].tolist()]


def section(raw: bytes, where: str) -> tuple[str, str, bool]:
    """The text of a document, the id of its picture (``""``: not named), and whether it was read as Latin-1.

    Tolerant: what stands between ``<text>`` and ``</text>`` is taken as it is, bare ``&`` and ``<`` included. Character
    references such as ``&amp;`` are resolved once; nothing is expanded.

    Raises
    ------
    DataError
        If the document is too large, declares a document type or entities, or has no closed ``<text>``.
    """
    if len(raw) > _MAX_TEXT_BYTES:
        raise DataError(f"{where} has more than {_MAX_TEXT_BYTES:,} bytes; it is no section of an article")
    if _DECLARED.search(raw):
        raise DataError(
            f"{where} declares a document type or entities, which the dataset's texts do not; it is not read"
        )
    try:
        document, latin = raw.decode("utf-8-sig"), False
    except UnicodeDecodeError:
        document, latin = raw.decode("latin-1"), True
    sections, start = [], -1
    for tag in _TEXT.finditer(document):
        if tag[1] and start >= 0:
            sections.append(document[start : tag.start()])
            start = -1
        elif not tag[1] and start < 0:
            start = tag.end()
    if not sections:
        raise DataError(f"{where} has no closed <text>; is the file complete?")
    picture = _PICTURE.search(document)
    text = plain(html.unescape(" ".join(sections)))
    return text, picture[1] if picture else "", latin


def _pictures(
    tree: SourceTree, ids: np.ndarray, labels: np.ndarray, classes: tuple[str, ...], notes: list[str]
) -> list[str]:
    """Where each item's picture lies."""
    known: dict[str, str] = {}
    for name in tree.find_all("images/*/*.jpg"):
        stem = name.rpartition("/")[2][:-4]
        if stem in known:
            raise DataError(f"{tree.folder}: {name} and {known[stem]} have the same image id")
        known[stem] = name
    missing = [i for i in ids.tolist() if i not in known]
    if missing:
        raise DataError(
            f"{tree.folder}: {len(missing)} pictures are missing, images/<category>/{missing[0]}.jpg the first"
        )
    pictures = [known[i] for i in ids.tolist()]
    elsewhere = sum(p.split("/")[-2] != classes[k] for p, k in zip(pictures, labels.argmax(1).tolist(), strict=True))
    if elsewhere:
        notes.append(f"{elsewhere} pictures are in the folder of another category than the lists give them")
    return pictures
