"""What names of arrays say: ``I_tr``, ``trImgCat``, ``train_texts_labels`` and their like, as the field writes them.

The names are those that released code reads: ``I_tr``, ``T_te``, ``L_db`` (shallow hashing in MATLAB), ``XAll``,
``YAll``, ``LAll``, ``FAll`` (DCMH and what followed it), ``train_imgs_deep``, ``train_texts_labels`` (SDML, DRCL),
``tr_img``, ``te_txt_lab`` (INRIA-Websearch), ``trImgCat`` (XMedia).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cmrbench.data.importing.roles import Role, all_roles

_PARTS = {
    "train": ("tr", "tra", "train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("te", "test", "testing"),
    "query": ("query", "queries", "qu"),
    "gallery": ("db", "database", "retrieval", "retr", "gallery"),
}
_MODALITIES = {
    "image": ("i", "img", "imgs", "image", "images"),
    "text": ("t", "txt", "txts", "text", "texts", "tag", "tags"),
    "audio": ("a", "aud", "audio"),
    "video": ("v", "vid", "video", "videos"),
    "3d": ("3d",),
}
_WEAK = {"x": "image", "y": "text"}
_LABEL = ("l", "lab", "labs", "label", "labels", "cat", "category", "categories", "gnd")
_IDS = ("id", "ids")
_FILES = ("f", "file", "files", "filename", "filenames")
_NAMES = ("name", "names")
_CLASS = ("class", "classes", *_LABEL)
_TEXTS = ("caption", "captions", "sentence", "sentences")
_INDEX = ("idx", "index", "indices", "ind", "inx")
_PIECES = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+[a-z]*")
_SPELT = ((re.compile(r"(?<![A-Za-z])[dD]3(?![0-9])"), "3d"), (re.compile("Data[_]?[Bb]ase"), "Database"))
_CAPITALS = re.compile(r"^([A-Z])(ALL|all)$")


@dataclass(frozen=True)
class Meaning:
    """What a name says.

    Attributes
    ----------
    role : Role
    weak : bool
        By a letter that means other things elsewhere (``X``, ``Y``).
    """

    role: Role
    weak: bool = False


def meaning(name: str, modalities: tuple[str, ...]) -> Meaning | None:
    """The role that an array's name speaks of, or None."""
    if name in all_roles(modalities):  # what `data export` writes
        return Meaning(Role.parse(name, modalities))
    words = _words(name)
    part = next((p for p, spelt in _PARTS.items() for w in words if w in spelt), "")
    modality = _modality(name, words, modalities)
    weak = False
    if any(w in _INDEX for w in words):
        return None
    if "split" in words or "splits" in words:
        return Meaning(Role("split"))
    if any(w in _CLASS for w in words) and any(w in _NAMES for w in words):
        return Meaning(Role("class_names"))
    if any(w in _LABEL for w in words):
        return Meaning(Role("label", modality, part))
    if any(w in _IDS for w in words):
        return Meaning(Role("ids", modality, part))
    if any(w in _FILES for w in words):
        return Meaning(Role("ids", "image" if "image" in modalities else "", part))
    if any(w in _TEXTS for w in words) and "text" in modalities:
        return Meaning(Role("texts", "text", part))
    if not modality:
        modality = next((_WEAK[w] for w in words if w in _WEAK), "")
        weak = True
    if not modality or modality not in modalities:
        return None
    return Meaning(Role("features", modality, part), weak)


def _modality(name: str, words: list[str], modalities: tuple[str, ...]) -> str:
    """The modality that is named; a dataset's own names of modalities count whole."""
    lower = name.lower()
    for modality in sorted(modalities, key=len, reverse=True):
        if re.search(rf"(?<![a-z0-9]){re.escape(modality.lower())}(?![a-z0-9])", lower.replace("_", " ")) or (
            "_" in modality and modality.lower() in lower
        ):
            return modality
    long_first = sorted(words, key=len, reverse=True)
    return next((m for w in long_first for m, spelt in _MODALITIES.items() if w in spelt and m in modalities), "")


def _words(name: str) -> list[str]:
    """``"trImgCat"`` as ``["tr", "img", "cat"]``, in lower case."""
    last = name.rsplit("/", 1)[-1]
    capital = _CAPITALS.match(last)
    if capital:
        return [capital.group(1).lower(), "all"]
    for pattern, spelt in _SPELT:
        name = pattern.sub(spelt, name)
    return [piece.lower() for piece in _PIECES.findall(name)]
