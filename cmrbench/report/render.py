"""One door to all renderers; a format's module is imported when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

from cmrbench.core.errors import UnknownNameError, UsageError
from cmrbench.core.files import write_whole
from cmrbench.report.model import Leaderboard

_RENDERERS = {
    "md": "markdown",
    "csv": "csv",
    "tex": "latex",
    "html": "html",
    "json": "json",
    "text": "terminal",
}

FORMATS = tuple(_RENDERERS)
"""Names of the formats that `render` knows."""


def render(leaderboards: Sequence[Leaderboard], format: str = "md") -> str:
    """Leaderboards as one document.

    Parameters
    ----------
    leaderboards : sequence of Leaderboard
    format : str
        One of `FORMATS`.

    Raises
    ------
    UnknownNameError
        If the format is none of them.
    """
    if format not in _RENDERERS:
        raise UnknownNameError("format", format, FORMATS)
    module = importlib.import_module(f"cmrbench.report.{_RENDERERS[format]}")
    return cast("Callable[[Sequence[Leaderboard]], str]", module.document)(leaderboards)


def write_documents(tables: Mapping[str, Sequence[Leaderboard]], formats: Sequence[str], folder: Path) -> list[Path]:
    """Write every table in every format into a folder, which is made: ``table_VI.md``, ``table_VI.csv``.

    Parameters
    ----------
    tables : mapping of str to sequence of Leaderboard
        By the stem of the files' names.
    formats : sequence of str
        Out of `FORMATS`; their names are the endings, ``text`` is ``.txt``.
    folder : Path

    Returns
    -------
    list of Path
        Each is either the file of before or whole, whatever happens.

    Raises
    ------
    UsageError
        If the folder cannot be written to.
    UnknownNameError
        If there is no such format.
    """
    documents = {
        folder / f"{name}.{'txt' if format == 'text' else format}": render(boards, format)
        for name, boards in tables.items()
        for format in formats
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in documents.items():
            write_whole(path, text.encode())
    except OSError as error:
        raise UsageError(f"--output {folder} cannot be written to: {error.strerror or error}") from error
    return list(documents)
