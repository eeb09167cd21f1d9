"""Files that are never half-written."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is either the old one or the whole new one, whatever happens.

    A device or a pipe, which cannot be replaced, is written to.

    Raises
    ------
    OSError
        If it cannot be written; no other file is left then.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    with whole(path) as out:
        out.write(content)


@contextmanager
def whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of `path` once all is written; after an error nothing is left of it."""
    target = path.resolve()  # a link stays a link
    temporary = target.parent / f".tmp-{secrets.token_hex(8)}"
    try:
        with open(temporary, "xb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        with suppress(FileNotFoundError):
            os.chmod(temporary, target.stat().st_mode)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
