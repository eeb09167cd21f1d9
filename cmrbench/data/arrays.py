"""Arrays from files that others made: opened without pickle, with limits, and converted only where nothing is lost."""

from __future__ import annotations

import errno
import math
import mmap
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cmrbench.core.errors import DataError
from cmrbench.data.cache import explained

if TYPE_CHECKING:
    from numpy.lib.npyio import NpzFile

MAX_UNPACKED_BYTES = 64 << 30
BLOCK_BYTES = 32 << 20


def scratch_array(folder: Path, name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """A new array in a file of `folder`, to be filled in blocks of rows.

    Raises
    ------
    DataError
        If there is no room for it.
    """
    path = folder / f"{name}.npy"
    with explained(folder.parent, f"make room for {name} of shape {shape}"):
        array: np.ndarray = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        reserve(path)
    return array


def reserve(path: Path) -> None:
    """Have the disk set aside all bytes of a file: a page of a mapped file that finds none kills the process."""
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as handle:
            try:
                os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                    raise


def row_blocks(array: np.ndarray, rows: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """Rows of an array, in order, as copies of about 32 MiB; pages of a memory-mapped file are given back at once.

    Parameters
    ----------
    array : ndarray, shape (n, ...)
    rows : ndarray of int, optional
        Which rows; all if left out.
    """
    n = len(array) if rows is None else len(rows)
    row_bytes = max(1, array.dtype.itemsize * math.prod(array.shape[1:]))
    step = max(1, BLOCK_BYTES // row_bytes)
    for start in range(0, n, step):
        chosen = slice(start, start + step) if rows is None else rows[start : start + step]
        yield np.array(array[chosen])
        release(array)


def release(array: np.ndarray) -> None:
    """Give back the memory of a memory-mapped array's pages; what was written stays in the file's cache."""
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if base is not None and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)


class Rows:
    """Chosen rows of an array that is read in blocks: shape, dtype, and no more.

    Parameters
    ----------
    array : ndarray, shape (n, ...)
    rows : ndarray of int, shape (m,)
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray) -> None:
        self.array = array
        self.rows = rows
        self.shape = (len(rows), *array.shape[1:])
        self.dtype = array.dtype

    def blocks(self) -> Iterator[np.ndarray]:
        """The rows in blocks; nothing where there are none."""
        return row_blocks(self.array, self.rows)


@contextmanager
def open_npz(path: Path) -> Iterator[NpzFile]:
    """An .npz opened without pickle; whatever numpy cannot read in it is one sentence that names the file.

    Raises
    ------
    DataError
        If it is no .npz, holds pickled objects, or would unpack to more than 64 GiB.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise DataError(f"{path} would unpack to {unpacked:,} bytes; at most {MAX_UNPACKED_BYTES:,} are read")
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError) as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{path} holds Python objects (a pickle), which are never opened; save plain arrays with numpy.savez"
            ) from None
        why = " ".join(str(error).split())
        raise DataError(f"{path} is not a readable .npz of plain arrays ({why}); get the file again") from None
    except MemoryError:
        raise DataError(f"{path} holds an array that does not fit into memory") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None


