"""Arrays in a .mat of MATLAB 5 to 7.2. The format knows no blocks: a variable is read whole, and the last is kept."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.files.mat5_parts import CELL, CHAR, NUMBERS, OTHERS, SPARSE, Matrix, read_variable, variables
from cmrbench.data.files.sparse import from_matrix, from_parts
from cmrbench.data.files.stored import Arrays, Key, Stored, Unreadable, as_text, said

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
        for head in variables(path):
            if head.name in arrays.stored or head.name in arrays.unreadable:
                raise DataError(f"{path} holds the variable {head.name!r} twice; save the file anew")
            if head.name:  # one without a name belongs to MATLAB itself
                _list(arrays, reader, head)
    except (struct.error, zlib.error) as error:
        raise DataError(f"{path} is not a readable MATLAB 5 file: {said(error)}") from None
    return arrays


class _Reader:
    """Reads variables whole, and keeps the last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._kept: Matrix | None = None
        self._offset = -1

    def variable(self, offset: int) -> Matrix:
        """The variable that begins there, with its values."""
        if self._kept is None or self._offset != offset:
            self._kept = None
            self._kept, self._offset = read_variable(self.path, offset), offset
        return self._kept

    def cell(self, offset: int, number: int) -> Matrix:
        """A cell of the variable that begins there."""
        return self.variable(offset).cells[number]


def _list(arrays: Arrays, reader: _Reader, head: Matrix) -> None:
    file = arrays.file
    if head.kind != CELL:
        arrays.add(head.name, partial(_stored, file, head.name, head, partial(reader.variable, head.offset)))
        return
    texts = [cell.kind == CHAR or (cell.kind in NUMBERS and 0 in cell.shape) for cell in head.cells]
    if not head.cells or head.nested:
        arrays.refuse(head.name, head.nested or "an empty cell array")
    elif all(texts) and any(cell.kind == CHAR for cell in head.cells):
        arrays.add(head.name, partial(_strings, file, head, reader))
    elif len(head.cells) > _MAX_LISTED_CELLS or any(cell.kind in OTHERS for cell in head.cells):
        arrays.refuse(head.name, "a cell array of more than strings or a few matrices")
    else:
        for k, cell in enumerate(head.cells):
            name = f"{head.name}{{{k + 1}}}"
            arrays.add(name, partial(_stored, file, name, cell, partial(reader.cell, head.offset, k)))


def _stored(file: str, name: str, head: Matrix, read: Callable[[], Matrix]) -> Stored:
    why = head.why_not()
    if why:
        raise Unreadable(why)
    if head.kind == SPARSE:
        return from_matrix(file, name, _sparse(f"{file}: array {name!r}", head, read().values))
    shape = head.shape[:1] if head.kind == CHAR else head.shape

    def source(key: Key) -> np.ndarray:
        values: np.ndarray = read().values[key]
        return values if head.kind == CHAR else values.astype(head.dtype)

    return Stored(file, name, shape, head.dtype, source)


def _sparse(where: str, head: Matrix, values: list[np.ndarray]) -> Any:
    """The three parts as a matrix: room for more values than there are (``nzmax``) is cut away."""
    rows, columns, numbers = values
    filled = int(columns[-1]) if columns.size else 0
    if columns.dtype.kind == "f" or rows.dtype.kind == "f" or not 0 <= filled <= min(rows.size, numbers.size):
        raise DataError(f"{where} is not a sound sparse matrix: {filled:,} values of {numbers.size:,}")
    parts = {
        "data": numbers[:filled].astype(head.dtype),
        "indices": rows[:filled].astype(np.int64),
        "indptr": columns.astype(np.int64),
    }
    if len(head.shape) != 2:
        raise DataError(f"{where} is not a sound sparse matrix: it has the shape {head.shape}")
    return from_parts(where, "csc", parts, (head.shape[0], head.shape[1]))


def _strings(file: str, head: Matrix, reader: _Reader) -> Stored:
    where = f"{file}: array {head.name!r}"

    def source(key: Key) -> np.ndarray:
        found = []
        for row, cell in enumerate(reader.variable(head.offset).cells[key[0]], key[0].start):
            value = cell.values if cell.values is not None and cell.kind == CHAR else np.empty(0, np.str_)
            if value.size > 1:
                raise DataError(f"{where}: cell {row} holds {value.size} strings; expected one")
            found.append(str(value[0]) if value.size else "")
        return as_text(np.array(found, dtype=object), where)

    return Stored(file, head.name, (len(head.cells),), np.dtype("U1"), source)
