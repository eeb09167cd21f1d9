"""Arrays in a .mat of MATLAB 5 to 7.2. The format knows no blocks: a variable is read whole, the last one is kept.

What a variable is (class, shape, cells) is read here from the headers, which is all that hostile files need to be
told from sound ones: a variable that claims too much, nests or holds objects never reaches scipy's parser. The layout
is MathWorks' "MAT-File Format".
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.files.sparse import from_matrix
from cmrbench.data.files.stored import MAX_WHOLE_BYTES, Arrays, Key, Stored, Unreadable, as_text, said

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _OBJECT, _CHAR, _SPARSE = 1, 2, 3, 4, 5
_NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_OTHERS = {
    _STRUCT: "a MATLAB struct",
    _OBJECT: "a MATLAB object",
    16: "a MATLAB function handle",
    17: "a MATLAB object",
}
_COMPLEX, _LOGICAL = 0x0800, 0x0200
_MAX_AXES = 32
_MAX_LISTED_CELLS = 64


def open_mat5(path: Path) -> Arrays:
    """The variables of the file; a cell array of matrices is listed as ``name{1}``, ``name{2}`` ...

    A variable is read whole, up to 4 GiB: MATLAB itself allows 2 GiB.

    Raises
    ------
    DataError
        If the file is cut off or damaged, or a variable would unpack to more than the limit.
    """
    arrays = Arrays(str(path), "MATLAB 5 .mat")
    reader = _Reader(path)
    try:
        for head in _variables(path):
            if head.name:  # one without a name belongs to MATLAB itself
                _list(arrays, reader, head)
    except (struct.error, zlib.error, UnicodeError) as error:
        raise DataError(f"{path} is not a readable MATLAB 5 file: {said(error)}") from None
    return arrays


@dataclass
class _Head:
    """Header of a matrix: what stands before its values."""

    kind: int
    flags: int
    shape: tuple[int, ...]
    name: str
    cells: list[_Head] = field(default_factory=list)
    nested: str = ""
    """What a cell holds that is neither numbers nor a string."""

    @property
    def dtype(self) -> np.dtype:
        """Of the values, as the class says; the file may store them narrower."""
        if self.kind == _CHAR:
            return np.dtype("U1")
        if self.flags & _LOGICAL:
            return np.dtype(bool)
        return np.dtype(_NUMBERS.get(self.kind, "f8"))

    def why_not(self) -> str:
        """Why it is no array of numbers or strings; empty if it is one."""
        if self.kind in _OTHERS:
            return _OTHERS[self.kind]
        if self.kind not in _NUMBERS and self.kind not in (_CHAR, _SPARSE):
            return "of an unknown MATLAB class"
        if self.flags & _COMPLEX:
            return "an array of complex numbers"
        return "empty" if 0 in self.shape else ""


class _Bytes:
    """A variable's bytes, unpacked as they are read, with a limit; `tell` counts unpacked bytes."""

    def __init__(self, handle: BinaryIO, packed: int, compressed: bool, where: str) -> None:
        self.handle = handle
        self.left = packed
        self.inflate = zlib.decompressobj() if compressed else None
        self.buffer = b""
        self.position = 0
        self.where = where

    def read(self, n: int) -> bytes:
        """Exactly `n` bytes."""
        made = []
        while n:
            if not self.buffer:
                self.buffer = self._more()
            part, self.buffer = self.buffer[:n], self.buffer[n:]
            made.append(part)
            n -= len(part)
            self._count(len(part))
        return b"".join(made)

    def skip(self, n: int) -> None:
        """Go on by `n` bytes."""
        if self.inflate is None and n > len(self.buffer):
            n -= len(self.buffer)
            self._count(len(self.buffer))
            self.buffer = b""
            if n > self.left:
                raise DataError(f"{self.where} is cut off")
            self.handle.seek(n, 1)
            self.left -= n
            self._count(n)
            return
        while n:
            n -= len(self.read(min(n, 1 << 20)))

    def _count(self, n: int) -> None:
        self.position += n
        if self.position > MAX_WHOLE_BYTES:
            raise DataError(f"{self.where} unpacks to more than {MAX_WHOLE_BYTES:,} bytes, the most that is read whole")

    def _more(self) -> bytes:
        while True:
            if self.inflate is not None and self.inflate.unconsumed_tail:
                made = self.inflate.decompress(self.inflate.unconsumed_tail, 1 << 20)
            else:
                packed = self.handle.read(min(self.left, 1 << 16))
                self.left -= len(packed)
                if not packed:
                    raise DataError(f"{self.where} is cut off")
                made = packed if self.inflate is None else self.inflate.decompress(packed, 1 << 20)
            if made:
                return made


