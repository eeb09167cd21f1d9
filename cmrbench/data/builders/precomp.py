"""Region features with captions, as the package of SCAN holds them for Flickr30K and MS-COCO.

Lee et al., ECCV 2018; the layout is older than SCAN (VSE++, Faghri et al., BMVC 2018) and most image-text matching code
since reads it. Facts from `data.py` of github.com/kuanghuei/SCAN. Files of a split, found by the end of their name:

- ``train_ims.npy``: (n, 36, 2048) float32, the regions of bottom-up attention (Anderson et al., CVPR 2018), one row a
  picture, or (5n, 36, 2048) with every picture five times in a row; (n, d) where a package holds one vector a picture;
- ``train_caps.txt``: 5n lines, the captions of a picture one after another, in the order of the pictures;
- ``train_ids.txt``, optional: n lines, one a picture, or 5n lines, one a caption.

``dev`` and ``test`` likewise. ``coco_precomp`` holds the 5,000 test pictures as ``testall`` and 1,000 of them as
``test``. Boxes (``train_boxes.npy``) are left alone. The kind of a modality decides what is made of it: a ``set`` keeps
the regions, a ``vector`` is their mean; captions become ``tokens``, or a ``vector`` of word counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from cmrbench.core.errors import DataError
from cmrbench.core.items import Items
from cmrbench.data.arrays import release, scratch_array
from cmrbench.data.builders._npy_stream import read_header, read_rows
from cmrbench.data.builders.base import BuilderOptions, BuildRequest
from cmrbench.data.content import Content
from cmrbench.data.words import Vocabulary

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree

VERSION = 1
CAPTIONS = 5
_BLOCK_BYTES = 32 << 20


class Options(BuilderOptions):
    """What is taken of a package.

    Attributes
    ----------
    folder : str
        The package's folder, where an archive holds several (``coco_precomp``); it may be missing where it is alone.
    test : ``"test"`` or ``"testall"``
        The files that the queries and the gallery come from.
    min_count : int
        Words that the training captions hold less often are unknown.
    columns : int
        Most columns of word counts, for captions of kind ``vector``.
    store : ``"source"`` or ``"float16"``
        What regions are stored as; float16 takes half the space.
    """

    folder: str = ""
    test: Literal["test", "testall"] = "test"
    min_count: int = Field(4, ge=1)
    columns: int = Field(2000, ge=2)
    store: Literal["source", "float16"] = "source"


@dataclass(frozen=True, eq=False)
class _Part:
    """The files of one split: captions, ids, and where the features lie."""

    file: str
    split: str
    captions: list[str]
    pictures: list[str]
    caption_ids: list[str]
    shape: tuple[int, ...]
    dtype: np.dtype


def build(request: BuildRequest) -> Content:
    """All pictures and captions of a package.

    Raises
    ------
    DataError
        If counts do not fit, a caption is empty, or an array is cut short or none of real numbers.
    """
    options = Options.model_validate(request.options)
    kinds = {m: spec.kind for m, spec in request.feature_set.modalities.items()}
    if kinds.keys() != {"image", "text"}:
        raise DataError(f"{request.name}: builder 'precomp' gives image and text, not {', '.join(kinds)}")
    stems = {"train": "train", "dev": "val", options.test: "query"}
    parts = [_part(request.tree, options.folder, stem, split) for stem, split in stems.items()]
    _check_parts(parts, request.tree)
    notes: list[str] = []
    image = _images(request, parts, kinds["image"], options, notes)
    captions = [caption for part in parts for caption in part.captions]
    text = _texts(request, parts, captions, kinds["text"], options, notes)
    pictures = np.array([p for part in parts for p in part.pictures])
    caption_ids = np.array([c for part in parts for c in part.caption_ids])
    splits = np.repeat([part.split for part in parts], [len(part.pictures) for part in parts])
    return Content(
        file=str(request.tree.folder / parts[0].file),
        items={
            "image": Items("image", image, pictures, pictures),
            "text": Items("text", text, caption_ids, np.repeat(pictures, CAPTIONS)),
        },
        splits={"image": splits, "text": np.repeat(splits, CAPTIONS)},
        classes=(),
        notes=tuple(notes),
        texts={"text": captions},
    )


def _pattern(tree: SourceTree, folder: str, name: str) -> str:
    """Where a file is looked for: in the package's folder, or anywhere if the package was brought without it."""
    inside = f"{folder}/{name}"
    return inside if folder and tree.has(inside) else name


