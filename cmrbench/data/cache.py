"""The cache folder: where imported sources and prepared arrays lie, and folders that appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cmrbench.core.errors import DataError

_STALE_SECONDS = 24 * 3600
_TEMPORARY = ".tmp-"


def cache_roots() -> tuple[Path, ...]:
    """The folders of ``CMRBENCH_DATA``, or the platform's cache folder for cmrbench. They need not exist yet.

    Several are separated like ``PATH``: all are read, in this order; the last is written. A lab's shared folder
    comes first.

    Raises
    ------
    DataError
        If one of them is there and is no folder, or cannot be read.
    """
    named = [p for p in os.environ.get("CMRBENCH_DATA", "").split(os.pathsep) if p]
    if named:
        roots = tuple(dict.fromkeys(Path(p).expanduser().absolute() for p in named))
        for root in roots:
            _check_root(root)
        return roots
    import platformdirs

    return (Path(platformdirs.user_cache_dir("cmrbench")),)


def _check_root(root: Path) -> None:
    """Refuse what would look like an empty cache, or fail at some later step."""
    try:
        is_folder = stat.S_ISDIR(root.stat().st_mode)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        is_folder = False
    except OSError as error:
        why = error.strerror or str(error)
        raise DataError(f"CMRBENCH_DATA names {root}, which cannot be read ({why}); name another folder") from None
    if not is_folder:
        raise DataError(f"CMRBENCH_DATA names {root}, which is, or lies in, a file; name a folder")
    if not os.access(root, os.R_OK | os.X_OK):
        raise DataError(f"CMRBENCH_DATA names {root}, which cannot be read (Permission denied); name another folder")


def cache_root() -> Path:
    """The folder that is written: the last of `cache_roots`."""
    return cache_roots()[-1]


def find_in_cache(*parts: str, holds: str = "") -> Path | None:
    """The first of the cache folders' paths of these parts that exists (and holds a file of that name)."""
    found = (root.joinpath(*parts) for root in cache_roots())
    return next((path for path in found if (path / holds if holds else path).exists()), None)


def is_full(error: OSError) -> bool:
    """Whether there was no room left for what was to be written."""
    # numpy reports these without an error number: "100 requested and 50 written", "Not enough free space to write".
    told = any(part in str(error) for part in ("requested and", "free space"))
    return told or error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def explained(folder: Path, doing: str) -> Iterator[None]:
    """Turn what the file system refuses into one sentence.

    Parameters
    ----------
    folder : Path
        Where it is written.
    doing : str
        What cannot be done, to follow "cannot".

    Raises
    ------
    DataError
    """
    try:
        yield
    except OSError as error:
        if is_full(error):
            why = "the disk is full; free some space"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            why = "it is not writable; make it writable"
        elif error.errno in (errno.EEXIST, errno.ENOTDIR):
            why = "something on the way is a file and no folder; move it away"
        else:
            why = f"{error.strerror or error}; check the folder"
        raise DataError(
            f"cannot {doing} under {folder}: {why}, or name another cache folder in CMRBENCH_DATA"
        ) from None


@contextmanager
def new_folder(final: Path, doing: str, replace: bool = False) -> Iterator[Path]:
    """A temporary folder that becomes `final` in one step when the block ends well.

    A process that is killed leaves a folder with a temporary name, which nothing reads and a later call removes
    after a day. Where two processes make the same folder, one of them wins and both end well.

    Parameters
    ----------
    final : Path
        The folder to make.
    doing : str
        As in `explained`.
    replace : bool
        Put the new folder in the place of an existing one; otherwise the existing one stays and the new one goes.
    """
    parent = final.parent
    with explained(parent, doing):
        parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(parent)
        temporary = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=parent))
    try:
        with explained(parent, doing):
            yield temporary
            temporary.chmod(0o755)
            if replace and final.exists():
                shutil.rmtree(retire(final), ignore_errors=True)
            try:
                temporary.rename(final)
            except OSError:
                if not final.is_dir():  # otherwise another process was faster, with the same content
                    raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def retire(folder: Path) -> Path:
    """Rename a folder in one step to a temporary name, which nothing reads; returns where it is now."""
    retired = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=folder.parent))
    os.replace(folder, retired)
    return retired


def read_versioned(path: Path, version: int, keys: Iterable[str], remedy: str) -> dict[str, Any]:
    """Read a JSON record that this program has written, such as a manifest.

    Parameters
    ----------
    path : Path
    version : int
        The ``format`` that is read.
    keys : iterable of str
        What it must have.
    remedy : str
        What to do about one that cannot be used.

    Raises
    ------
    DataError
        If it is damaged or of another version.
    """
    try:
        record = json.loads(path.read_bytes())
        found = record["format"]
        missing = [key for key in keys if key not in record] if found == version else []
    except PermissionError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); make it readable") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise DataError(f"{path} is damaged; {remedy}") from None
    if found != version:
        raise DataError(f"{path} is of another version: its format is {found!r}, expected {version}; {remedy}")
    if missing:
        raise DataError(f"{path} is damaged: it has no {missing[0]!r}; {remedy}")
    values: dict[str, Any] = record
    return values


def write_whole(path: Path, text: str, doing: str) -> None:
    """Write a small text file (UTF-8) whole or not at all, in the place of an older one.

    Parameters
    ----------
    path : Path
        The file; its folder is made if needed.
    text : str
    doing : str
        As in `explained`.
    """
    with explained(path.parent, doing):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=_TEMPORARY, dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).chmod(0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder in the cache for arrays that are too big for memory; it goes when the block ends."""
    root = cache_root()
    with explained(root, "write"):
        root.mkdir(parents=True, exist_ok=True)
        _remove_stale(root)
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=root))
    try:
        yield folder
    except OSError as error:
        if not is_full(error):  # it was reading that failed
            raise
        with explained(root, "write"):
            raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_stale(parent: Path) -> None:
    for left in parent.glob(f"{_TEMPORARY}*"):
        try:
            old = time.time() - left.stat().st_mtime > _STALE_SECONDS
        except OSError:
            continue
        if old:
            shutil.rmtree(left, ignore_errors=True)