def _variables(path: Path) -> Iterator[_Head]:
    """Headers of all variables, in the order of the file."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(_HEADER)
        order = "<" if head[126:128] == b"IM" else ">"
        position = _HEADER
        while position < size:
            handle.seek(position)
            tag = handle.read(8)
            if len(tag) < 8:
                raise DataError(f"{path} is cut off at byte {size:,}")
            kind, length = struct.unpack(order + "II", tag)
            if kind not in (_MATRIX, _COMPRESSED):
                raise DataError(f"{path} is damaged: at byte {position:,} there is no variable")
            position += 8 + length
            if position > size:
                raise DataError(f"{path} is cut off: a variable ends at byte {position:,}, the file at {size:,}")
            stream = _Bytes(handle, length, kind == _COMPRESSED, str(path))
            if kind == _COMPRESSED:
                kind, length = struct.unpack(order + "II", stream.read(8))
                if kind != _MATRIX:
                    raise DataError(f"{path} is damaged: a compressed part holds no variable")
            yield _matrix(stream, order, length)


def _matrix(stream: _Bytes, order: str, length: int, depth: int = 0) -> _Head:
    """The header at the stream's position; the stream is left behind the matrix."""
    end = stream.position + length
    if length == 0:
        return _Head(6, 0, (0, 0), "")  # an empty cell
    flags = _element(stream, order, 16)
    (word,) = struct.unpack(order + "I", flags[:4])
    kind = word & 0xFF
    axes = _element(stream, order, 4 * _MAX_AXES)
    shape = struct.unpack(f"{order}{len(axes) // 4}i", axes[: len(axes) // 4 * 4])
    name = _element(stream, order, 4096).decode("latin1")
    head = _Head(kind, word, shape, name)
    claimed = math.prod(max(0, k) for k in shape)
    if kind in _NUMBERS and claimed * head.dtype.itemsize > MAX_WHOLE_BYTES:
        raise DataError(
            f"{stream.where}: array {name!r} claims the shape {shape}, more than the {MAX_WHOLE_BYTES:,} bytes that "
            "are read whole; save it with -v7.3"
        )
    if min(shape, default=0) < 0:
        raise DataError(f"{stream.where} is damaged: array {name!r} has the shape {shape}")
    if kind == _CELL:
        if depth:
            head.nested = "a cell array of cell arrays"
        else:
            for _ in range(claimed):
                _, inner = struct.unpack(order + "II", stream.read(8))
                cell = _matrix(stream, order, inner, depth + 1)
                head.nested = head.nested or cell.nested
                head.cells.append(cell)
    if stream.position > end:
        raise DataError(f"{stream.where} is damaged: array {name!r} is longer than it says")
    stream.skip(end - stream.position)
    return head


def _element(stream: _Bytes, order: str, most: int) -> bytes:
    """The values of a short data element, large or small form."""
    tag = stream.read(8)
    kind, length = struct.unpack(order + "II", tag)
    if kind >> 16:  # the small form: the length stands in the upper half of the first word, the values in the second
        return tag[4 : 4 + min(kind >> 16, 4)]
    if length > most:
        raise DataError(f"{stream.where} is damaged: a header of {length:,} bytes")
    values = stream.read(length)
    stream.skip(-length % 8)
    return values


class _Reader:
    """Reads variables by scipy, whole, and keeps the last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: tuple[str, Any] | None = None

    def variable(self, name: str) -> Any:
        """The variable as scipy makes it."""
        from scipy.io import loadmat

        if self._kept is None or self._kept[0] != name:
            self._kept = None
            self._kept = (name, loadmat(self.path, variable_names=[name], chars_as_strings=True)[name])
        return self._kept[1]


def _list(arrays: Arrays, reader: _Reader, head: _Head) -> None:
    if head.kind != _CELL:
        arrays.add(head.name, lambda: _stored(arrays.file, head.name, head, lambda: reader.variable(head.name)))
        return
    texts = [cell.kind == _CHAR or (cell.kind in _NUMBERS and 0 in cell.shape) for cell in head.cells]

    def refuse(why: str) -> Stored:
        raise Unreadable(why)

    if not head.cells or head.nested:
        arrays.add(head.name, lambda: refuse(head.nested or "an empty cell array"))
    elif all(texts) and any(cell.kind == _CHAR for cell in head.cells):
        arrays.add(head.name, lambda: _strings(arrays.file, head.name, len(texts), reader))
    elif len(head.cells) > _MAX_LISTED_CELLS or any(cell.kind in _OTHERS for cell in head.cells):
        arrays.add(head.name, lambda: refuse("a cell array of more than strings or a few matrices"))
    else:
        for k, cell in enumerate(head.cells):
            name = f"{head.name}{{{k + 1}}}"
            arrays.add(
                name,
                lambda k=k, cell=cell, name=name: _stored(  # type: ignore[misc]
                    arrays.file, name, cell, lambda: reader.variable(head.name).ravel("F")[k]
                ),
            )


def _stored(file: str, name: str, head: _Head, values: Any) -> Stored:
    why = head.why_not()
    if why:
        raise Unreadable(why)
    if head.kind == _SPARSE:
        return from_matrix(file, name, values())
    if head.kind == _CHAR:
        # scipy joins the characters of a row: a char matrix is one string a row, filled up with blanks.
        return Stored(
            file, name, head.shape[:1], np.dtype("U1"), lambda key: np.char.rstrip(np.asarray(values())[key[0]], " ")
        )

    def source(key: Key) -> np.ndarray:
        return np.asarray(values())[key].astype(head.dtype)

    return Stored(file, name, head.shape, head.dtype, source)


def _strings(file: str, name: str, n: int, reader: _Reader) -> Stored:
    where = f"{file}: array {name!r}"

    def source(key: Key) -> np.ndarray:
        found = []
        for row, cell in enumerate(reader.variable(name).ravel("F")[key[0]], key[0].start):
            value = np.asarray(cell)
            if value.size > 1:
                raise DataError(f"{where}: cell {row} holds {value.size} strings; expected one")
            found.append(str(value.item()) if value.size else "")
        return as_text(np.array(found, dtype=object), where)

    return Stored(file, name, (n,), np.dtype("U1"), source)
