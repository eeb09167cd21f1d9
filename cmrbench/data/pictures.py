"""Raw files of items: where a picture, sound or video lies among a dataset's source files, and its bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cmrbench.core.errors import DataError

if TYPE_CHECKING:
    from cmrbench.data.archives import SourceTree

_PART = re.compile(r"(?P<name>.+)#(?P<start>[0-9]{1,15})-(?P<stop>[0-9]{1,15})")
MAX_PICTURE_BYTES = 64 << 20


def part_of(name: str, start: int, stop: int) -> str:
    """The reference of bytes `start` to `stop` (exclusive) of a file that holds many pictures one after another."""
    return f"{name}#{start}-{stop}"


def read_picture(tree: SourceTree, reference: str) -> bytes:
    """The bytes behind a reference: a file or archive member by its name, or a part of one.

    Raises
    ------
    DataError
        If there is no such file, or it has more than 64 MiB.
    """
    part = _PART.fullmatch(reference)
    if part is None:
        return tree.read(reference, MAX_PICTURE_BYTES)
    start, stop = int(part["start"]), int(part["stop"])
    if not 0 < stop - start <= MAX_PICTURE_BYTES:
        raise DataError(f"{reference} is no picture of 1 to {MAX_PICTURE_BYTES:,} bytes")
    with tree.open(part["name"]) as stream:
        stream.seek(start)
        found = stream.read(stop - start)
    if len(found) < stop - start:
        raise DataError(f"{reference}: the file ends before byte {stop:,}")
    return found
