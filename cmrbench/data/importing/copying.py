"""Taking over files of users: plain ones only, within a limit, hashed as they are copied."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from cmrbench.core.errors import DataError
from cmrbench.data.archives.folder import BY_HAND
from cmrbench.data.archives.safety import unpacked_folder

MAX_SOURCE_BYTES = 64 << 30


def plain_file(path: Path) -> None:
    """Refuse links (they may lead anywhere and change later), devices, pipes, and files beyond the limit.

    Raises
    ------
    DataError
        If it is not a plain file, is too large, or is not there.
    """
    try:
        status = path.lstat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a plain file"
        raise DataError(f"{path} is {kind}; import a folder that holds the file itself")
    if status.st_size > MAX_SOURCE_BYTES:
        raise DataError(f"{path} has {status.st_size:,} bytes; at most {MAX_SOURCE_BYTES:,} are imported")


def copy_file(source: Path, target: Path) -> dict[str, int | str]:
    """Copy and hash in one pass, so that what is recorded is what was written.

    Returns
    -------
    dict
        ``bytes`` and ``sha256``.
    """
    h, size = hashlib.sha256(), 0
    descriptor = os.open(source, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with open(descriptor, "rb") as reading, open(target, "xb") as writing:
        while chunk := reading.read(1 << 20):
            h.update(chunk)
            size += len(chunk)
            writing.write(chunk)
    return {"bytes": size, "sha256": h.hexdigest()}


def copy_unpacked(archive: Path, target: Path) -> None:
    """Copy what a person has unpacked beside an archive that cannot be read here (.rar, .7z) into folder `target`.

    Raises
    ------
    DataError
        If it holds links or other things that are no plain files.
    """
    folder = unpacked_folder(archive)
    if not archive.name.lower().endswith(BY_HAND) or not folder.is_dir():
        return
    for root, folders, files in os.walk(folder):
        for link in (f for f in folders if (Path(root) / f).is_symlink()):
            raise DataError(f"{Path(root) / link} is a symbolic link; import a folder that holds the files themselves")
        inside = target / folder.name / Path(root).relative_to(folder)
        inside.mkdir(parents=True)
        for file in files:
            plain_file(Path(root) / file)
            copy_file(Path(root) / file, inside / file)
