"""One door to all renderers; a format's module is imported when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import cast

from cmrbench.core.errors import UnknownNameError
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