def read_npz(path: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Arrays of an .npz by name, the optional ones where they are there.

    Raises
    ------
    DataError
        As `open_npz`, and if one that is needed is missing.
    """
    with open_npz(path) as stored:
        missing = [name for name in needed if name not in stored.files]
        if missing:
            raise DataError(f"{path} has no array {', '.join(missing)}; it has {', '.join(stored.files) or 'none'}")
        return {name: stored[name] for name in (*needed, *optional) if name in stored.files}


def as_features(array: np.ndarray, file: str, modality: str) -> tuple[np.ndarray, str]:
    """Features as float32 with a note on what was done to them.

    float64 is rounded to float32 and the note says so. Integers are taken where float32 holds them exactly.

    Raises
    ------
    DataError
        If the array has not two dimensions, is not numeric, overflows, or would lose integer digits.
    """
    where = f"{file}: {modality} features"
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"{where} must have the shape (items, columns), got {array.shape}")
    if array.dtype.kind not in "fiu":
        raise DataError(f"{where} must be real numbers, got dtype {array.dtype}")
    features = as_float32(array, where)
    if array.dtype.kind in "iu":
        return features, f"{modality}: {array.dtype} as float32, exactly"
    return features, f"{modality}: {array.dtype} rounded to float32" if array.dtype.itemsize > 4 else ""


def as_float32(rows: np.ndarray, where: str, first: int = 0) -> np.ndarray:
    """Rows of numbers as float32; `first` is the number of the first one, for messages.

    Raises
    ------
    DataError
        If a number is too large, or is an integer that float32 does not hold exactly.
    """
    with np.errstate(over="ignore"):
        made = rows.astype(np.float32)
    if rows.dtype.kind == "f":
        bad, what = np.isinf(made) & np.isfinite(rows), "too large for float32; scale the features"
    else:
        bad, what = made.astype(np.float64) != rows, "which float32 cannot; store them as floating point"
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise DataError(f"{where}: row {first + row} holds {rows[row, column]}, {what}")
    return made


def whole_numbers(array: np.ndarray) -> np.ndarray:
    """Floating point numbers that are all whole, as int64; any other array as it is."""
    if array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.floor(array)).all():
        return array.astype(np.int64)
    return array


def as_labels(array: np.ndarray, file: str, n_classes: int | None) -> np.ndarray:
    """Labels as multi-hot uint8 (n, C), from class numbers (n,) or multi-hot (n, C) of 0 and 1.

    Raises
    ------
    DataError
        If numbers are not in 0..C-1, or do not begin at 0 where C is not known; if entries are neither 0 nor 1, or the
        width is not C.
    """
    array = whole_numbers(array)
    if array.dtype.kind not in "iub":
        raise DataError(
            f"{file}: labels must be whole numbers, got dtype {array.dtype}; number the classes from 0 and name them "
            "in class_names"
        )
    if array.ndim == 1:
        if n_classes is None and len(array) and array.min() > 0:
            raise DataError(
                f"{file}: labels are numbered {array.min()} to {array.max()}; number classes from 0, or give "
                "class_names"
            )
        count = n_classes if n_classes is not None else int(array.max(initial=-1)) + 1
        bad = np.flatnonzero((array < 0) | (array >= count))
        if len(bad):
            raise DataError(
                f"{file}: labels: row {bad[0]} is class {array[bad[0]]}, but classes are numbered 0 to {count - 1}"
            )
        labels = np.zeros((len(array), count), np.uint8)
        labels[np.arange(len(array)), array.astype(np.int64)] = 1
        return labels
    if array.ndim != 2 or (n_classes is not None and array.shape[1] != n_classes):
        width = "classes" if n_classes is None else str(n_classes)
        raise DataError(f"{file}: labels must have the shape (items,) or (items, {width}), got {array.shape}")
    bad_rows, bad_columns = np.nonzero((array != 0) & (array != 1))
    if len(bad_rows):
        row, column = bad_rows[0], bad_columns[0]
        raise DataError(f"{file}: labels: row {row} holds {array[row, column]}; multi-hot labels are 0 or 1")
    return array.astype(np.uint8)


def as_strings(array: np.ndarray, file: str, what: str, n: int) -> np.ndarray:
    """One string an item; whole numbers are written out.

    Raises
    ------
    DataError
        If the array is not (n,), or holds something else, an empty string or a line break.
    """
    if array.shape != (n,):
        raise DataError(f"{file}: {what} must have the shape ({n},), one an item, got {array.shape}")
    if array.dtype.kind in "iu":
        array = array.astype(str)
    if array.dtype.kind != "U":
        raise DataError(f"{file}: {what} must be strings or whole numbers, got dtype {array.dtype}")
    values = array.tolist()
    for row, value in enumerate(values):
        if not value or "\n" in value:
            raise DataError(f"{file}: {what}: row {row} is {value!r}; expected a non-empty single line")
    # Made anew, the array is as wide as its longest string: equal strings have equal fingerprints.
    return np.array(values, dtype=np.str_)
