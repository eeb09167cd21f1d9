"""Media with captions out of their official annotation files: no features yet, only texts and where raw files lie.

`cmrbench extract` makes features of them, `cmrbench data import` brings some. One layout a dataset or family; what each
one's files hold, and from where that is known, is written at its reader in `_caption_images` and `_caption_media`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, model_validator

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.builders._caption_files import Captioned, MediaFiles, StoredTexts
from cmrbench.data.builders._caption_images import flickr, karpathy, recipe1m
from cmrbench.data.builders._caption_media import audiocaps, clotho, msrvtt, vatex
from cmrbench.data.builders._raw import undescribed
from cmrbench.data.builders.base import BuilderOptions, BuildRequest
from cmrbench.data.content import Content

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree

VERSION = 1
Layout = Literal["flickr", "karpathy", "recipe1m", "clotho", "audiocaps", "msrvtt", "vatex"]
_Reader = Callable[["SourceTree", "Options", list[str]], Iterator[Captioned]]

READERS: dict[str, tuple[str, _Reader, frozenset[str]]] = {
    "flickr": ("image", flickr, frozenset({"file"})),
    "karpathy": ("image", karpathy, frozenset({"file", "restval"})),
    "recipe1m": ("image", recipe1m, frozenset({"train_pictures", "test_pictures"})),
    "clotho": ("audio", clotho, frozenset()),
    "audiocaps": ("audio", audiocaps, frozenset()),
    "msrvtt": ("video", msrvtt, frozenset({"split"})),
    "vatex": ("video", vatex, frozenset({"language"})),
}
"""The modality beside ``text``, the reader, and the options that are this layout's own."""


class Options(BuilderOptions):
    """Which annotation files, and what is taken of them.

    Attributes
    ----------
    layout : str
        A key of `READERS`.
    captions : int or None
        Most captions of an item, the first ones; image-text matching takes five of COCO's five to seven. None: all.
    file : str
        The annotation file, where several are there (``dataset_coco.json``).
    restval : bool
        Whether Karpathy's ``restval`` is part of train, as the field has it.
    train_pictures, test_pictures : int
        Most pictures of a recipe, the first ones.
    split : ``"official"``, ``"1k-a"`` or ``"1k-a-7k"``
        Of MSR-VTT.
    language : ``"en"`` or ``"zh"``
        Of VATEX.
    """

    layout: Layout
    captions: int | None = Field(None, ge=1)
    file: str = ""
    restval: bool = True
    train_pictures: int = Field(5, ge=1)
    test_pictures: int = Field(1, ge=1)
    split: Literal["official", "1k-a", "1k-a-7k"] = "official"
    language: Literal["en", "zh"] = "en"

    @model_validator(mode="after")
    def _of_the_layout(self) -> Options:
        foreign = sorted(self.model_fields_set - {"layout", "captions"} - READERS[self.layout][2])
        if foreign:
            raise ValueError(f"the layout {self.layout!r} has no option {foreign[0]!r}")
        return self


def build(request: BuildRequest) -> Content:
    """All items of a captioned dataset, with features of no columns.

    Raises
    ------
    DataError
        If a file is not what it should be, or holds nothing.
    """
    options = Options.model_validate(request.options)
    medium, reader, _ = READERS[options.layout]
    kinds = {m: spec.kind for m, spec in request.feature_set.modalities.items()}
    if kinds != {medium: "raw", "text": "raw"}:
        shown = ", ".join(f"{m} ({kind})" for m, kind in kinds.items())
        raise DataError(f"{request.name}: the layout {options.layout!r} gives raw {medium} and raw text, not {shown}")
    gathered = _Gathered(options, request, medium)
    notes: list[str] = []
    for record in reader(request.tree, options, notes):
        gathered.add(record)
    return gathered.content(tuple(notes))


class _Gathered:
    """Items of both modalities, as records come in."""

    def __init__(self, options: Options, request: BuildRequest, medium: str) -> None:
        self.most = options.captions
        self.request = request
        self.modalities = (medium, "text")
        self.files = MediaFiles(request.tree)
        self.ids: dict[str, list[str]] = {m: [] for m in self.modalities}
        self.instances: dict[str, list[str]] = {m: [] for m in self.modalities}
        self.splits: dict[str, list[str | None]] = {m: [] for m in self.modalities}
        self.references: list[str] = []
        self.texts = StoredTexts(request.scratch / "texts")
        self.empty = self.surplus = self.silent = 0

    def add(self, record: Captioned) -> None:
        """Take over an instance, unless it has no caption."""
        told = [(caption_id, text) for caption_id, text in record.captions if text]
        kept = told[: self.most]
        self.empty += len(record.captions) - len(told)
        self.surplus += len(told) - len(kept)
        if not kept:
            self.silent += 1
            return
        for media_id, official in record.media:
            self._item(self.modalities[0], media_id, record)
            self.references.append(self.files.reference(official))
        for caption_id, text in kept:
            self._item("text", caption_id, record)
            self.texts.append(text)

    def _item(self, modality: str, item: str, record: Captioned) -> None:
        self.ids[modality].append(item)
        self.instances[modality].append(record.instance)
        self.splits[modality].append(record.split)

    def content(self, notes: tuple[str, ...]) -> Content:
        """Everything that was added."""
        medium = self.modalities[0]
        folder = str(self.request.tree.folder)
        if not self.references:
            raise DataError(f"{folder}: the annotation files hold no {medium} with a caption")
        counted = (
            (self.empty, "empty captions are left out"),
            (self.surplus, f"captions beyond the first {self.most} are left out"),
            (self.silent, f"{medium} items without a caption are left out"),
        )
        unsplit = all(split is None for split in self.splits["text"])
        return Content(
            file=folder,
            items={m: self._items(m) for m in self.modalities},
            splits=None if unsplit else {m: np.array([s or "" for s in self.splits[m]]) for m in self.modalities},
            classes=(),
            notes=(
                *notes,
                *(f"{n:,} {what}" for n, what in counted if n),
                "text: white space is made single spaces",
                f"{self.files.found:,} of {len(self.references):,} {medium} files are among the sources",
            ),
            texts={"text": self.texts},
            pictures={medium: self.references},
        )

    def _items(self, modality: str) -> Items:
        ids = np.array(self.ids[modality])
        return Items(modality, undescribed(len(ids)), ids, np.array(self.instances[modality]))
