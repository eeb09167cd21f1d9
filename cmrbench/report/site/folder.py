"""The site's folder: whole or not there, and never in the place of something that is not a site."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from cmrbench.core.errors import UsageError

MARKER = ".cmrbench-site"
"""File that says that a folder was written here and may be replaced."""

_MARKED = "Written by `cmrbench report --html`, which replaces this folder as a whole. Do not keep files here.\n"


def check(folder: Path) -> None:
    """Refuse a folder that must not be replaced.

    Raises
    ------
    UsageError
        If it is a file, a link, the folder of the process, or a folder that holds anything but a site.
    """
    if folder.is_symlink():
        raise UsageError(f"--html {folder} is a link; name a folder that is new, empty or a site made before")
    if not folder.exists():
        return
    if Path.cwd().is_relative_to(folder.resolve()):
        raise UsageError(
            f"--html {folder} is the folder you are in, and would be replaced under you; name one inside it"
        )
    if not folder.is_dir():
        raise UsageError(f"--html {folder} is a file; name a folder that is new, empty or a site made before")
    if not (folder / MARKER).is_file() and any(folder.iterdir()):
        raise UsageError(
            f"--html {folder} holds files that are no site of cmrbench ({MARKER} is missing); "
            "name a folder that is new, empty or a site made before"
        )


def publish(pages: Iterable[tuple[str, str]], folder: Path) -> Path:
    """Write pages so that `folder` is either what it was or the whole new site.

    Parameters
    ----------
    pages : iterable of (str, str)
        Paths inside the folder and texts; may be made while they are written.
    folder : Path
        New, empty, or a site that is replaced.

    Returns
    -------
    Path
        The index page.

    Raises
    ------
    UsageError
        If the folder must not be replaced, or cannot be written.
    """
    check(folder)
    target = folder.resolve()
    suffix = secrets.token_hex(6)
    fresh = target.with_name(f".{target.name}-{suffix}.new")
    try:
        fresh.mkdir(parents=True)
        for name, text in pages:
            path = fresh / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (fresh / MARKER).write_text(_MARKED, encoding="utf-8")
        _swap(fresh, target, target.with_name(f".{target.name}-{suffix}.old"))
    except OSError as error:
        raise UsageError(
            f"--html {folder} cannot be written: {error.strerror or error}; name another folder or make room"
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder / "index.html"


def _swap(fresh: Path, target: Path, old: Path) -> None:
    if not target.exists():
        os.rename(fresh, target)
        return
    os.rename(target, old)
    try:
        os.rename(fresh, target)
    except BaseException:
        os.rename(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)
