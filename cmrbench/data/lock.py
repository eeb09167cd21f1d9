"""One writer at a time for a dataset's source folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cmrbench.data.cache import explained


@contextmanager
def source_lock(folder: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a source folder; it goes with the process.

    Its file lies beside the folder, since an import replaces the whole folder.

    Parameters
    ----------
    folder : Path
        ``sources/NAME``; it need not exist.
    waiting : callable
        Is told if another process holds the lock, before it is waited for.

    Raises
    ------
    DataError
        If the cache cannot be written.
    """
    from filelock import FileLock, Timeout

    with explained(folder.parent, f"write {folder.name}"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder.parent / f".{folder.name}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting(f"another process is bringing {folder.name}; waiting for it")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()
