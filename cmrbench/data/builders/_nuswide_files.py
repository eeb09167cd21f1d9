"""The files of NUS-WIDE, one by one: every list is held against the list of pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.builders._number_rows import whole_number_rows

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree

N_TAGS = 1000
RowReader = Callable[[BinaryIO, str, int], Iterator[np.ndarray]]

_LISTED = re.compile(r"(?:^|[\\/])([^\\/]+)[\\/]([0-9]+_([0-9]+))\.jpg$", re.IGNORECASE)


def image_list(tree: SourceTree, name: str) -> tuple[np.ndarray, np.ndarray]:
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


def blocks(tree: SourceTree, name: str, read: RowReader, columns: int, n: int) -> Iterator[tuple[int, np.ndarray]]:
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
    for start, block in blocks(tree, name, whole_number_rows, columns, n):
        if block.max(initial=0) > 1:
            row = int((block > 1).any(1).argmax())
            raise DataError(
                f"{tree.folder / tree.find(name)} line {start + row + 1}: expected 0 or 1, found {block[row].max()}"
            )
        yield start, block


def read_labels(tree: SourceTree, classes: tuple[str, ...], n: int) -> np.ndarray:
    """Multi-hot labels of these concepts, (n, C) uint8."""
    labels = np.zeros((n, len(classes)), np.uint8)
    for column, concept in enumerate(classes):
        for start, block in _binary(tree, f"AllLabels/Labels_{concept}.txt", 1, n):
            labels[start : start + len(block), column] = block[:, 0]
    return labels


def read_tags(tree: SourceTree, n: int) -> np.ndarray:
    """Eight tags a byte: (n, 125) uint8, 34 MB for all pictures."""
    tags = np.zeros((n, N_TAGS // 8), np.uint8)
    for start, block in _binary(tree, "AllTags1k.txt", N_TAGS, n):
        tags[start : start + len(block)] = np.packbits(block.astype(np.uint8), axis=1)
    return tags


def listed_tags(tree: SourceTree, tags: np.ndarray) -> list[str]:
    """Of each row of `tags`, the names by TagList1k.txt, separated by blanks."""
    found = tree.find("TagList1k.txt")
    names = [line.strip() for line in tree.lines(found) if line.strip()]
    if len(names) != N_TAGS:
        raise DataError(f"{tree.folder / found} names {len(names):,} tags, but AllTags1k.txt has {N_TAGS:,} columns")
    return [" ".join(names[k] for k in np.flatnonzero(np.unpackbits(row))) for row in tags]


def all_tags(tree: SourceTree, photos: np.ndarray, rows: np.ndarray) -> list[str]:
    """Of each chosen row, all tags that All_Tags.txt has; `photos` are the numbers of all rows."""
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


def official_split(tree: SourceTree, ids: np.ndarray) -> np.ndarray | None:
    """``train`` and ``query`` by the official lists; None where they are not there."""
    if not (tree.has("TrainImagelist.txt") and tree.has("TestImagelist.txt")):
        return None
    split: dict[str, str] = {}
    for half, name in (("train", "TrainImagelist.txt"), ("query", "TestImagelist.txt")):
        for i in image_list(tree, name)[0].tolist():
            if i in split:
                raise DataError(f"{tree.folder / tree.find(name)}: {i} is in a list twice")
            split[i] = half
    return np.array([split.get(i, "") for i in ids.tolist()], dtype="<U7")


def find_pictures(tree: SourceTree, ids: np.ndarray) -> list[str | None]:
    """Where each picture lies; None: not there."""
    known = {"/".join(name.split("/")[-2:])[:-4].lower(): name for name in tree.find_all("*.jpg")}
    return [known.get(i.lower()) for i in ids.tolist()]
