"""Arrays in .npy files that are read forwards, once and in blocks: also out of an archive, without unpacking it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.files.npy import header
from cmrbench.data.files.stored import MAX_ARRAY_BYTES


def read_header(stream: BinaryIO, shown: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of an array of real numbers; the stream then stands at its first value.

    Parameters
    ----------
    stream : binary stream
        At the start of the file.
    shown : str
        The file's name for messages.

    Raises
    ------
    DataError
        If it is no .npy of float16, float32 or float64 in C order, is empty, or claims more than any array may hold.
    """
    shape, fortran, dtype = header(stream, shown)
    if dtype.kind != "f" or dtype.itemsize not in (2, 4, 8) or fortran or not shape or min(shape) < 1:
        order = " in Fortran order" if fortran else ""
        raise DataError(f"{shown} holds {dtype} of shape {shape}{order}; expected rows of real numbers in C order")
    if math.prod(shape) * dtype.itemsize > MAX_ARRAY_BYTES:
        raise DataError(f"{shown} claims {dtype} of shape {shape}; at most {MAX_ARRAY_BYTES:,} bytes are read")
    return shape, dtype


def read_rows(stream: BinaryIO, shown: str, shape: tuple[int, ...], dtype: np.dtype, step: int) -> Iterator[np.ndarray]:
    """The rows that follow the header, `step` at a time, in the machine's byte order.

    Raises
    ------
    DataError
        If the file ends before its last row.
    """
    row_bytes = dtype.itemsize * math.prod(shape[1:])
    for start in range(0, shape[0], step):
        rows = min(step, shape[0] - start)
        content = _read(stream, rows * row_bytes)
        if len(content) < rows * row_bytes:
            raise DataError(
                f"{shown} is cut short: it ends in row {start + len(content) // row_bytes} of {shape[0]}; get it again"
            )
        block = np.frombuffer(content, dtype).reshape(rows, *shape[1:])
        yield block.astype(dtype.newbyteorder("="), copy=False)


def _read(stream: BinaryIO, size: int) -> bytes:
    """`size` bytes, or what is left: a stream may give fewer than it is asked for."""
    pieces = []
    while size and (piece := stream.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
