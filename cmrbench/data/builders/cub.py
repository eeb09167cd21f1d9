"""CUB-200-2011: 11,788 pictures of 200 kinds of birds, with ten sentences each.

Wah et al., technical report CNS-TR-2011-001; the sentences: Reed et al., CVPR 2016. Files, each plain or in its
archive:

- CUB_200_2011.tgz: ``CUB_200_2011/images.txt`` (a picture's number and its file, ``001.Black_footed_Albatross/x.jpg``),
  ``classes.txt`` (a class's number and name), ``image_class_labels.txt`` and ``train_test_split.txt`` (a picture's
  number and its class, or 1 for training), and the pictures;
- the archive of the sentences: ``text_c10/001.Black_footed_Albatross/x.txt``, a sentence a line, UTF-8.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.archives.lines import split_lines
from cmrbench.data.arrays import as_labels
from cmrbench.data.builders import _raw
from cmrbench.data.builders.base import BuilderOptions, BuildRequest

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree
    from cmrbench.data.content import Content

VERSION = 1
PICTURES = 11_788
SENTENCES = 10

_LISTS = ("classes.txt", "image_class_labels.txt", "images.txt", "train_test_split.txt")


class Options(BuilderOptions):
    """What a text item is.

    Attributes
    ----------
    captions : ``"each"`` or ``"joined"``
        A text item is one sentence (``17#0`` to ``17#9`` of picture 17), or all sentences of a picture joined by a
        blank.
    """

    captions: Literal["each", "joined"] = "each"


def build(request: BuildRequest) -> Content:
    """Read pictures, classes and sentences; there are no features yet.

    Returns
    -------
    Content
        Modalities ``image`` and ``text`` of kind ``raw``, in the order of images.txt; ids of pictures are their
        numbers there. Classes are named without number and underscores. The source's split is ``train`` and
        ``query``.

    Raises
    ------
    DataError
        If a file is missing, the lists do not go over the same pictures, or there are no sentences.
    """
    _raw.modalities(request)
    options, tree = Options.model_validate(request.options), request.tree
    lists = _lists(tree)
    files, classes = lists["images.txt"], lists["classes.txt"]
    class_of = _whole(tree, lists, "image_class_labels.txt", {int(c) for c in classes})
    training = _whole(tree, lists, "train_test_split.txt", {0, 1})
    notes: list[str] = []
    sentences = _sentences(tree, notes)
    stems = {number: name.rpartition(".")[0] for number, name in files.items()}
    known = set(stems.values())
    strange = sum(stem not in known for stem in sentences)
    if strange:
        notes.append(f"{strange:,} files of sentences belong to no picture")
    ids = [number for number, stem in stems.items() if sentences.get(stem)]
    if not ids:
        raise DataError(
            f"{tree.folder}: no sentences belong to the pictures of images.txt, such as {next(iter(stems.values()))}"
        )
    if len(ids) < len(stems):
        notes.append(f"{len(stems) - len(ids):,} pictures without sentences left out")
    captions = [[(f"{i}#{k}", text) for k, text in enumerate(sentences[stems[i]])] for i in ids]
    odd = sum(len(c) != SENTENCES for c in captions)
    if odd:
        notes.append(f"{odd:,} pictures have more or fewer than {SENTENCES} sentences")
    if len(files) != PICTURES:
        notes.append(f"{len(files):,} pictures are listed; the official list has {PICTURES:,}")
    pictures = _raw.pictures(
        tree,
        ["images/*/*.jpg"],
        lambda name: "/".join(name.split("/")[-2:]),
        [files[i] for i in ids],
    )
    if pictures is None:
        raise DataError(f"{tree.folder} holds none of the pictures, such as images/{files[ids[0]]}")
    codes = sorted(int(c) for c in classes)
    labels = as_labels(np.searchsorted(codes, [class_of[i] for i in ids]), str(tree.folder), len(codes))
    return _raw.Captioned(
        ids=ids,
        labels=labels,
        classes=tuple(_plain_name(classes[str(c)]) for c in codes),
        captions=captions,
        splits=np.array(["train" if training[i] else "query" for i in ids]),
        pictures=pictures,
    ).content(request, options.captions, notes)


def _lists(tree: SourceTree) -> dict[str, dict[str, str]]:
    """What each list says of each number, in the order of the list."""
    names = {tree.find(f"CUB_200_2011/{name}"): name for name in _LISTS}
    lists: dict[str, dict[str, str]] = {}
    # In the order of the archive: a compressed one is read once then.
    for found in (n for n in tree.names() if n in names):
        told: dict[str, str] = {}
        for number, line in enumerate(tree.lines(found), 1):
            key, _, value = line.strip().partition(" ")
            if not key:
                continue
            if not _raw.is_number(key) or not value or key in told:
                raise DataError(
                    f"{tree.folder / found} line {number}: expected a new number, a blank and a value, "
                    f"found {line[:80]!r}"
                )
            told[str(int(key))] = value
        if not told:
            raise DataError(f"{tree.folder / found} is empty")
        lists[names[found]] = told
    return lists


def _whole(tree: SourceTree, lists: dict[str, dict[str, str]], name: str, allowed: set[int]) -> dict[str, int]:
    """The whole numbers that a list gives to exactly the pictures of images.txt."""
    told, where = lists[name], tree.folder / tree.find(f"CUB_200_2011/{name}")
    different = set(told) ^ set(lists["images.txt"])
    if different:
        raise DataError(
            f"{where} has {len(told):,} pictures and images.txt {len(lists['images.txt']):,}, and only one of them has "
            f"picture {min(different, key=int)}; is the file complete?"
        )
    for number, value in told.items():
        if not (_raw.is_number(value) and int(value) in allowed):
            raise DataError(f"{where}: picture {number} has {value[:40]!r}, which is not one of the values expected")
    return {number: int(value) for number, value in told.items()}


def _sentences(tree: SourceTree, notes: list[str]) -> dict[str, list[str]]:
    """Sentences by ``<class>/<picture>``."""
    sentences: dict[str, list[str]] = {}
    damaged = 0
    for name, stream in tree.iterate("text_c10/*/*.txt"):
        stem = "/".join(name.split("/")[-2:])[:-4]
        if stem in sentences:
            raise DataError(f"{tree.folder} holds sentences of {stem} twice, the second time in {name}")
        lines = (_raw.plain(line) for line in split_lines(stream, str(tree.folder / name), "utf-8"))
        sentences[stem] = [line for line in lines if line]
        damaged += sum("\ufffd" in line for line in sentences[stem])
    if not sentences:
        raise DataError(
            f"{tree.folder} holds no text_c10/<class>/<picture>.txt: the sentences of Reed et al. come separately "
            "(github.com/reedscot/cvpr2016)"
        )
    if damaged:
        notes.append(f"{damaged:,} sentences hold U+FFFD in the source, where a character was lost")
    return sentences


def _plain_name(name: str) -> str:
    """``Black footed Albatross`` for ``001.Black_footed_Albatross``."""
    return re.sub(r"^[0-9]+\.", "", name).replace("_", " ")