def _part(tree: SourceTree, folder: str, stem: str, split: str) -> _Part:
    file = tree.find(_pattern(tree, folder, f"{stem}_ims.npy"))
    listed = tree.find(_pattern(tree, folder, f"{stem}_caps.txt"))
    captions = []
    for number, line in enumerate(tree.lines(listed), start=1):
        if not line.strip():
            raise DataError(f"{tree.folder / listed} line {number}: the caption is empty; every picture needs five")
        captions.append(line.strip())
    if not captions or len(captions) % CAPTIONS:
        raise DataError(
            f"{tree.folder / listed} has {len(captions)} captions; expected five a picture, in the pictures' order"
        )
    n = len(captions) // CAPTIONS
    with closing(tree.open(file)) as stream:
        shape, dtype = read_header(stream, str(tree.folder / file))
    if shape[0] not in (n, len(captions)):
        raise DataError(
            f"{tree.folder / file} has {shape[0]} rows, but {listed} has {len(captions)} captions: expected {n} rows, "
            f"one a picture, or {len(captions)}"
        )
    pictures, caption_ids = _ids(tree, folder, stem, n)
    return _Part(file, split, captions, pictures, caption_ids, shape, dtype)


def _ids(tree: SourceTree, folder: str, stem: str, n: int) -> tuple[list[str], list[str]]:
    """Ids of pictures and captions: those of the package, or the split's name and the row."""
    pictures = [f"{stem}-{row}" for row in range(n)]
    pattern = _pattern(tree, folder, f"{stem}_ids.txt")
    if tree.has(pattern):
        name = tree.find(pattern)
        listed = [line.strip() for line in tree.lines(name)]
        if "" in listed:
            raise DataError(f"{tree.folder / name} line {listed.index('') + 1}: the id is empty")
        by_picture = [listed[k : k + CAPTIONS] for k in range(0, len(listed), CAPTIONS)]
        if len(listed) == n:
            pictures = listed
        elif len(listed) != n * CAPTIONS:
            raise DataError(
                f"{tree.folder / name} has {len(listed)} ids; expected {n}, one a picture, or {n * CAPTIONS}"
            )
        elif all(len(set(ids)) == 1 for ids in by_picture):
            pictures = [ids[0] for ids in by_picture]
        else:
            return pictures, listed
    return pictures, [f"{picture}#{k}" for picture in pictures for k in range(CAPTIONS)]


def _check_parts(parts: Sequence[_Part], tree: SourceTree) -> None:
    first = parts[0]
    for part in parts[1:]:
        if part.shape[1:] != first.shape[1:]:
            raise DataError(
                f"{tree.folder / part.file} has rows of shape {part.shape[1:]}, {first.file} of {first.shape[1:]}"
            )
    seen: dict[str, _Part] = {}
    for part in parts:
        for picture in part.pictures:
            if picture in seen:
                raise DataError(
                    f"{tree.folder / part.file}: picture {picture} stands twice, in {seen[picture].split} and "
                    f"{part.split}; correct the files *_ids.txt, or leave them away"
                )
            seen[picture] = part


