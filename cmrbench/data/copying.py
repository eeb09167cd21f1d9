"""Taking over files of users: plain ones only, within a limit, hashed as they are copied."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from cmrbench.core.errors import DataError

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
