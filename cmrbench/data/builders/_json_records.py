"""Records of a JSON file that is too large to be held: some fields of each, one record after the other, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from cmrbench.core.errors import DataError

Record = dict[str, Any]
_MAX_PREFIX = 400
_BLOCK_BYTES = 4096


def events(stream: BinaryIO, shown: str) -> Iterator[tuple[str, str, Any]]:
    """What `ijson.parse` yields: where, what, value.

    Numbers are floats: whole numbers of any length end the process in ijson 3.6, which asks Python for those that
    Python refuses to make. It reads small blocks: the paths to all values of a block are made at once, and in a
    hostile file each is as long as the block.

    Raises
    ------
    DataError
        If keys and lists nest so deep that the path to a value has more than 400 characters.
    """
    import ijson

    for event in ijson.parse(stream, use_float=True, buf_size=_BLOCK_BYTES):
        if len(event[0]) > _MAX_PREFIX:
            raise DataError(f"{shown} nests too deep below {event[0][:40]!r}; it is no annotation file")
        yield event


def records(stream: BinaryIO, shown: str, fields: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Record | None]]:
    """Records of top-level arrays, with the array's name, in the order of the file.

    Only the named fields are kept, and of these only strings, numbers, true, false and null: what else a record holds
    (the outline of an object) is passed over and never held.

    Parameters
    ----------
    stream : binary stream
    shown : str
        The file's name for messages.
    fields : mapping of str to sequence of str
        The arrays, by their key of the top-level object, and the fields of their records.

    Yields
    ------
    str
        The array.
    dict of str or None
        The fields that the record has; None where an element of the array is no object.

    Raises
    ------
    DataError
        If the file is no JSON or ends too early, or an array is missing or empty.
    """
    import ijson

    wanted = {f"{array}.item.{name}": name for array, names in fields.items() for name in names}
    arrays = {f"{array}.item": array for array in fields}
    found: set[str] = set()
    record: Record = {}
    try:
        for prefix, event, value in events(stream, shown):
            if prefix in wanted:
                if event in ("string", "number", "boolean", "null"):
                    record[wanted[prefix]] = value
            elif prefix in arrays and event != "map_key":
                if event == "start_map":
                    record = {}
                elif event != "end_array":
                    found.add(prefix)
                    yield arrays[prefix], record if event == "end_map" else None
    except (ijson.JSONError, UnicodeDecodeError, OverflowError, RecursionError) as error:
        reason = " ".join(str(error).split())[:120]
        raise DataError(f"{shown} is no complete JSON file ({reason}); is the download complete?") from None
    empty = [array for prefix, array in arrays.items() if prefix not in found]
    if empty:
        raise DataError(f"{shown} has no array {empty[0]!r}, or nothing in it")
