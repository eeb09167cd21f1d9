"""One array in a .npy file: mapped into memory, never unpickled."""

from __future__ import annotations

import math
from pathlib import Path
from tokenize import TokenError
from typing import BinaryIO

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.files.stored import Arrays, Key, Stored, Unreadable, as_text, plain_dtype, said


def open_npy(path: Path) -> Arrays:
    """The array of a .npy, named like the file.

    Raises
    ------
    DataError
        If it is no .npy or shorter than it says. An array of Python objects is listed as unreadable.
    """
    arrays = Arrays(str(path), "NumPy .npy")

    def make() -> Stored:
        with path.open("rb") as handle:
            shape, fortran, dtype = header(handle, str(path))
            offset = handle.tell()
        return mapped(path, path.stem, offset, (shape, fortran, dtype))

    arrays.add(path.stem, make)
    return arrays


def header(handle: BinaryIO, where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, Fortran order and dtype; the stream is left where the values begin.

    Raises
    ------
    DataError
        If it is no header of version 1.0, 2.0 or 3.0.
    """
    try:
        version = np.lib.format.read_magic(handle)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(handle)
        elif version in ((2, 0), (3, 0)):
            # Version 3.0 differs in the encoding of field names only, and arrays of fields are refused below.
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(handle)
        else:
            raise ValueError(f"version {version}")
    except (ValueError, EOFError, TypeError, SyntaxError, TokenError, MemoryError) as error:
        raise DataError(f"{where} is no .npy of numbers or text: {said(error)}") from None
    if any(k < 0 for k in shape):
        raise DataError(f"{where} is no .npy of numbers or text: its shape is {shape}")
    return shape, fortran, dtype


def mapped(path: Path, name: str, offset: int, head: tuple[tuple[int, ...], bool, np.dtype]) -> Stored:
    """An array whose values lie in a file as they are, from `offset` on."""
    shape, fortran, dtype = head
    kind = plain_dtype(dtype)
    if not shape:
        raise Unreadable("a single value")
    if 0 in shape:
        raise Unreadable("empty")
    # Python's integers do not overflow: a shape that claims more than any memory is seen as what it is.
    needed = offset + math.prod(shape) * dtype.itemsize
    size = path.stat().st_size
    if needed > size:
        raise DataError(
            f"{path}: array {name!r} of shape {shape} needs {needed:,} bytes, the file has {size:,}; cut off"
        )
    values: np.ndarray = np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")

    def source(key: Key) -> np.ndarray:
        part = values[key]
        return as_text(part, f"{path}: array {name!r}") if dtype.kind in "US" else np.array(part)

    return Stored(str(path), name, shape, kind, source)
