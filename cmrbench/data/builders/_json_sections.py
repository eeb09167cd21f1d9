"""Arrays of a JSON file that is too large to be held: their elements, one after the other, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from cmrbench.core.errors import DataError

_CHUNK = 1 << 20


def elements(stream: BinaryIO, shown: str, sections: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Elements of the named top-level arrays with the array's name, whatever order the arrays have in the file.

    What is held is one element and a megabyte of the file.

    Parameters
    ----------
    stream : binary stream
    shown : str
        The file's name for messages.
    sections : sequence of str
        Keys of the top-level object.

    Raises
    ------
    DataError
        If the file is no JSON or ends too early, or an array is missing or empty.
    """
    import ijson

    parsers = {}
    for section in sections:
        found = ijson.sendable_list()
        parsers[section] = (ijson.items_coro(found, f"{section}.item", use_float=True), found)
    counts = dict.fromkeys(sections, 0)
    try:
        ended = False
        while not ended:
            chunk = stream.read(_CHUNK)
            ended = not chunk
            for section, (parser, found) in parsers.items():
                if ended:
                    parser.close()
                else:
                    parser.send(chunk)
                counts[section] += len(found)
                for element in found:
                    yield section, element
                del found[:]
    except (ijson.JSONError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{shown} is no complete JSON file ({reason}); is the download complete?") from None
    empty = [section for section, count in counts.items() if not count]
    if empty:
        raise DataError(f"{shown} has no array {empty[0]!r}, or nothing in it")
