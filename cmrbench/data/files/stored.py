"""Stored arrays: what a file holds, known by name, shape and dtype before anything is read, and read in blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from cmrbench.core.errors import DataError

MAX_ARRAY_BYTES = 256 << 30
"""An array that claims more is refused before it is looked at."""
MAX_WHOLE_BYTES = 4 << 30
"""What is read whole, because its format knows no blocks, may be this large."""
MAX_TEXT_BYTES = 1 << 30
MAX_ARRAYS = 10_000
BLOCK_BYTES = 32 << 20

Key = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Stored:
    """An array in a file.

    Attributes
    ----------
    file, name : str
        For messages.
    shape : tuple of int
    dtype : dtype
        Strings have the kind ``U``, of no particular width.
    source : callable
        Maps a slice an axis to the values there.
    chunks : tuple of int
        The file's own blocks, one length an axis: reading along them costs least.
    """

    file: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    source: Callable[[Key], np.ndarray] = field(repr=False)
    chunks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.nbytes > MAX_ARRAY_BYTES:
            raise DataError(
                f"{self.where} claims {self.nbytes:,} bytes (shape {self.shape}, {self.dtype}); "
                f"at most {MAX_ARRAY_BYTES:,} are read"
            )

    @property
    def where(self) -> str:
        """File and array, to begin a sentence with."""
        return f"{self.file}: array {self.name!r}"

    @property
    def nbytes(self) -> int:
        """Bytes of all values; of strings, four an item, since their width is not known."""
        return math.prod(self.shape) * max(self.dtype.itemsize, 1)

    @property
    def is_text(self) -> bool:
        """Whether it holds strings."""
        return self.dtype.kind == "U"

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Rows `start` to `stop` (all without them), in this machine's byte order.

        Raises
        ------
        DataError
            If the file does not hold what it claims to, or the rows do not fit into memory.
        """
        n = self.shape[0] if self.shape else 0
        rows = slice(max(0, start), n if stop is None else min(stop, n))
        try:
            values = self.source((rows, *(slice(0, k) for k in self.shape[1:])))
        except DataError:
            raise
        except MemoryError:
            raise DataError(f"{self.where}: rows {rows.start} to {rows.stop} do not fit into memory") from None
        except Exception as error:  # parsers of foreign files raise whatever a damaged file leads them to
            raise DataError(f"{self.where} cannot be read; the file is damaged: {said(error)}") from None
        expected = (max(0, rows.stop - rows.start), *self.shape[1:])
        if values.shape != expected:
            raise DataError(f"{self.where}: rows of shape {values.shape} where {expected} are announced")
        if values.dtype.kind != "U" and not values.dtype.isnative:
            values = values.astype(values.dtype.newbyteorder("="))
        return values

    def blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """All rows in order, as (first row, values), about 32 MiB at a time and along the file's own blocks."""
        n = self.shape[0] if self.shape else 0
        row_bytes = max(1, self.nbytes // max(n, 1))
        step = max(1, BLOCK_BYTES // row_bytes)
        if self.chunks:
            step = max(1, step // self.chunks[0]) * self.chunks[0]
        for start in range(0, n, step):
            yield start, self.read(start, start + step)

    def transposed(self) -> Stored:
        """The same array with its two axes exchanged; nothing is read for it.

        Raises
        ------
        DataError
            If it has not two axes.
        """
        if len(self.shape) != 2:
            raise DataError(f"{self.where} has the shape {self.shape}: only arrays of two axes can be transposed")
        return Stored(
            self.file,
            self.name,
            self.shape[::-1],
            self.dtype,
            lambda key: self.source(key[::-1]).T,
            self.chunks[::-1],
        )


@dataclass(eq=False)
class Arrays:
    """The arrays of a file or folder, by name, in the order of the file.

    Attributes
    ----------
    file : str
        For messages.
    kind : str
        The file format, for people.
    stored : dict of str to Stored
    unreadable : dict of str to str
        What else is there, with why it is not read: ``"a MATLAB struct"``.
    """

    file: str
    kind: str
    stored: dict[str, Stored] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    closing: ExitStack = field(default_factory=ExitStack, repr=False)

    def add(self, name: str, make: Callable[[], Stored]) -> None:
        """Take in an array; if `make` refuses it, the others of the file can still be read."""
        self._make_room()
        try:
            self.stored[name] = make()
        except Unreadable as error:
            self.unreadable[name] = str(error)

    def refuse(self, name: str, why: str) -> None:
        """Take in what is no array, with why."""
        self._make_room()
        self.unreadable[name] = why

    def _make_room(self) -> None:
        if len(self.stored) + len(self.unreadable) >= MAX_ARRAYS:
            raise DataError(f"{self.file} holds more than {MAX_ARRAYS:,} arrays")

    def __contains__(self, name: str) -> bool:
        return name in self.stored

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, name: str) -> Stored:
        if name in self.stored:
            return self.stored[name]
        if name in self.unreadable:
            raise DataError(f"{self.file}: {name!r} is {self.unreadable[name]}, which cannot be read as an array")
        raise DataError(f"{self.file} has no array {name!r}; it has {listed(self.stored)}")

    def __enter__(self) -> Arrays:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.close()


class Unreadable(Exception):  # noqa: N818 - not an error of its own: the file's other arrays are fine
    """Why one thing in a file is no array; to follow "is"."""


def plain_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype that is read, which is the file's own.

    Raises
    ------
    Unreadable
        If it is not numbers or strings.
    """
    if dtype.hasobject:
        raise Unreadable("an array of Python objects (a pickle), which is never opened")
    if dtype.kind in "biuf":
        return dtype.newbyteorder("=")
    if dtype.kind in "US":
        return np.dtype("U1")
    if dtype.kind == "c":
        raise Unreadable("an array of complex numbers")
    raise Unreadable(f"of the type {dtype}")


def as_text(values: np.ndarray, where: str) -> np.ndarray:
    """Byte strings as UTF-8, and Python strings, as an array of strings.

    Raises
    ------
    DataError
        If a string is no UTF-8 (with its row), or all together are too large.
    """
    made = []
    width = 0
    for row, value in enumerate(values.ravel().tolist()):
        if isinstance(value, bytes):
            try:
                value = value.decode("utf-8")
            except UnicodeDecodeError:
                raise DataError(f"{where}: row {row} is not UTF-8 text") from None
        made.append(value)
        width = max(width, len(value))
    if 4 * width * len(made) > MAX_TEXT_BYTES:
        raise DataError(f"{where} holds {len(made):,} strings of up to {width:,} characters; that is too much text")
    return np.array(made, dtype=np.str_).reshape(values.shape)


def listed(names: object, most: int = 12) -> str:
    """Names for a sentence; of many, the first and how many more."""
    all_names = [str(n) for n in names]  # type: ignore[attr-defined]
    more = len(all_names) - most
    return ", ".join(all_names[:most]) + (f" and {more} more" if more > 0 else "") if all_names else "none"


def said(error: BaseException) -> str:
    """What a library said, on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
