"""Lines of a text file that may have any line ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from cmrbench.core.errors import DataError

LONGEST_LINE = 1 << 20
_CHUNK = 1 << 20
_BOM = b"\xef\xbb\xbf"


def split_lines(stream: BinaryIO, shown: str, encoding: str) -> Iterator[str]:
    r"""Decoded lines, split at ``\n``, ``\r\n`` and ``\r`` only, never at U+2028 or form feeds inside captions.

    Parameters
    ----------
    stream : binary stream
    shown : str
        The file's name for messages.
    encoding : str
        One in which line ends are single bytes: UTF-8, Latin-1, GBK, not UTF-16.

    Raises
    ------
    DataError
        With the line's number, if it does not decode or is longer than 1 MiB.
    """
    for number, line in enumerate(_raw_lines(stream, shown), start=1):
        if number == 1:
            line = line.removeprefix(_BOM)
        try:
            yield line.decode(encoding)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{shown} line {number} is not {encoding}: byte {error.object[error.start]:#04x} at {error.start}"
            ) from None


def _raw_lines(stream: BinaryIO, shown: str) -> Iterator[bytes]:
    number, pending = 0, b""
    while chunk := stream.read(_CHUNK):
        data = pending + chunk
        lines = data.splitlines(keepends=True)
        # The last one goes on in the next chunk, or ends in a "\r" whose "\n" does.
        pending = b"" if data.endswith(b"\n") else lines.pop()
        for line in lines:
            number += 1
            _check_length(line, shown, number)
            yield line[:-2] if line.endswith(b"\r\n") else line[:-1]
        _check_length(pending, shown, number + 1)
    if pending:
        yield pending.removesuffix(b"\r")


def _check_length(line: bytes, shown: str, number: int) -> None:
    if len(line) > LONGEST_LINE:
        raise DataError(f"{shown} line {number} is longer than {LONGEST_LINE:,} bytes; it is no text file of lines")
