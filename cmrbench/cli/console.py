"""Where output goes: tables as wide as the terminal, text that can always be written."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmrbench.core.errors import UsageError
from cmrbench.core.files import write_whole

if TYPE_CHECKING:
    from rich.console import Console

LOG_WIDTH = 110
LEAST_WIDTH = 80
_DIRECTIONS = (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
_CONTROLS = {code: repr(chr(code))[1:-1] for code in (*range(32), *range(127, 160), *_DIRECTIONS)}


def console(least: int = LEAST_WIDTH) -> Console:
    """A console on standard output.

    Parameters
    ----------
    least : int
        Columns that are taken at least, also on a narrower terminal: lines that wrap can be read, columns of two
        letters cannot. 0 for what fits itself to any width.
    """
    from rich.console import Console

    if not sys.stdout.isatty():
        return Console(width=LOG_WIDTH)
    shown = Console()
    return shown if shown.width >= least else Console(width=least)


def one_line(text: str) -> str:
    """The text with control characters written out: names in hostile files must not break lines or a terminal, nor
    turn around the text that stands behind them.
    """
    return text.translate(_CONTROLS)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def write_output(text: str, output: Path | None) -> None:
    """Write to the file that ``--output`` names, which is then the old one or the whole new one, or to standard output.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    if output is None:
        sys.stdout.write(text)
        return
    try:
        write_whole(output, text.encode("utf-8", errors="replace"))
    except OSError as error:
        raise UsageError(f"--output {output} cannot be written: {error.strerror or error}") from error


def prepare_streams() -> None:
    """Let no print fail for want of a stream or of a character.

    A closed stream becomes the null device. Files and pipes get UTF-8 whatever the locale is (JSON, HTML and Markdown
    are defined so); a terminal shows ``?`` for what its encoding lacks.
    """
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        if sys.stdout.isatty():
            sys.stdout.reconfigure(errors="replace")
        else:
            sys.stdout.reconfigure(encoding="utf-8", errors="replace")
