"""The lock of one run: whoever holds it carries the run out; the system frees it when its holder dies."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class RunLock:
    """An advisory lock on a file that exists only while it is held.

    Where the file system offers no locks, or no room for the file, every acquisition succeeds: a run that two
    processes carry out costs time, one that nobody carries out costs the result.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self) -> bool:
        """Take the lock if nobody has it; never waits."""
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return False
        except OSError:
            pass
        if not self._is_current(handle):
            # The last holder removed the file between our opening and locking it: this lock guards nothing.
            os.close(handle)
            return False
        self._handle = handle
        return True

    def release(self) -> None:
        """Give the lock back and remove its file; does nothing where it is not held."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        with suppress(OSError):
            os.unlink(self.path)
        # Unlocked by name: a process forked meanwhile has the same handle and would hold the lock on.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)

    def _is_current(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self.path))
        except OSError:
            return False
