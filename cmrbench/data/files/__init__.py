"""Array files: what a researcher's own feature file holds, listed without reading it, and read in blocks of rows.

MATLAB 5 and 7.3, HDF5, .npz, .npy, Parquet, and folders of them; what a file is, is seen from its first bytes, not
from its name. Files are hostile until read: no pickle is opened, no link out of a file is followed, and what a file
claims is held against limits before memory is taken for it.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from cmrbench.core.errors import DataError
from cmrbench.data.files.stored import MAX_ARRAYS, Arrays, Stored, said

__all__ = ["Arrays", "Stored", "looks_like_arrays", "open_arrays"]

SUFFIXES = (".mat", ".h5", ".hdf5", ".h5py", ".npz", ".npy", ".parquet")
"""Of the files that are looked at in a folder."""
_OPENERS = {
    "hdf5": "open_hdf5",
    "mat5": "open_mat5",
    "npy": "open_npy",
    "npz": "open_npz_arrays",
    "parquet": "open_parquet",
}
_HDF5 = b"\x89HDF\r\n\x1a\n"
_HEAD = 2056


def open_arrays(path: Path | Sequence[Path]) -> Arrays:
    """The arrays of a file, or of all array files of a folder; to be used in a `with` statement.

    Parameters
    ----------
    path : Path, or sequence of Path
        A file, a folder (whose own files are looked at, not its subfolders), or several files.

    Returns
    -------
    Arrays
        Arrays of several files keep their names where no two files have the same; otherwise each is called
        ``file/array``.

    Raises
    ------
    DataError
        If there is no such file, or it is not readable as what it begins like. One thing in a file that is no array
        does not hinder the others: it stands in `Arrays.unreadable`.
    """
    if not isinstance(path, Path):
        return _several(str(path[0].parent) if path else "", list(path))
    return _several(str(path), array_files(path))


def array_files(path: Path) -> list[Path]:
    """The file itself, or the array files of a folder in alphabetic order.

    Raises
    ------
    DataError
        If a folder holds none.
    """
    if not path.is_dir():
        return [path]
    files = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
    if not files:
        raise DataError(f"{path} holds no array file; expected {', '.join(SUFFIXES)}")
    return files


def looks_like_arrays(path: Path) -> bool:
    """Whether a file has the name of an array file, or a folder holds one."""
    if path.is_dir():
        return any(p.suffix.lower() in SUFFIXES for p in path.iterdir())
    return path.suffix.lower() in SUFFIXES


def _one(path: Path) -> Arrays:
    kind = _kind(path)
    try:
        opened: Arrays = getattr(import_module(f"{__name__}.{kind}"), _OPENERS[kind])(path)
    except (DataError, ImportError):
        raise
    except Exception as error:  # parsers of foreign files raise whatever a damaged file leads them to
        raise DataError(f"{path} cannot be read; the file is damaged: {said(error)}") from None
    return opened


def _several(file: str, paths: list[Path]) -> Arrays:
    if len(paths) == 1:
        return _one(paths[0])
    if len(paths) > MAX_ARRAYS:
        raise DataError(f"{file} holds {len(paths):,} array files; at most {MAX_ARRAYS:,} are read")
    together = Arrays(file, f"{len(paths)} files")
    opened = []
    try:
        for path in paths:
            opened.append((path, together.closing.enter_context(_one(path))))
    except BaseException:
        together.closing.close()
        raise
    names = Counter(name for _, arrays in opened for name in (*arrays.stored, *arrays.unreadable))
    twice = {name for name, count in names.items() if count > 1}
    for path, arrays in opened:
        for name, stored in arrays.stored.items():
            together.stored[f"{path.stem}/{name}" if name in twice else name] = stored
        for name, why in arrays.unreadable.items():
            together.unreadable[f"{path.stem}/{name}" if name in twice else name] = why
    return together


def _kind(path: Path) -> str:
    """The module that reads a file, by its first bytes.

    Raises
    ------
    DataError
        If it is no plain file, or of no known format.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{path} is not a plain file")
        with path.open("rb") as handle:
            head = handle.read(_HEAD)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    if head[:6] == b"\x93NUMPY":
        return "npy"
    if head[:4] == b"PK\x03\x04":
        return "npz"
    if head[:4] == b"PAR1":
        return "parquet"
    if head.startswith(b"MATLAB 7.3") or any(head[at : at + 8] == _HDF5 for at in (0, 512, 1024, 2048)):
        return "hdf5"
    if len(head) >= 128 and head[126:128] in (b"IM", b"MI") and 0 not in head[:4]:
        return "mat5"
    raise DataError(_unknown(path, head))


def _unknown(path: Path, head: bytes) -> str:
    if not head:
        return f"{path} is empty"
    if path.suffix.lower() == ".mat":
        if len(head) >= 20 and _is_mat4(head):
            return f"{path} is a MATLAB 4 file, which is not read; save it again in MATLAB with -v7 or -v7.3"
        if head.startswith(b"MATLAB"):
            return f"{path} begins like a MATLAB file but its header is cut off"
    if head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return f"{path} is a Python pickle, which is never opened; save plain arrays with numpy.savez"
    if head[:4] in (b"Rar!", b"7z\xbc\xaf") or head[:2] == b"\x1f\x8b":
        return f"{path} is a packed archive; unpack it first"
    if not any(b < 9 for b in head):
        return (
            f"{path} is a text file, not the array file that its name says; expected .mat, .h5, .npz, .npy or .parquet"
        )
    return f"{path} is no array file that is known: expected MATLAB, HDF5, .npz, .npy or .parquet"


def _is_mat4(head: bytes) -> bool:
    """MATLAB 4 begins with five whole numbers: type (below 5000), rows, columns, complex or not, length of the name."""
    for order in ("little", "big"):
        kind, rows, columns, imaginary, length = (int.from_bytes(head[k : k + 4], order) for k in range(0, 20, 4))
        if kind < 5000 and rows and columns and imaginary in (0, 1) and 0 < length < 1000:
            return True
    return False