def _images(request: BuildRequest, parts: Sequence[_Part], kind: str, options: Options, notes: list[str]) -> np.ndarray:
    """Regions or their mean, of all pictures, in a file of the scratch folder."""
    row = parts[0].shape[1:]
    pooled = kind == "vector"
    if kind not in ("vector", "set") or len(row) not in ((1, 2) if pooled else (2,)):
        file = request.tree.folder / parts[0].file
        raise DataError(f"{file} has rows of shape {row}, which do not give an image of kind {kind!r}")
    dtype = _stored(parts, pooled, options, notes)
    n = sum(len(part.pictures) for part in parts)
    out = scratch_array(request.scratch, "image", (n, row[-1]) if pooled else (n, *row), dtype)
    if pooled and len(row) == 2:
        notes.append(f"image: mean of {row[0]} regions")
    at = 0
    for part in parts:
        times = part.shape[0] // len(part.pictures)
        if times > 1:
            notes.append(f"image: {part.file} holds every picture {times} times in a row; kept once")
        for block in _pictures(request.tree, part, times):
            if pooled and block.ndim == 3:
                block = block.mean(axis=1, dtype=np.float64)
            with np.errstate(over="ignore"):
                out[at : at + len(block)] = block
            _check_overflow(out[at : at + len(block)], block, part, request.tree)
            at += len(block)
            release(out)
    return out


def _stored(parts: Sequence[_Part], pooled: bool, options: Options, notes: list[str]) -> np.dtype:
    widest = max(parts, key=lambda part: part.dtype.itemsize).dtype
    half = not pooled and (options.store == "float16" or widest.itemsize == 2)
    dtype: np.dtype = np.dtype(np.float16 if half else np.float32)
    if widest.itemsize > dtype.itemsize:
        notes.append(f"image: {widest.name} rounded to {dtype.name}")
    return dtype


def _check_overflow(stored: np.ndarray, block: np.ndarray, part: _Part, tree: SourceTree) -> None:
    if (np.isinf(stored) & np.isfinite(block)).any():
        raise DataError(f"{tree.folder / part.file} holds values that are too large for {stored.dtype.name}")


def _pictures(tree: SourceTree, part: _Part, times: int) -> Iterator[np.ndarray]:
    """One row a picture, in blocks; rows that stand several times must be equal.

    They are read forwards and once, so that members of archives need not be unpacked.
    """
    shown = str(tree.folder / part.file)
    row_bytes = part.dtype.itemsize * math.prod(part.shape[1:])
    step = max(1, _BLOCK_BYTES // (row_bytes * times)) * times
    start = 0
    with closing(tree.open(part.file)) as stream:
        read_header(stream, shown)
        for rows in read_rows(stream, shown, part.shape, part.dtype, step):
            copies = rows.reshape(len(rows) // times, times, *part.shape[1:])
            same = (copies == copies[:, :1]).reshape(len(copies), -1).all(axis=1)
            if not same.all():
                first = start + int(np.argmin(same)) * times
                raise DataError(
                    f"{shown} has as many rows as there are captions, but rows {first} to {first + times - 1} differ: "
                    "expected every picture's row once, or five times"
                )
            start += len(rows)
            yield copies[:, 0]


def _texts(
    request: BuildRequest,
    parts: Sequence[_Part],
    captions: Sequence[str],
    kind: str,
    options: Options,
    notes: list[str],
) -> np.ndarray:
    """Tokens or word counts of all captions, by the vocabulary of the training captions."""
    if kind not in ("vector", "tokens"):
        raise DataError(f"{request.name}: captions do not give a text of kind {kind!r}; expected tokens or vector")
    vocabulary = Vocabulary.of(parts[0].captions, options.min_count)
    notes.append(
        f"text: words are those with {options.min_count} or more occurrences in the training captions, "
        f"{len(vocabulary):,} with the 4 special ones, SHA-256 {vocabulary.digest[:16]}"
    )
    if kind == "tokens":
        return vocabulary.tokens(captions)
    columns = min(options.columns, len(vocabulary) - 3)
    notes.append(f"text: counts of the {columns - 1:,} most frequent words; column 0 counts all others")
    out = scratch_array(request.scratch, "text", (len(captions), columns), np.float32)
    step = max(1, _BLOCK_BYTES // (4 * columns))
    for start in range(0, len(captions), step):
        vocabulary.bags(captions[start : start + step], columns, out[start : start + step])
        release(out)
    return out
