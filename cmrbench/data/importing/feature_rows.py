"""Features of a file as float32, block by block: exactly, or rounded with a note, or refused with the row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.arrays import as_float32, release
from cmrbench.data.files import Stored


def copy_features(
    sources: Sequence[Stored], kept: Sequence[np.ndarray], target: np.ndarray, modality: str, remedy: str
) -> str:
    """Copy chosen rows of arrays, one array after another, into `target`; memory does not grow with them.

    Parameters
    ----------
    sources : sequence of Stored
        Real numbers of shape (n, d).
    kept : sequence of ndarray of bool, shape (n,)
        Which rows of each array.
    target : ndarray, float32
        As many rows as are kept.
    modality : str
        For the note.
    remedy : str
        What to do about items that are all zero.

    Returns
    -------
    str
        What was done to the values (``"image: float64 rounded to float32"``), or ``""``.

    Raises
    ------
    DataError
        With the array and its row, if one holds NaN, infinity, or a number that float32 cannot hold, or is all zero.
    """
    filled, exact, zero, first_zero = 0, True, 0, ""
    for stored, chosen in zip(sources, kept, strict=True):
        for start, block in stored.blocks():
            here = chosen[start : start + len(block)]
            rows, same = _converted(stored, start, block)
            exact = exact and same
            empty = np.flatnonzero(here & ~rows.any(1))
            if len(empty):
                first_zero = first_zero or f"{stored.where}: row {start + int(empty[0])} is all zero"
                zero += len(empty)
            count = int(here.sum())
            target[filled : filled + count] = rows if count == len(rows) else rows[here]
            filled += count
            release(target)
    if zero:
        more = f", and so are {zero - 1:,} more of {modality}" if zero > 1 else ""
        raise DataError(f"{first_zero}{more}; {remedy}")
    dtypes = dict.fromkeys(str(s.dtype) for s in sources if s.dtype != np.float32)
    if not dtypes:
        return ""
    return f"{modality}: {' and '.join(dtypes)} {'as float32, exactly' if exact else 'rounded to float32'}"


def _converted(stored: Stored, start: int, block: np.ndarray) -> tuple[np.ndarray, bool]:
    """The rows as float32, and whether every number is still the same."""
    if block.dtype.kind == "f":
        finite = np.isfinite(block)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise DataError(f"{stored.where}: row {start + row} holds {block[row, column]} in column {column}")
    if block.dtype.itemsize < 4:
        return block.astype(np.float32), True
    rows = as_float32(block, stored.where, start)
    return rows, block.dtype.kind != "f" or bool((rows == block).all())
