"""Arrays from a user's files: .npy, .npz with one array, .csv and .txt. No pickle is ever loaded."""

from __future__ import annotations

import csv
import warnings
import zipfile
from pathlib import Path

import numpy as np

from cmrbench.core.errors import DataError, UsageError

SUFFIXES = (".npy", ".npz", ".csv", ".txt")


def load_array(path: Path, mapped: bool = False) -> np.ndarray:
    """The array in a file.

    Text files hold one row a line, separated by commas (.csv) or white space (.txt), without a header, and always
    give two dimensions.

    Parameters
    ----------
    path : Path
    mapped : bool
        Leave the numbers of a .npy file on disk until they are used (a memory map). Other files, and those of another
        machine's byte order, are read whole.

    Raises
    ------
    DataError
        If the file is missing, damaged, holds Python objects or not exactly one array.
    UsageError
        If its name ends in none of `SUFFIXES`.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        if suffix == ".npy":
            array = np.asarray(np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False))
            # Passes over parts look at a number's bytes, so these must lie in this machine's order.
            return array.astype(array.dtype.newbyteorder("="), copy=False)
        if suffix == ".npz":
            return _only_array(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # numpy warns of an empty file; the shape says so, too
            return np.loadtxt(path, delimiter="," if suffix == ".csv" else None, ndmin=2)
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
        if "pickle" in reason or "Python objects" in reason:  # numpy's advice is an option that is not offered here
            reason = "damaged, or pickled Python objects; write a numeric array with numpy.save"
        raise DataError(f"{path}: cannot be read as an array ({reason})") from error


def load_labels(path: Path, mapped: bool = False) -> np.ndarray:
    """Labels in a file, read as by `load_array`; a text file with one column holds class numbers."""
    array = load_array(path, mapped)
    text = path.suffix.lower() in (".csv", ".txt")
    return array[:, 0] if text and array.ndim == 2 and array.shape[1] == 1 else array


def load_instances(path: Path, mapped: bool = False) -> np.ndarray:
    """Instance ids in a file: strings, one a line, in .csv and .txt; strings or whole numbers in .npy and .npz.

    Arrays are read as by `load_array`; whole numbers that are stored as floats are held in memory in any case.

    Raises
    ------
    DataError, UsageError
        As `load_array`; or if a text file has an empty line, or a line of a .csv file more than one column.
    """
    if path.suffix.lower() not in (".csv", ".txt"):
        array = load_array(path, mapped)
        whole = array.dtype.kind == "f" and np.isfinite(array).all() and (array == np.floor(array)).all()
        return array.astype(np.int64) if whole and (np.abs(array) <= 2**53).all() else array
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.reader(lines)) if path.suffix.lower() == ".csv" else [[line] for line in lines]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as text ({error})") from error
    for number, row in enumerate(rows, start=1):
        if len(row) != 1 or not row[0].strip():
            found = "nothing" if not any(cell.strip() for cell in row) else f"{len(row)} columns"
            raise DataError(f"{path}: expected one instance id a line, found {found} in line {number}")
    return np.array([row[0].strip() for row in rows], dtype=np.str_)


def _only_array(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as archive:
        if len(archive.files) != 1:
            held = ", ".join(archive.files) or "none"
            raise DataError(f"{path}: expected exactly one array, found {len(archive.files)} ({held})")
        return np.asarray(archive[archive.files[0]])
