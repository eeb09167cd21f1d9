"""What the official annotation files of captioned media have in common: objects of JSON, rows of CSV, found media."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.builders._json_records import events

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree


@dataclass(frozen=True)
class Captioned:
    """One instance: a picture, sound or video (or several of one recipe) with its captions.

    Attributes
    ----------
    instance : str
        Its id.
    split : str or None
        ``train``, ``val`` or ``query``; None where the source draws no splits.
    media : tuple of (str, str)
        Id and official file name of each raw file, without an extension where the source names none.
    captions : tuple of (str, str)
        Id and text of each.
    """

    instance: str
    split: str | None
    media: tuple[tuple[str, str], ...]
    captions: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, instance: str, split: str | None, media: str, captions: Sequence[str]) -> Captioned:
        """One raw file, and captions that are numbered from 0."""
        numbered = tuple((f"{instance}#{k}", caption) for k, caption in enumerate(captions))
        return cls(instance, split, ((instance, media),), numbered)


def json_objects(tree: SourceTree, name: str, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a list in a JSON file, one at a time, each with its place for messages.

    Parameters
    ----------
    tree : SourceTree
    name : str
    path : str
        Where the list lies: ``"images"`` for ``{"images": [...]}``, ``""`` for a file that is the list.

    Raises
    ------
    DataError
        If the file is no JSON, is cut short, has no such list, or the list holds something else than objects.
    """
    import ijson

    shown, number = str(tree.folder / name), 0
    with closing(tree.open(name)) as stream:
        items = ijson.items(events(stream, shown), f"{path}.item" if path else "item")
        try:
            for number, found in enumerate(items, start=1):
                where = f"{shown} {path or 'object'} {number}"
                if not isinstance(found, dict):
                    raise DataError(f"{where} is {type(found).__name__}, expected an object")
                yield where, found
        except (ijson.JSONError, UnicodeDecodeError) as error:
            said = " ".join(str(error).split())[:120]
            raise DataError(f"{shown} is not JSON, or cut short, after {number} objects: {said}") from None
    if not number:
        raise DataError(f"{shown} holds no list {path!r} of objects" if path else f"{shown} holds no list of objects")


def text_in(found: Mapping[str, Any], key: str, where: str) -> str:
    """A text, or a whole number as text, of an object.

    Raises
    ------
    DataError
        If it is missing, empty or something else.
    """
    value = found.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: {key!r} is {value!r:.80}, expected a text")
    return value.strip()


def list_in(found: Mapping[str, Any], key: str, of: type, where: str) -> list[Any]:
    """A list of texts or of objects."""
    value = found.get(key)
    if not isinstance(value, list) or not all(isinstance(v, of) for v in value):
        kind = "texts" if of is str else "objects"
        raise DataError(f"{where}: {key!r} is {value!r:.80}, expected a list of {kind}")
    return value


def csv_rows(tree: SourceTree, name: str, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a CSV file with a header, each with its place for messages.

    Raises
    ------
    DataError
        If a column is missing, or a row has another number of fields than the header.
    """
    shown = str(tree.folder / name)
    reader = csv.reader((line + "\n" for line in tree.lines(name)), strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        missing = [column for column in columns if column not in header]
        if missing:
            raise DataError(f"{shown} has no column {', '.join(missing)}; it has {', '.join(header) or 'none'}")
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(f"{shown} line {reader.line_num} has {len(row)} fields, the header has {len(header)}")
            yield f"{shown} line {reader.line_num}", dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise DataError(f"{shown} line {reader.line_num} is not CSV: {error}") from None


class MediaFiles:
    """The raw files among the sources, found by the end of their name.

    Parameters
    ----------
    tree : SourceTree
    """

    def __init__(self, tree: SourceTree) -> None:
        self._folder = tree.folder
        self._by_last: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for name in tree.names():
            last = name.rpartition("/")[2].casefold()
            if "__MACOSX" not in name:
                self._by_last.setdefault(last, []).append(name)
                self._by_stem.setdefault(last.rpartition(".")[0], []).append(name)
        self.found = 0

    def reference(self, official: str) -> str:
        """What `SourceTree.read` resolves; the official name itself where no such file is there.

        Raises
        ------
        DataError
            If several files end in that name.
        """
        last = official.rpartition("/")[2].casefold()
        found = self._by_last.get(last) or ([] if "." in last else self._by_stem.get(last, []))
        if len(found) > 1:
            tail = "/" + official.casefold()
            found = [name for name in found if ("/" + name).casefold().endswith(tail)] or found
        if len(found) > 1:
            raise DataError(f"{self._folder}: several files are {official}: {found[0]}, {found[1]}; leave one there")
        self.found += len(found)
        return found[0] if found else official


class StoredTexts(Sequence[str]):
    """Texts in a file, so that memory does not grow with them: append all of them, then read.

    Parameters
    ----------
    path : Path
        A new file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ends = [0]
        self._pending: list[bytes] = []
        self._size = 0
        self._bytes: np.ndarray | None = None

    def append(self, text: str) -> None:
        """Add a text."""
        encoded = text.encode("utf-8", "surrogatepass")
        self._ends.append(self._ends[-1] + len(encoded))
        self._pending.append(encoded)
        self._size += len(encoded)
        if self._size > 1 << 20:
            self._flush()

    def _flush(self) -> None:
        with self._path.open("ab") as file:
            file.writelines(self._pending)
        self._pending, self._size, self._bytes = [], 0, None

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = range(len(self))[index]
        if self._pending:
            self._flush()
        if self._ends[-1] == 0:
            return ""
        if self._bytes is None:
            self._bytes = np.memmap(self._path, np.uint8, "r")
        return self._bytes[self._ends[row] : self._ends[row + 1]].tobytes().decode("utf-8", "surrogatepass")
