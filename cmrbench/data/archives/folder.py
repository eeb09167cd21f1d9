"""The plain files of a folder; links that lead out of it are refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from cmrbench.core.errors import DataError
from cmrbench.data.archives.safety import printable, unpacked_folder
from cmrbench.data.record import PART, RECORD, REJECTED, STATE

# What a download or an import has of its own beside the files.
_OWN_ENDS = (PART, STATE, REJECTED)
BY_HAND = (".rar", ".7z")
"""Kinds of archives that only a person can unpack."""


def files_in(folder: Path, chosen: Sequence[str] | None) -> dict[str, Path]:
    """The files of a folder and its subfolders by POSIX path, in alphabetic order.

    Hidden files and folders, and a download's unfinished and refused files, are left out.

    Parameters
    ----------
    folder : Path
    chosen : sequence of str, optional
        Only these files and subfolders of it; with ``X.rar`` also the folder ``X``.

    Raises
    ------
    DataError
        If the folder cannot be read, or for a link that leads out of it, a link to a folder, a pipe or a device.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    root = Path(os.path.realpath(folder))
    found: dict[str, Path] = {}
    try:
        for start in [folder] if chosen is None else [folder / c for c in _with_unpacked(chosen)]:
            if start == folder or start.is_dir():
                _check_link(start, root)
                found.update(_walk(start, folder, root))
            elif start.exists() or start.is_symlink():
                found[printable(start.relative_to(folder).as_posix())] = _plain(start, root)
    except OSError as error:
        raise DataError(f"{error.filename or folder} cannot be read: {error.strerror}") from None
    return dict(sorted(found.items()))


def _with_unpacked(chosen: Sequence[str]) -> dict[str, None]:
    """The chosen names, and the folder ``X`` into which a person has unpacked ``X.rar``."""
    unpacked = [unpacked_folder(Path(c)).as_posix() for c in chosen if c.lower().endswith(BY_HAND)]
    return dict.fromkeys([*chosen, *unpacked])


def _walk(start: Path, folder: Path, root: Path) -> Iterator[tuple[str, Path]]:
    with os.scandir(start) as scan:
        items = list(scan)
    for item in items:
        if item.name.startswith("."):
            continue
        path = Path(item.path)
        if item.is_dir(follow_symlinks=False):
            yield from _walk(path, folder, root)
        elif not (start == folder and (item.name == RECORD or item.name.endswith(_OWN_ENDS))):
            yield printable(path.relative_to(folder).as_posix()), _plain(path, root)


def _plain(path: Path, root: Path) -> Path:
    _check_link(path, root)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise DataError(f"{path} is a link to nothing; put the file itself there") from None
    if stat.S_ISDIR(mode):
        raise DataError(f"{path} is a link to a folder; put the folder itself there")
    if not stat.S_ISREG(mode):
        raise DataError(f"{path} is not a plain file; remove it")
    return path


def _check_link(path: Path, root: Path) -> None:
    real = Path(os.path.realpath(path))
    if real != root and root not in real.parents:
        raise DataError(f"{path} is a link that leads out of {root}; put the file itself there")
