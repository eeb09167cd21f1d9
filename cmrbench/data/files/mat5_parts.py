"""The parts of a MATLAB 5 file: variables, their headers and values, as MathWorks' "MAT-File Format" lays them out.

The parser is our own because files are hostile: compiled parsers crash on damaged lengths, follow cells as deep as they
nest, and unpack whatever is packed. Here every length is held against what is left before it is read.
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
from cmrbench.data.files.stored import MAX_WHOLE_BYTES

CELL, CHAR, SPARSE = 1, 4, 5
NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
OTHERS = {2: "a MATLAB struct", 3: "a MATLAB object", 16: "a MATLAB function handle", 17: "a MATLAB object"}
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_ELEMENTS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_UNICODE = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_COMPLEX, _LOGICAL = 0x0800, 0x0200
_MAX_AXES = 32
_MAX_CELLS = 1_000_000
_PIECE = 1 << 20


@dataclass(eq=False, slots=True)
class Matrix:
    """A matrix: what stands before its values, and these where they were asked for.

    Attributes
    ----------
    kind : int
        MATLAB's class.
    flags : int
    shape : tuple of int
    name : str
    offset : int
        Where its variable begins in the file.
    cells : list of Matrix
    nested : str
        What its cells hold that is no array.
    values : ndarray, sparse parts, or None
        Numbers in the shape of the matrix; strings, one a row; ``ir``, ``jc`` and ``pr`` of a sparse matrix.
    """

    kind: int
    flags: int
    shape: tuple[int, ...]
    name: str
    offset: int = 0
    cells: list[Matrix] = field(default_factory=list)
    nested: str = ""
    values: Any = None

    @property
    def dtype(self) -> np.dtype:
        """Of the values, as the class says; the file may store them narrower."""
        if self.kind == CHAR:
            return np.dtype("U1")
        if self.flags & _LOGICAL:
            return np.dtype(bool)
        return np.dtype(NUMBERS.get(self.kind, "f8"))

    def why_not(self) -> str:
        """Why it is no array of numbers or strings; empty if it is one."""
        if self.kind in OTHERS:
            return OTHERS[self.kind]
        if self.kind not in NUMBERS and self.kind not in (CHAR, SPARSE):
            return "of an unknown MATLAB class"
        if self.flags & _COMPLEX:
            return "an array of complex numbers"
        if self.kind == CHAR and len(self.shape) != 2:
            return "a char array of more than two axes"
        return "empty" if 0 in self.shape else ""


def variables(path: Path) -> Iterator[Matrix]:
    """Headers of all variables, in the order of the file; packed ones are unpacked once, to see how large they are.

    Raises
    ------
    DataError
        If the file is cut off or damaged, or a variable claims or unpacks to more than 4 GiB.
    """
    size = path.stat().st_size
    position = _HEADER
    while position < size:
        stream, order, length, following = _open(path, position, size)
        with stream.handle:
            matrix = _matrix(stream, order, length)
        matrix.offset = position
        yield matrix
        position = following


def read_variable(path: Path, offset: int) -> Matrix:
    """The variable that begins there, with its values."""
    stream, order, length, _ = _open(path, offset, path.stat().st_size)
    with stream.handle:
        return _matrix(stream, order, length, read=True)


class _Stream:
    """A variable's bytes, unpacked as they are read, with a limit; `position` counts unpacked bytes."""

    def __init__(self, handle: BinaryIO, packed: int, compressed: bool, where: str) -> None:
        self.handle = handle
        self.left = packed
        self.inflate = zlib.decompressobj() if compressed else None
        self.buffer = b""
        self.position = 0
        self.where = where

    def read(self, n: int) -> bytearray:
        """Exactly `n` bytes."""
        if self.inflate is None and n > self.left + len(self.buffer):
            raise DataError(f"{self.where} is cut off")
        self._count(n)
        made, filled = bytearray(n), 0
        while filled < n:
            if not self.buffer:
                self.buffer = self._more()
            part, self.buffer = self.buffer[: n - filled], self.buffer[n - filled :]
            made[filled : filled + len(part)] = part
            filled += len(part)
        return made

    def skip(self, n: int) -> None:
        """Go on by `n` bytes."""
        if self.inflate is not None:
            while n > 0:
                n -= len(self.read(min(n, _PIECE)))
            return
        self._count(n)
        ahead = n - len(self.buffer)
        self.buffer = self.buffer[n:]
        if ahead > self.left:
            raise DataError(f"{self.where} is cut off")
        if ahead > 0:
            self.handle.seek(ahead, 1)
            self.left -= ahead

    def _count(self, n: int) -> None:
        self.position += n
        if self.position > MAX_WHOLE_BYTES:
            raise DataError(f"{self.where} unpacks to more than {MAX_WHOLE_BYTES:,} bytes, the most that is read whole")

    def _more(self) -> bytes:
        while True:
            if self.inflate is not None and self.inflate.unconsumed_tail:
                made = self.inflate.decompress(self.inflate.unconsumed_tail, _PIECE)
            else:
                packed = self.handle.read(min(self.left, _PIECE))
                self.left -= len(packed)
                if not packed:
                    raise DataError(f"{self.where} is cut off")
                made = packed if self.inflate is None else self.inflate.decompress(packed, _PIECE)
            if made:
                return made


