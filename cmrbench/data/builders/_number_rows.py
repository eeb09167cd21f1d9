"""Rows of numbers in text files: read in blocks, so that memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from cmrbench.core.errors import DataError

BLOCK_BYTES = 2 << 20
MAX_LINE_BYTES = 1 << 20
MAX_DIGITS = 7  # float32 holds every whole number of seven digits

_SPACE = np.zeros(256, bool)
_SPACE[[ord(c) for c in " \t\r\n"]] = True
_DIGIT = np.zeros(256, bool)
_DIGIT[[ord(c) for c in "0123456789"]] = True


def whole_number_rows(stream: BinaryIO, file: str, columns: int) -> Iterator[np.ndarray]:
    """Blocks of rows of a file with `columns` whole numbers a line, separated by blanks or tabs.

    Lines end with a line feed, with or without a carriage return; empty lines at the end of the file are not rows.

    Yields
    ------
    ndarray of int32, shape (rows, columns)

    Raises
    ------
    DataError
        With the file and the line: another number of columns, a sign, a letter, a number of more than seven digits.
    """
    for block, line in _blocks(stream, file):
        yield _whole_numbers(block, file, line, columns)


def real_number_rows(stream: BinaryIO, file: str, columns: int) -> Iterator[np.ndarray]:
    """The same for real numbers such as ``-1.5e-3``; yields float64.

    Raises
    ------
    DataError
        With the file and the line: another number of columns, or something that is no finite number.
    """
    for block, line in _blocks(stream, file):
        rows = []
        for offset, text in enumerate(block.split(b"\n")[:-1]):
            where = f"{file} line {line + offset}"
            fields = text.split()
            if len(fields) != columns:
                raise _wrong_count(where, columns, len(fields))
            try:
                rows.append(np.array(fields).astype(np.float64))
            except ValueError as error:
                raise DataError(f"{where}: expected numbers, {error}") from None
            if not np.isfinite(rows[-1]).all():
                raise DataError(f"{where}: expected finite numbers, found NaN or infinity")
        yield np.array(rows).reshape(len(rows), columns)


def _blocks(stream: BinaryIO, file: str) -> Iterator[tuple[bytes, int]]:
    """Whole lines, some megabytes at a time, each ended by a line feed, with the number of the first line."""
    rest, line = b"", 1
    while chunk := stream.read(BLOCK_BYTES):
        rest += chunk
        end = rest.rfind(b"\n") + 1
        # Blank lines are held back: at the end of a file they are no rows, before it they are wrong ones.
        lines = rest[:end].rstrip()
        if lines:
            rest = rest[rest.index(b"\n", len(lines)) + 1 :]
            yield lines + b"\n", line
            line += lines.count(b"\n") + 1
        if len(rest) > MAX_LINE_BYTES + BLOCK_BYTES:
            raise DataError(f"{file} line {line} is longer than {MAX_LINE_BYTES:,} bytes; rows of numbers are not")
    if rest.strip():
        yield rest.rstrip() + b"\n", line


def _whole_numbers(block: bytes, file: str, line: int, columns: int) -> np.ndarray:
    data = np.frombuffer(block, np.uint8)
    space = _SPACE[data]
    odd = ~(space | _DIGIT[data])
    if odd.any():
        at = int(odd.argmax())
        raise DataError(f"{_where(block, at, file, line)}: expected whole numbers, found {_word(block, at)!r}")
    # The block ends with a line feed: every number has a start and, behind its last digit, an end.
    edges = np.flatnonzero(np.diff(space, prepend=True))
    starts, ends = edges[0::2], edges[1::2]
    counts = np.diff(np.searchsorted(starts, np.flatnonzero(data == ord("\n"))), prepend=0)
    if (counts != columns).any():
        row = int((counts != columns).argmax())
        raise _wrong_count(f"{file} line {line + row}", columns, int(counts[row]))
    width = ends - starts
    longest = int(width.max(initial=0))
    if longest > MAX_DIGITS:
        at = int(starts[width.argmax()])
        raise DataError(f"{_where(block, at, file, line)}: {_word(block, at)} has more than {MAX_DIGITS} digits")
    values = (data[ends - 1] - ord("0")).astype(np.int32)
    for place in range(1, longest):
        longer = np.flatnonzero(width > place)
        values[longer] += (data[ends[longer] - 1 - place] - ord("0")).astype(np.int32) * np.int32(10**place)
    return values.reshape(-1, columns)


def _where(block: bytes, at: int, file: str, line: int) -> str:
    return f"{file} line {line + block[:at].count(10)}"


def _word(block: bytes, at: int) -> str:
    """What stands at a byte, between blanks, cut to what fits a message."""
    before, after = block[max(0, at - 20) : at], block[at : at + 20]
    start = max(before.rfind(blank) for blank in (b" ", b"\t", b"\r", b"\n")) + 1
    return (before[start:] + after.split()[0]).decode("latin1")


def _wrong_count(where: str, columns: int, found: int) -> DataError:
    return DataError(f"{where}: expected {columns} numbers, found {found}; is the file complete?")
