"""What a run's process sends to its parent: marked, counted frames, so that a method cannot pass for the harness.

A method can write into any open file of its process. The parent therefore never waits for the rest of a message, and
anything that is not a frame ends the run, not the parent.
"""

from __future__ import annotations

import os
import struct

PROGRESS, MORE, RESULT = b"P", b"M", b"R"
"""What is told: how far a run is; a result after which the process can go on with another run; the last result."""

_HEAD = struct.Struct("!4scQ")
_MARK = b"cmrb"
_LARGEST = 1 << 32


class GarbledError(Exception):
    """What came is not a message of the harness."""


def send(handle: int, kind: bytes, payload: bytes) -> None:
    """Write one message; returns when all of it is in the pipe."""
    rest = memoryview(_HEAD.pack(_MARK, kind, len(payload)) + payload)
    while rest:
        rest = rest[os.write(handle, rest) :]


class Inbox:
    """Puts messages together from the pieces in which they come."""

    def __init__(self) -> None:
        self._pieces = bytearray()

    def feed(self, piece: bytes) -> list[tuple[bytes, bytes]]:
        """The messages, as kind and payload, that `piece` completes.

        Raises
        ------
        GarbledError
        """
        self._pieces += piece
        found = []
        while len(self._pieces) >= _HEAD.size:
            mark, kind, length = _HEAD.unpack_from(self._pieces)
            if mark != _MARK or kind not in (PROGRESS, MORE, RESULT) or length > _LARGEST:
                raise GarbledError
            end = _HEAD.size + length
            if len(self._pieces) < end:
                break
            found.append((kind, bytes(self._pieces[_HEAD.size : end])))
            del self._pieces[:end]
        return found