def _open(path: Path, position: int, size: int) -> tuple[_Stream, str, int, int]:
    """The variable at a place of the file: its bytes, their order, its length, and where the next one begins."""
    handle = path.open("rb")
    try:
        handle.seek(_HEADER - 2)
        order = "<" if handle.read(2) == b"IM" else ">"
        handle.seek(position)
        tag = handle.read(8)
        if len(tag) < 8:
            raise DataError(f"{path} is cut off at byte {size:,}")
        kind, length = struct.unpack(order + "II", tag)
        if kind not in (_MATRIX, _COMPRESSED):
            raise DataError(f"{path} is damaged: at byte {position:,} there is no variable")
        following = position + 8 + length
        if following > size:
            raise DataError(f"{path} is cut off: a variable ends at byte {following:,}, the file at {size:,}")
        stream = _Stream(handle, length, kind == _COMPRESSED, str(path))
        if kind == _COMPRESSED:
            kind, length = struct.unpack(order + "II", stream.read(8))
            if kind != _MATRIX:
                raise DataError(f"{path} is damaged: a compressed part holds no variable")
        return stream, order, length, following
    except BaseException:
        handle.close()
        raise


def _matrix(stream: _Stream, order: str, length: int, depth: int = 0, read: bool = False) -> Matrix:
    """The matrix at the stream's position; the stream is left behind it."""
    end = stream.position + length
    if length == 0:
        return Matrix(6, 0, (0, 0), "", values=np.zeros((0, 0)))  # an empty cell
    flags = _element(stream, order, 16)[1]
    (word,) = struct.unpack(order + "I", flags[:4])
    axes = _element(stream, order, 4 * _MAX_AXES)[1]
    shape = struct.unpack(f"{order}{len(axes) // 4}i", axes[: len(axes) // 4 * 4])
    name = _element(stream, order, 4096)[1].decode("latin1")
    matrix = Matrix(word & 0xFF, word, shape, name)
    if min(shape, default=0) < 0:
        raise DataError(f"{stream.where} is damaged: array {name!r} has the shape {shape}")
    count = math.prod(shape)
    if matrix.kind in NUMBERS and count * matrix.dtype.itemsize > MAX_WHOLE_BYTES:
        raise DataError(
            f"{stream.where}: array {name!r} claims the shape {shape}, more than the {MAX_WHOLE_BYTES:,} bytes that "
            "are read whole; save it with -v7.3"
        )
    if matrix.kind == CELL and depth:
        matrix.nested = "a cell array of cell arrays"
    elif matrix.kind == CELL and count > _MAX_CELLS:
        matrix.nested = f"a cell array of {count:,} cells"
    elif matrix.kind == CELL:
        for _ in range(count):
            kind, inner = struct.unpack(order + "II", stream.read(8))
            if kind != _MATRIX or stream.position + inner > end:
                raise DataError(f"{stream.where} is damaged: a cell of {name!r} is no matrix")
            cell = _matrix(stream, order, inner, depth + 1, read)
            matrix.nested = matrix.nested or cell.nested
            matrix.cells.append(cell)
    elif read and not matrix.why_not():
        matrix.values = _values(stream, order, matrix, end)
    if stream.position > end:
        raise DataError(f"{stream.where} is damaged: array {name!r} is longer than it says")
    stream.skip(end - stream.position)
    return matrix


def _element(stream: _Stream, order: str, most: int) -> tuple[int, bytearray]:
    """Type and bytes of a data element, in its large or small form."""
    tag = stream.read(8)
    kind, length = struct.unpack(order + "II", tag)
    if kind >> 16:  # the small form: the length stands in the upper half of the first word, the values in the second
        return kind & 0xFFFF, tag[4 : 4 + min(kind >> 16, 4)]
    if length > most:
        raise DataError(f"{stream.where} is damaged: a part of {length:,} bytes where at most {most:,} can be")
    values = stream.read(length)
    stream.skip(-length % 8)
    return kind, values


def _values(stream: _Stream, order: str, matrix: Matrix, end: int) -> Any:
    if matrix.kind == SPARSE:
        rows, columns = _numbers(stream, order, end), _numbers(stream, order, end)
        # MATLAB writes a byte a value of logical matrices, but says that they are doubles.
        filled = int(columns[-1]) if columns.size and matrix.flags & _LOGICAL else 0
        return [rows, columns, _numbers(stream, order, end, bytes_for=filled)]
    if matrix.kind == CHAR:
        return _strings(stream, order, matrix, end)
    numbers = _numbers(stream, order, end)
    if numbers.size != math.prod(matrix.shape):
        raise DataError(
            f"{stream.where} is damaged: array {matrix.name!r} of shape {matrix.shape} has {numbers.size:,} values"
        )
    return numbers.reshape(matrix.shape, order="F")


def _numbers(stream: _Stream, order: str, end: int, bytes_for: int = 0) -> np.ndarray:
    kind, values = _element(stream, order, max(0, end - stream.position))
    if kind == 9 and bytes_for and len(values) < 8 * bytes_for:
        kind = 2
    if kind not in _ELEMENTS:
        raise DataError(f"{stream.where} is damaged: values of the unknown type {kind}")
    dtype = np.dtype(order + _ELEMENTS[kind])
    return np.frombuffer(values, dtype, len(values) // dtype.itemsize)


def _strings(stream: _Stream, order: str, matrix: Matrix, end: int) -> np.ndarray:
    """The rows of a char matrix, without the blanks that fill them up."""
    kind, values = _element(stream, order, max(0, end - stream.position))
    count = math.prod(matrix.shape)
    if kind in _UNICODE:
        encoding = _UNICODE[kind] + ("" if kind == 16 else "-le" if order == "<" else "-be")
        text = bytes(values).decode(encoding, "replace")
        # MATLAB counts UTF-16 units, other programs count characters.
        units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2")
        codes: np.ndarray = units if units.size == count else np.array([ord(c) for c in text], "<u4")
    else:
        dtype = np.dtype(order + _ELEMENTS.get(kind, "u1"))
        codes = np.frombuffer(values, dtype, len(values) // dtype.itemsize)
    if codes.size != count or codes.dtype.kind == "f":
        raise DataError(f"{stream.where} is damaged: string {matrix.name!r} has {codes.size:,} of {count:,} characters")
    wide = "utf-32-le" if codes.dtype.itemsize > 2 else "utf-16-le"
    rows = codes.reshape(matrix.shape, order="F").astype("<u4" if wide == "utf-32-le" else "<u2")
    return np.array([np.ascontiguousarray(row).tobytes().decode(wide, "replace").rstrip(" ") for row in rows], np.str_)
