"""Leaderboards as CSV: one line for each cell, so that tables with different columns fit into one file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from cmrbench.report.model import Leaderboard
from cmrbench.report.tidy import FIELDS, Value, records
from cmrbench.report.wording import plain


def document(leaderboards: Sequence[Leaderboard]) -> str:
    """All leaderboards under one header (`cmrbench.report.tidy.FIELDS`), lines ended by a newline."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FIELDS)
    for board in leaderboards:
        writer.writerows([entry(record[name]) for name in FIELDS] for record in records(board))
    return out.getvalue()


def entry(value: Value) -> Value:
    """A value as CSV holds it: texts are one plain line that a spreadsheet does not take for a formula."""
    if isinstance(value, bool):
        return str(value).lower()
    return _text(value) if isinstance(value, str) else value


def _text(text: str) -> str:
    """One line of text that a spreadsheet does not take for a formula."""
    line = plain(text)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line
